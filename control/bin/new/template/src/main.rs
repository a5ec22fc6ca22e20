//! The worker `rmqc-fast` with one connector more.

// Named once, so that the linker keeps what the library registers.
use my_thing as _;

fn main() -> std::process::ExitCode {
    rmqc_fast::main()
}
