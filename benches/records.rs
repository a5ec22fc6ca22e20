//! What a task does with a record besides the wire: lines, converters, transforms, predicates, the in-flight window,
//! waiting and counting: `cargo bench --bench records`. The rate that is printed counts records or calls; its inverse is
//! the time that each of them costs on one core.
#![allow(missing_docs, clippy::indexing_slicing, reason = "a measuring tool")]

mod measure;

fn main() {
    measure::measure(&rmqc_bench_kit::cases::records());
}
