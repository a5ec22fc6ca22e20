//! Scattered moments that a seed repeats, and the size that a run is to have.

/// A small generator: the moments of faults must be scattered and repeatable, nothing more.
pub struct Random(u64);

impl Random {
    /// Takes its seed from `RMQC_SEED` or the clock, and prints it.
    pub fn seeded() -> Self {
        let seed = std::env::var("RMQC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        println!("seed {seed}: RMQC_SEED={seed} repeats it");
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Another one, for a thread of its own: what it gives depends on the seed and the order of the calls here alone.
    pub fn fork(&mut self) -> Self {
        self.below(1);
        Self(self.0 ^ 0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// Whether `RMQC_FULL=1` asks for the full size.
pub fn full_size() -> bool {
    std::env::var_os("RMQC_FULL").is_some_and(|value| value == "1")
}
