//! The terminal: taken over, drawn on, and given back whatever happens.

use std::io::{self, Stdout};
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::{SignalKind, signal};

use super::model::Model;
use super::view;

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static;

/// The terminal while it shows frames.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// What a panic did before.
    hook: Arc<Hook>,
    shown: Option<Model>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it can't be; then it is as it was.
    pub fn open() -> io::Result<Self> {
        let hook: Arc<Hook> = Arc::from(take_hook());
        let before = Arc::clone(&hook);
        // What a panic says must not end up on a screen that is about to go.
        set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        let opened = enable_raw_mode()
            .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match opened {
            Ok(terminal) => Ok(Self { terminal, hook, shown: None }),
            Err(error) => {
                give_back();
                set_hook(Box::new(move |info| hook(info)));
                Err(error)
            }
        }
    }

    /// Draws a frame, if anything in it changed.
    ///
    /// # Errors
    /// When the terminal takes nothing more.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        // A change of the terminal's size is noticed while drawing.
        let size = self.terminal.size()?;
        let same = self.shown.as_ref() == Some(model) && self.terminal.get_frame().area().as_size() == size;
        if !same {
            self.terminal.draw(|frame| view::draw(frame, model))?;
            self.shown = Some(model.clone());
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        // The hook can't be changed in the midst of a panic.
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// Whether somebody else wants the program to end: the terminal has to be given back first.
pub(super) struct Ending(Arc<AtomicBool>);

impl Ending {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system gives no thread or no handler.
    pub fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut terminate, mut hang_up) = {
            let _inside = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
        };
        let wanted = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&wanted);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = terminate.recv() => {}, _ = hang_up.recv() => {} }
            });
            heard.store(true, Ordering::Relaxed);
        })?;
        Ok(Self(wanted))
    }

    /// Whether it is wanted.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Leaves the terminal as a shell expects it. What fails here can't be helped.
fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}
