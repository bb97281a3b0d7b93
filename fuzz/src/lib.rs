//! Fuzz bodies: each takes octets, asserts an invariant and never panics otherwise.
