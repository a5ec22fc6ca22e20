//! `rmqc-fast top`: what a worker does now, on a terminal, every second anew. What keys and documents do to what is shown
//! is in `model`, how it looks in `view` and `detail`; here is what touches the terminal and the network.

mod asker;
mod detail;
mod model;
mod plain;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use crossterm::event::{self, Event};
use rmqc_control::rest::flow::FlowV1;
use serde_json::Value;

use self::asker::Asker;
use self::model::{Effect, Model};
use self::terminal::{Ending, Screen};
use crate::client::RequestError;
use crate::command::{Asking, Session, usage};

/// The path that is asked.
const FLOW: &str = "/v1/flow";
/// Pause between two questions.
const REFRESH: Duration = Duration::from_secs(1);
/// Longest wait for a key before answers are looked at.
const KEY_PATIENCE: Duration = Duration::from_millis(50);

/// Shows what a worker does now: shards, connectors with rates, lag, latencies and what limits them, every second anew.
#[derive(Args, Debug)]
#[command(after_help = "Keys: arrows or j and k choose, Enter shows a connector, Esc goes back, s sorts, p pauses or \
                        resumes, r restarts, ? helps, q ends.\n\nExamples:\n  rmqc-fast top\n  rmqc-fast top --server \
                        10.0.0.5:8082\n  rmqc-fast top --once | less\n  rmqc-fast top --json")]
pub(crate) struct Top {
    #[command(flatten)]
    asking: Asking,
    /// Print one frame as plain text and end.
    #[arg(long)]
    once: bool,
}

impl Top {
    /// Shows until the user ends it.
    ///
    /// # Errors
    /// With `--once` and `--json` no worker; else a terminal that can't be used.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        if self.once || self.asking.json {
            return self.asking.run(|session| {
                let document = one_document(session)?;
                let flow: FlowV1 = serde_json::from_value(document.clone())?;
                session.show(&document, |_| plain::page(&flow));
                Ok(ExitCode::SUCCESS)
            });
        }
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return usage("top needs a terminal; --once prints one frame as plain text, --json one document");
        }
        let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        self.watch(Model::new(colours))?;
        Ok(ExitCode::SUCCESS)
    }

    fn watch(&self, mut model: Model) -> anyhow::Result<()> {
        let asker = Asker::start(&self.asking.server)?;
        let ending = Ending::listen()?;
        let mut screen = Screen::open()?;
        let mut answered = Instant::now();
        while !ending.is_wanted() {
            model.silent_seconds = answered.elapsed().as_secs();
            screen.draw(&model)?;
            // Whatever comes first: a key, an answer, or the next second of silence.
            if event::poll(KEY_PATIENCE)?
                && let Event::Key(key) = event::read()?
                && key.is_press()
            {
                match model.key(key) {
                    Effect::None => {}
                    Effect::Quit => return Ok(()),
                    Effect::Change(change) => asker.change(change, &mut model),
                }
            }
            while let Some(answer) = asker.answer() {
                if matches!(answer, asker::Answer::Flow(Ok(_))) {
                    answered = Instant::now();
                }
                model.take(answer);
            }
        }
        Ok(())
    }
}

/// One document that has something to compare with, if the worker can give one.
fn one_document(session: &Session) -> Result<Value, RequestError> {
    let first = session.get(FLOW)?;
    if first.get("window_ms").and_then(Value::as_u64) != Some(0) {
        return Ok(first);
    }
    std::thread::sleep(REFRESH);
    session.get(FLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_other_versions_are_read() {
        let flow: FlowV1 = serde_json::from_str(r#"{"connectors":[{"name":"c","new":1}],"later":{}}"#).unwrap();
        assert_eq!(flow.connectors[0].name, "c");
    }
}
