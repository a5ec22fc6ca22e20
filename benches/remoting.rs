//! The wire protocol's hot functions, one by one: `cargo bench --bench remoting`. The rate that is printed counts frames,
//! messages, records or calls; its inverse is the time that each of them costs on one core, without sockets.
#![allow(missing_docs, clippy::indexing_slicing, reason = "a measuring tool")]

mod measure;

fn main() {
    measure::measure(&rmqc_bench_kit::cases::wire());
}
