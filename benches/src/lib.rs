//! What the benchmark `end_to_end` is made of, in a library so that its parts are tested with all else. The
//! benchmarks themselves stand in `benches/`; how to measure: `README.md` beside them.

pub mod end_to_end;
pub mod readme;
