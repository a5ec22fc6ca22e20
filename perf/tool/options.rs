//! What a run is asked to do: words of the command line, and sizes from the environment.

use std::path::PathBuf;

/// Rounds without another wish: enough for a median that one bad round does not move.
const ROUNDS: u32 = 5;
/// Percent that two measurements of the same thing may differ before a summary is marked as noisy.
const NOISE_PERCENT: f64 = 10.0;

/// The command line, understood.
#[derive(Clone, Debug)]
pub struct Options {
    /// Scenarios or a mode with its arguments, in their order.
    pub words: Vec<String>,
    /// Rounds in which every side is measured once.
    pub rounds: u32,
    /// Another build of the worker, measured in turn with the first.
    pub against: Option<PathBuf>,
    /// Largest spread of a result that may be cited, in percent.
    pub noise_percent: f64,
    /// Peers in JVMs, too.
    pub peers: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// Names the word that can't be understood.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { words: Vec::new(), rounds: ROUNDS, against: None, noise_percent: NOISE_PERCENT, peers: true };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument}: a value should follow"));
            match argument.as_str() {
                "--rounds" => {
                    let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = rounds.ok_or("--rounds: a number from 1 on should follow")?;
                }
                "--against" => {
                    let path = PathBuf::from(value()?);
                    let whole =
                        path.canonicalize().map_err(|error| format!("--against {}: {error}", path.display()))?;
                    options.against = Some(whole);
                }
                "--noise" => {
                    options.noise_percent =
                        value()?.parse().map_err(|_| "--noise: a number of percent should follow")?;
                }
                "--no-peers" => options.peers = false,
                flag if flag.starts_with("--") => return Err(format!("{flag}: unknown")),
                _ => options.words.push(argument),
            }
        }
        Ok(options)
    }
}

/// A number from the environment, or its default.
///
/// # Panics
/// If it is set to something else.
pub fn setting(name: &str, default: u64) -> u64 {
    setting_if(name).unwrap_or(default)
}

/// A number from the environment, if it is set.
///
/// # Panics
/// If it is set to something else.
pub fn setting_if(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A list of numbers from the environment, or its default.
///
/// # Panics
/// If it is set to something else.
pub fn list(name: &str, default: &[u64]) -> Vec<u64> {
    let Ok(text) = std::env::var(name) else { return default.to_vec() };
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("{name}={text}: {word} is no number"));
    text.split_whitespace().map(number).collect()
}
