//! The peers that the tests script.
