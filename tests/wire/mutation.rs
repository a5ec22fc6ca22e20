//! A fuzzer for every day: no coverage feedback, but the same corpus and targets, on stable Rust, for some seconds.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use super::captures;
use super::fuzz_targets::{TARGETS, Target};

/// Time for each target.
const BUDGET: Duration = Duration::from_millis(1_700);

/// A small random generator: the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// What a target gets of a capture: whole frames, headers, or bodies, as it reads them. Targets that read something else
/// have their seeds in the fuzzer's folder.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    if target.starts_with("json_") {
        return seeds(target);
    }
    let header_len = |frame: &[u8]| u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
    captures()
        .into_iter()
        .map(|(_, frame)| match target {
            "header_json" | "header_binary" => frame[8..8 + header_len(&frame)].to_vec(),
            "messages" | "batch_items" => frame[8 + header_len(&frame)..].to_vec(),
            _ => frame,
        })
        .collect()
}

/// The fuzzer's seeds for a target, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "the seeds are there");
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    const INTERESTING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', 2];
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len());
        match random.below(7) {
            _ if input.is_empty() => input = corpus[random.below(corpus.len())].clone(),
            0 => input[at] ^= 1 << random.below(8),
            1 => input[at] = INTERESTING[random.below(INTERESTING.len())],
            2 => input.truncate(at),
            3 => {
                let len = random.below(16).min(input.len() - at);
                drop(input.drain(at..at + len));
            }
            4 => {
                let copied = input[at..].iter().take(random.below(32)).copied().collect::<Vec<_>>();
                input.splice(at..at, copied);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                input.truncate(at);
                input.extend_from_slice(&other[random.below(other.len().max(1)).min(other.len())..]);
            }
            _ => {
                let number = [0u32, 1, 0x7fff_ffff, 0xffff_ffff, 100][random.below(5)].to_be_bytes();
                for (byte, number) in input[at..].iter_mut().zip(number) {
                    *byte = number;
                }
            }
        }
    }
    input
}

fn run(name: &str, target: Target) {
    let corpus = corpus(name);
    for input in &corpus {
        target(input);
    }
    let start = Instant::now();
    let mut rounds = 0u64;
    while start.elapsed() < BUDGET {
        for _ in 0..64 {
            rounds += 1;
            // A number of its own for each input, so that one round can be run again alone.
            let mut random = Random(rounds.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            let input = mutate(&mut random, &corpus);
            let outcome = catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "{name} failed in round {rounds} on {input:02x?}");
        }
    }
    assert!(rounds > 100, "{name}: {rounds} rounds only");
}

#[test]
fn mutated_captures_never_panic() {
    for (name, target) in TARGETS {
        run(name, target);
    }
}
