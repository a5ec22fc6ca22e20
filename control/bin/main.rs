//! The program. Everything it does is in the library beside it, so that a binary with connectors of one's own is as short
//! as this.

fn main() -> std::process::ExitCode {
    rmqc_fast::main()
}
