//! Measures cases: a group for each module, throughput in records, messages, frames or calls.

use criterion::{Criterion, Throughput};
use rmqc_bench_kit::case::Case;

/// Measures the cases and prints what came out, as the command line says.
pub fn measure(cases: &[Case]) {
    let mut criterion = Criterion::default().configure_from_args();
    for of_group in cases.chunk_by(|one, next| one.group == next.group) {
        let mut group = criterion.benchmark_group(of_group[0].group);
        for case in of_group {
            group.throughput(Throughput::Elements(case.units));
            let mut work = case.prepare();
            group.bench_function(&case.name, |bencher| bencher.iter(&mut work));
        }
        group.finish();
    }
    criterion.final_summary();
}
