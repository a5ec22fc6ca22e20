//! What is shown, and what keys and documents do to it. Pure.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rmqc_control::rest::flow::{ConnectorFlowV1, FlowV1};

use super::asker::Answer;
use super::detail;
use crate::command::connector_path;
use crate::command::output::line;

#[cfg(test)]
mod tests;

/// Seconds in the sparkline.
pub(super) const HISTORY_MAX: usize = 120;

/// In which order connectors stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// By name.
    #[default]
    Name,
    /// The most records a second first.
    Rate,
    /// The most that wait first.
    Lag,
    /// The worst first.
    Health,
}

impl Sort {
    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "records/s",
            Self::Lag => "lag",
            Self::Health => "health",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Name => Self::Rate,
            Self::Rate => Self::Lag,
            Self::Lag => Self::Health,
            Self::Health => Self::Name,
        }
    }
}

/// What fills the middle of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Page {
    /// All connectors.
    #[default]
    Table,
    /// The chosen one, from this line on.
    Detail(u16),
    /// The keys.
    Help,
}

/// What a key asks for beyond what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The end.
    Quit,
    /// A request to the worker.
    Change(Change),
}

/// A request to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Its method.
    pub method: &'static str,
    /// Its path.
    pub path: String,
    /// What to say when it is done.
    pub done: String,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// The last document; none before the first.
    pub flow: Option<FlowV1>,
    /// Why the last question had no answer.
    pub trouble: Option<String>,
    /// Seconds since the last document.
    pub silent_seconds: u64,
    /// The chosen connector's name.
    pub chosen: Option<String>,
    /// The order of the table.
    pub sort: Sort,
    /// What fills the screen.
    pub page: Page,
    /// A question to the user: restart this connector?
    pub question: Option<String>,
    /// What became of the last change.
    pub message: String,
    /// Whether colours may be used.
    pub colours: bool,
    /// Records a second, all connectors together, the oldest first.
    pub history: VecDeque<u64>,
    /// Number of the last document, to tell two models apart.
    documents: u64,
}

impl PartialEq for Model {
    /// Whether both look the same.
    fn eq(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.documents, one.silent_seconds, one.sort, one.page, one.colours);
        let texts = |one: &Self| (one.trouble.clone(), one.chosen.clone(), one.question.clone(), one.message.clone());
        key(self) == key(other) && texts(self) == texts(other)
    }
}

impl Model {
    /// Nothing yet.
    pub fn new(colours: bool) -> Self {
        Self { colours, ..Self::default() }
    }

    /// The connectors in the order of the table.
    pub fn connectors(&self) -> Vec<&ConnectorFlowV1> {
        let mut all: Vec<&ConnectorFlowV1> = self.flow.iter().flat_map(|flow| &flow.connectors).collect();
        let down = |one: Option<f64>, other: Option<f64>| other.unwrap_or(-1.0).total_cmp(&one.unwrap_or(-1.0));
        let order = |one: &&ConnectorFlowV1, other: &&ConnectorFlowV1| match self.sort {
            Sort::Name => Ordering::Equal,
            Sort::Rate => down(one.records_per_second, other.records_per_second),
            Sort::Lag => other.lag_records.cmp(&one.lag_records),
            Sort::Health => badness(&other.health.state).cmp(&badness(&one.health.state)),
        };
        all.sort_by(|one, other| order(one, other).then_with(|| one.name.cmp(&other.name)));
        all
    }

    /// The chosen one's place in the table, and itself.
    pub fn chosen(&self) -> Option<(usize, &ConnectorFlowV1)> {
        let all = self.connectors();
        all.into_iter().enumerate().find(|(_, one)| Some(&one.name) == self.chosen.as_ref())
    }

    /// Takes in what came from the worker.
    pub fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Changed(sentence) => self.message = sentence,
            Answer::Flow(Err(trouble)) => self.trouble = Some(trouble),
            Answer::Flow(Ok(flow)) => {
                self.trouble = None;
                let sum: f64 = flow.connectors.iter().filter_map(|one| one.records_per_second).sum();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "drawn as a bar")]
                self.history.push_back(sum.max(0.0) as u64);
                if self.history.len() > HISTORY_MAX {
                    self.history.pop_front();
                }
                self.flow = Some(*flow);
                self.documents += 1;
                if self.chosen().is_none() {
                    self.chosen = self.connectors().first().map(|one| one.name.clone());
                    // What it is about is gone.
                    if matches!(self.page, Page::Detail(_)) {
                        self.page = Page::Table;
                    }
                    self.question = None;
                }
            }
        }
    }

    /// Does what a key says.
    pub fn key(&mut self, key: KeyEvent) -> Effect {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Effect::Quit;
        }
        if let Some(name) = self.question.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => self.restart(&name),
                _ => Effect::None,
            };
        }
        self.message.clear();
        match key.code {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Char('?') => self.page = if self.page == Page::Help { Page::Table } else { Page::Help },
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => self.page = Page::Table,
            KeyCode::Enter | KeyCode::Right if self.page == Page::Table && self.chosen.is_some() => {
                self.page = Page::Detail(0);
            }
            KeyCode::Enter => self.page = Page::Table,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            KeyCode::Char('r') => self.question.clone_from(&self.chosen),
            KeyCode::Char('p') => return self.pause(),
            _ => {}
        }
        Effect::None
    }

    /// Goes down the table, or the page.
    fn step(&mut self, by: i16) {
        match self.page {
            Page::Detail(from) => {
                let lines = self.chosen().map_or(0, |(_, one)| detail::lines(one, false).len());
                let last = u16::try_from(lines.saturating_sub(1)).unwrap_or(u16::MAX);
                self.page = Page::Detail(from.saturating_add_signed(by).min(last));
            }
            Page::Help => {}
            Page::Table => {
                let all: Vec<String> = self.connectors().iter().map(|one| one.name.clone()).collect();
                let at = self.chosen().map_or(0, |(at, _)| at);
                let to = at.saturating_add_signed(isize::from(by)).min(all.len().saturating_sub(1));
                self.chosen = all.get(to).cloned();
            }
        }
    }

    fn pause(&self) -> Effect {
        let Some((_, one)) = self.chosen() else { return Effect::None };
        let (action, what) = if one.state == "RUNNING" { ("pause", "is paused") } else { ("resume", "goes on") };
        Effect::Change(Change {
            method: "PUT",
            path: format!("{}/{action}", connector_path(&one.name)),
            done: format!("{} {what}", line(&one.name)),
        })
    }

    fn restart(&self, name: &str) -> Effect {
        Effect::Change(Change {
            method: "POST",
            path: format!("{}/restart?includeTasks=true", connector_path(name)),
            done: format!("{} and its tasks are restarted", line(name)),
        })
    }
}

/// The worse, the more.
fn badness(health: &str) -> usize {
    ["HEALTHY", "PAUSED", "CATCHING_UP", "DEGRADED", "STALLED", "FAILED"]
        .iter()
        .position(|one| *one == health)
        .unwrap_or_default()
}
