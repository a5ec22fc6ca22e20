//! What the tests stand on: a data plane, a broker, a store of positions, a proxy, and connectors that do as told.

pub mod broker;
pub mod plane;
pub mod probe;
pub mod proxy;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rmqc_io::driver::probe as kernel;
use rmqc_io::settings::DriverWanted;

/// Deadline of everything that must happen.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a test on every driver that this machine allows.
pub fn on_each_driver(test: impl Fn(DriverWanted)) {
    test(DriverWanted::Epoll);
    match kernel::obstacle(4) {
        None => test(DriverWanted::Uring),
        Some(obstacle) => println!("not run on io_uring: {}", obstacle.reason()),
    }
}

/// A directory of its own; deleted in the end.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("rmqc-dataplane-{}-{}", std::process::id(), number()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it, as text.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A number that this process did not give before.
pub fn number() -> u32 {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Looks again and again until `look` gives something; panics with `what` after the deadline.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A small repeatable source of numbers.
pub struct Random(u64);

impl Random {
    /// Seeded by the clock, or by `RMQC_TEST_SEED`; the seed is printed.
    pub fn new(test: &str) -> Self {
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        let given = std::env::var("RMQC_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(clock()));
        println!("{test}: RMQC_TEST_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Runs a test in a process of its own, where nothing else takes memory or time.
pub fn alone(name: &str, test: impl FnOnce()) {
    const MARK: &str = "RMQC_TEST_ALONE";
    if std::env::var(MARK).as_deref() == Ok(name) {
        return test();
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(MARK, name)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    println!("{told}");
    assert!(child.status.success() && told.contains("1 passed"), "{}", String::from_utf8_lossy(&child.stderr));
}
