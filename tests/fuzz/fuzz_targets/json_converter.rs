#![no_main]

#[path = "../../support/fuzz_targets.rs"]
#[allow(dead_code, reason = "each target uses one of them")]
mod fuzz_targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz_targets::json_converter(input));
