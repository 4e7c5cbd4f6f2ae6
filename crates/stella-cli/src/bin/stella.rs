fn main() {
    stella_cli::main()
}
