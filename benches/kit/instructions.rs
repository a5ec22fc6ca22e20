//! Counts the instructions of every case, which a busy machine can't blur: `cargo bench -p rmqc-bench-kit`.
//!
//! - `-- --check` holds them against `benches/instructions.json`, and fails when one is more than 5 % above its budget.
//! - `-- --update` makes them the budget.
//! - `-- --test` does every case once, uncounted.
//!
//! The program runs itself once under valgrind's callgrind, which counts only inside [`counted`] and writes a part each
//! time that it returns. Every case was done a few times before, so that what is made once has been made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring tool"
)]

use std::path::Path;
use std::process::{Command, ExitCode};

use rmqc_bench_kit::budget::{Counts, Tools, judge, per_unit, total};
use rmqc_bench_kit::case::Work;
use rmqc_bench_kit::cases;

/// Times that a case is done before it is counted.
const WARM_UP: usize = 3;
/// What this program is told when valgrind runs it.
const COUNTED: &str = "--counted";
/// Long copies by vector instructions: a repeated byte instruction would count once a byte, on machines that have it fast.
const COPY_BY_VECTORS: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824";
/// Where the budget is, from the package's folder.
const BUDGET: &str = "../instructions.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has(COUNTED) {
        return do_all(counted);
    }
    // Like other benches, it only tries whether everything works when `cargo test` runs it.
    if has("--test") || !has("--bench") {
        return do_all(|work| work());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BUDGET);
    let outcome = count().and_then(|counts| match (has("--update"), has("--check")) {
        (true, _) => std::fs::write(&path, counts.render()).map_err(|error| format!("{}: {error}", path.display())),
        (_, true) => check(&counts, &path),
        _ => {
            print!("{}", counts.table());
            Ok(())
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn do_all(once: fn(&mut Work)) -> ExitCode {
    for case in cases::all() {
        let mut work = case.prepare();
        (0..WARM_UP).for_each(|_| work());
        once(&mut work);
    }
    ExitCode::SUCCESS
}

/// Does a case's work; callgrind knows this function by its name.
#[inline(never)]
fn counted(work: &mut Work) {
    work();
    // Without something behind the call it would be a jump, and nothing would return from here.
    std::hint::black_box(());
}

/// Takes the place of the C library's function in this program: the seeds of hash tables, and with them where the allocator
/// finds room, are the same in each run.
///
/// # Safety
/// `buffer` must have room for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises the room.
    unsafe { buffer.write_bytes(0x5A, len) };
    len as isize
}

fn check(counts: &Counts, path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let judgement = judge(counts, &Counts::parse(&text)?);
    judgement.notes.iter().for_each(|note| println!("{note}"));
    if judgement.failures.is_empty() {
        println!("{} cases within their budgets of instructions", counts.instructions.len());
        return Ok(());
    }
    Err(judgement.failures.join("\n"))
}

/// Runs this program under valgrind and reads what was counted.
fn count() -> Result<Counts, String> {
    let tools = Tools {
        arch: std::env::consts::ARCH.to_owned(),
        libc: libc_version(),
        rustc: version("rustc")?,
        valgrind: version("valgrind")?,
    };
    let program = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let parts = folder.path().join("part");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=instructions::counted"])
        .args(["--dump-after=instructions::counted", "--dump-line=no"])
        .arg(format!("--callgrind-out-file={}", parts.display()))
        .arg(&program)
        .arg(COUNTED)
        // The environment lies on the stack, so it must not tell one run from another.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GLIBC_TUNABLES", COPY_BY_VECTORS)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        return Err(format!("valgrind: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let cases = cases::all();
    let mut counts = Counts { tools, ..Counts::default() };
    for (number, case) in (1..).zip(&cases) {
        let path = folder.path().join(format!("part.{number}"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let instructions = total(&text).filter(|total| *total > 0);
        let instructions = instructions.ok_or_else(|| format!("valgrind counted nothing for {}", case.id()))?;
        counts.instructions.insert(case.id(), per_unit(case, instructions));
    }
    if folder.path().join(format!("part.{}", cases.len() + 1)).exists() {
        return Err(format!("valgrind counted more than the {} cases", cases.len()));
    }
    Ok(counts)
}

/// What a tool says about its version.
fn version(tool: &str) -> Result<String, String> {
    let remedy = "apt-get install -y valgrind installs valgrind, rustup the compiler";
    let output = Command::new(tool).arg("--version").output().map_err(|error| format!("{tool}: {error}; {remedy}"))?;
    if !output.status.success() {
        return Err(format!("{tool} --version: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn libc_version() -> String {
    // SAFETY: the C library gives a text that lives as long as the program.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}
