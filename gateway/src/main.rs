//! The binary `tidegate`. Everything is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    tidegate_gateway::cli::main()
}
