//! What the benchmarks are made of and share, in a library so that its parts are tested with all
//! else. The benchmarks themselves stand in `benches/`; how to measure: `README.md` beside them.

pub mod contest;
pub mod desk;
pub mod end_to_end;
pub mod life;
pub mod readme;
pub mod rig;
