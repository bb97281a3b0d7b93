//! The whole gateway as a process under load, in pairs with a bare byte relay: `README.md` says how to read it.
//!
//!     cargo build --release && cargo bench -p tidegate-benches --bench end_to_end -- [options]

fn main() -> std::process::ExitCode {
    tidegate_benches::end_to_end::main()
}
