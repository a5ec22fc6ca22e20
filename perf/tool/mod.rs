//! The measuring tool's parts. Two executables have them: the bench target `load`, which `perf/run` starts, and the
//! quick check of all of it.

pub mod bare;
pub mod floor;
pub mod lines;
pub mod machine;
pub mod null_broker;
pub mod options;
pub mod own_client;
pub mod peer;
pub mod real_broker;
pub mod report;
pub mod rounds;
pub mod scenario;
pub mod stalls;
pub mod stamped;
pub mod stats;
pub mod workers;

use options::Options;
use scenario::SCENARIOS;

/// Does what a command line asks for.
///
/// # Errors
/// Says what of it can't be understood, or what of a report can't be read or written.
///
/// # Panics
/// When a measurement meets something that it does not expect: there is no result then.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<String> = arguments.iter().filter(|argument| *argument != "--bench").cloned().collect();
    if arguments.first().is_some_and(|word| word == null_broker::MODE) {
        let words = std::env::var(null_broker::ENVIRONMENT).unwrap_or_default();
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        null_broker::serve(null_broker::Settings::parse(&words)?);
        return Ok(());
    }
    if let Some(("null-broker", settings)) = arguments.split_first().map(|(word, rest)| (word.as_str(), rest)) {
        null_broker::serve(null_broker::Settings::parse(settings)?);
        return Ok(());
    }
    let options = Options::parse(arguments.into_iter())?;
    // A plain `cargo bench` asks every target, and starting workers and brokers is nothing to do unasked.
    let Some((first, rest)) = options.words.split_first() else {
        println!("{}", usage());
        return Ok(());
    };
    if first == "report" {
        return report::run(rest);
    }
    let mut chosen = Vec::new();
    for name in &options.words {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        chosen.push(found.ok_or_else(|| format!("there is no scenario {name}\n{}", usage()))?);
    }
    for scenario in chosen {
        (scenario.run)(&options);
    }
    Ok(())
}

fn usage() -> String {
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    format!(
        "usage: perf/run [--rounds N] [--against BINARY] [--noise PERCENT] [--no-peers] SCENARIO...\n\
         scenarios: {} (perf/README.md says what each of them measures)\n       \
         perf/run null-broker [--port P] [--queues N] [--records R] [--bytes B] ...\n       \
         perf/report OUTPUT-FOLDER RESULTS.jsonl...",
        names.join(" ")
    )
}
