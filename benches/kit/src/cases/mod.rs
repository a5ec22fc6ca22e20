//! All cases, in the order in which a record meets the functions. Sizes are 100 bytes and 1 KiB where they matter; JSON
//! records have the sizes of the chain's bench.

mod codec;
mod convert;
mod intake;
mod produce;
mod remoting;
mod task;
mod transform;

use std::net::Ipv4Addr;

use rmqc_io::producer::properties::PropertiesWriter;
use rmqc_io::remoting::unique_id::UniqueIds;

pub use codec::pull_answer;
pub use task::file_source;

use crate::case::Case;

/// The time at which everything here happens, in milliseconds since 1970.
const NOW_MS: i64 = 1_795_363_854_815;
const TOPIC: &str = "fileTopic";
/// Sizes of a body in bytes.
const SIZES: [usize; 2] = [100, 1_024];
/// Sizes of a JSON record in bytes.
const JSON_SIZES: [usize; 2] = [173, 1_023];

/// What belongs to the wire protocol: frames, headers, messages, batches, properties.
#[must_use]
pub fn wire() -> Vec<Case> {
    [remoting::cases(), codec::cases(), produce::cases()].into_iter().flatten().collect()
}

/// What belongs to records and the task that moves them.
#[must_use]
pub fn records() -> Vec<Case> {
    [intake::cases(), convert::cases(), transform::cases(), task::cases()].into_iter().flatten().collect()
}

/// Everything.
#[must_use]
pub fn all() -> Vec<Case> {
    wire().into_iter().chain(records()).collect()
}

fn properties_writer() -> PropertiesWriter {
    PropertiesWriter::new(UniqueIds::new(Ipv4Addr::LOCALHOST, 4_711, 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rmqc_core::registry::{converters, predicates, transforms};

    use super::*;

    #[test]
    fn every_case_works_and_has_a_name_of_its_own() {
        let mut names = BTreeSet::new();
        for case in all() {
            assert!(case.units > 0 && names.insert(case.id()), "{} twice", case.id());
            let mut work = case.prepare();
            // Twice, since a case must leave its input as it was.
            work();
            work();
        }
    }

    #[test]
    fn every_converter_transform_and_predicate_has_cases() {
        let names: Vec<String> = all().iter().map(Case::id).collect();
        let has = |start: String| names.iter().any(|name| name.starts_with(&start));
        for name in converters().iter().map(|factory| factory.name) {
            assert!(has(format!("converter/{name}_decode")) && has(format!("converter/{name}_encode")), "{name}");
        }
        for name in transforms().iter().map(|factory| factory.name) {
            assert!(has(format!("transform/{name}_")), "{name}");
        }
        for name in predicates().iter().map(|factory| factory.name) {
            assert!(has(format!("predicate/{name}")), "{name}");
        }
    }
}
