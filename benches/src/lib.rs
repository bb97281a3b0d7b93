//! Nothing: the benchmarks stand in `benches/`. How to measure: `README.md` beside them.
