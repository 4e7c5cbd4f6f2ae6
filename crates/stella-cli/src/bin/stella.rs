use std::process::ExitCode;

fn main() -> ExitCode {
    stella_cli::main()
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
