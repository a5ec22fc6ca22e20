//! Asks the worker on a thread of its own, so that a worker that is slow to answer holds up no key.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Instant;

use rmqc_control::rest::flow::FlowV1;

use super::model::{Change, Model};
use super::{FLOW, REFRESH};
use crate::client::{Client, ServerFlags};

/// Changes that wait while the worker is slow.
const CHANGES_MAX: usize = 4;

/// What came back.
pub(super) enum Answer {
    /// A document, or why there is none.
    Flow(Result<Box<FlowV1>, String>),
    /// What became of a change, in a sentence.
    Changed(String),
}

/// The thread's ends.
pub(super) struct Asker {
    changes: SyncSender<Change>,
    answers: Receiver<Answer>,
}

impl Asker {
    /// Starts asking; the thread ends with the value, or at its next answer after that.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(flags: &ServerFlags) -> std::io::Result<Self> {
        let client = Client::new(flags);
        let (changes, wanted) = sync_channel(CHANGES_MAX);
        // At most one answer a question comes: the questions are bounded.
        let (told, answers) = channel();
        thread::Builder::new().name("top".to_owned()).spawn(move || ask(&client, &wanted, &told))?;
        Ok(Self { changes, answers })
    }

    /// Asks for a change, unless too many wait.
    pub fn change(&self, change: Change, model: &mut Model) {
        match self.changes.try_send(change) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => model.message = "the worker is slow to answer; try again".to_owned(),
            Err(TrySendError::Disconnected(_)) => model.message = "nobody asks the worker any more".to_owned(),
        }
    }

    /// The next answer that is there.
    pub fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

fn ask(client: &Client, wanted: &Receiver<Change>, told: &Sender<Answer>) {
    loop {
        let asked = Instant::now();
        if told.send(Answer::Flow(flow(client))).is_err() {
            return;
        }
        match wanted.recv_timeout(REFRESH.saturating_sub(asked.elapsed())) {
            // What comes of a change is wanted at once, so the next question follows.
            Ok(change) => {
                if told.send(Answer::Changed(carry_out(client, &change))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn flow(client: &Client) -> Result<Box<FlowV1>, String> {
    let document = client.json("GET", FLOW, None).map_err(|error| error.to_string())?;
    let flow = serde_json::from_value(document);
    flow.map(Box::new)
        .map_err(|error| format!("{FLOW} answers with something else: {error}; is the worker of this version?"))
}

fn carry_out(client: &Client, change: &Change) -> String {
    match client.json(change.method, &change.path, None) {
        Ok(_) => change.done.clone(),
        Err(error) => error.to_string(),
    }
}
