//! Progress on stderr for whoever sits at a terminal. Never on stdout, which has the result; without a terminal there are
//! plain lines where something takes long, or nothing.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done sooner is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_millis(300);
/// Pause between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// Pause between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Words that wait to be shown.
const WORDS_MAX: usize = 16;

const BAR: &str = "{bar:40} {percent:>3} % {msg}, {elapsed}, {bytes_per_sec}, {eta} left";
const SPINNER: &str = "{spinner} {msg} … {elapsed}";

fn style(template: &str) -> ProgressStyle {
    // Templates are constants; one that is wrong shows in the test below.
    let plain = ProgressStyle::default_bar().progress_chars("#- ");
    plain.template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn on_stderr(length: Option<u64>) -> ProgressBar {
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
}

/// The way to a known number of bytes.
pub(crate) struct Way {
    goal: u64,
    what: &'static str,
    bar: ProgressBar,
    start: Instant,
    told: Instant,
}

impl Way {
    /// Nothing of it is done; `what` follows the percentage.
    pub fn new(goal: u64, what: &'static str) -> Self {
        let bar = on_stderr(Some(goal)).with_style(style(BAR)).with_message(what);
        let now = Instant::now();
        Self { goal, what, bar, start: now, told: now }
    }

    /// So much is done.
    pub fn show(&mut self, there: u64) {
        self.bar.set_position(there.min(self.goal));
        if !self.bar.is_hidden() || self.told.elapsed() < LINE_INTERVAL {
            return;
        }
        self.told = Instant::now();
        let line = self.line(there, self.start.elapsed());
        // Progress that can't be shown is no failure.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn line(&self, there: u64, passed: Duration) -> String {
        let percent = there.saturating_mul(100) / self.goal.max(1);
        format!("{percent:3} % {}, {:.1} s", self.what, passed.as_secs_f64())
    }

    /// It is over, whether all is done or not; the bar stays to be read.
    pub fn end(&self) {
        self.bar.abandon();
    }
}

/// Something whose end nobody knows. It is shown from its third tenth of a second on, and goes with the value.
pub(crate) struct Waiting {
    words: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// It begins.
    pub fn start(what: impl Into<String>) -> Self {
        let (words, heard) = sync_channel(WORDS_MAX);
        let what = what.into();
        // Without a thread there is no progress to see, and no harm done.
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || spin(what, &heard)).ok();
        Self { words: Some(words), thread }
    }

    /// What is being done from now on.
    pub fn now(&self, what: impl Into<String>) {
        // Nobody waits for a spinner.
        let _ = self.words.as_ref().map(|words| words.try_send(what.into()));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.words = None;
        // The line has to be gone before anything else is printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn spin(mut what: String, heard: &Receiver<String>) {
    let begun = Instant::now();
    let mut bar = None;
    loop {
        let pause = if bar.is_none() { WORTH_A_LINE.saturating_sub(begun.elapsed()) } else { FRAME };
        match heard.recv_timeout(pause) {
            Ok(word) => what = word,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if begun.elapsed() >= WORTH_A_LINE {
            let bar =
                bar.get_or_insert_with(|| on_stderr(None).with_style(style(SPINNER)).with_elapsed(begun.elapsed()));
            bar.set_message(what.clone());
            bar.tick();
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_right() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn lines_tell_the_share_and_the_time() {
        let way = Way::new(200, "at the sink");
        assert_eq!(way.line(50, Duration::from_millis(1500)), " 25 % at the sink, 1.5 s");
        assert_eq!(Way::new(0, "x").line(0, Duration::ZERO), "  0 % x, 0.0 s");
    }

    #[test]
    fn a_wait_ends_with_its_value() {
        let began = Instant::now();
        for _ in 0..3 {
            let waiting = Waiting::start("a");
            waiting.now("b");
        }
        assert!(began.elapsed() < WORTH_A_LINE * 3, "nobody is held up: {:?}", began.elapsed());
    }
}
