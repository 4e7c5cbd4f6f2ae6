use std::process::ExitCode;

fn main() -> ExitCode {
    stella_cli::main()
}
