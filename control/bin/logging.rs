//! Where log lines go: all to `connect_runtime.log` in the Java worker's form, warnings and errors to stderr as well.
//! A thread of its own writes the file; who logs never waits for the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use rmqc_control::known_secrets::KnownSecrets;
use rmqc_control::logs::{LogLevel, LogLevels, LoggerLevel, NoLog, ROOT};
use rmqc_core::calendar::date_of;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt as layer, reload};

/// Size at which a file is put aside, as in the Java worker.
const FILE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Files put aside that are kept.
const FILES_MAX: usize = 20;
/// Lines that wait for the writing thread; further ones are dropped, and the shards go on.
const LINES_WAITING_MAX: usize = 16_384;

/// Loggers whose level was changed by hand.
const LOGGERS_MAX: usize = 256;

/// Starts logging. What waits is written when the guard is dropped.
///
/// # Errors
/// A directory or file that can't be written.
pub(crate) fn start(dir: &Path, known: &Arc<KnownSecrets>) -> anyhow::Result<WorkerGuard> {
    let path = dir.join("connect_runtime.log");
    fs::create_dir_all(dir)
        .with_context(|| format!("cannot create {}; set logDir to another directory", dir.display()))?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}; set logDir to another directory", path.display()))?;
    let limit = ContentLimit::BytesSurpassed(FILE_BYTES_MAX);
    let file = FileRotate::new(path, AppendCount::new(FILES_MAX), limit, Compression::None, None);
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("log")
        .finish(Scrubbing { inner: file, known: Arc::clone(known) });
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (filter, handle) = reload::Layer::new(filter(&directives));
    let to_file = layer::layer().event_format(JavaPattern).with_ansi(false).with_writer(writer).with_filter(filter);
    let of_console = Arc::clone(known);
    let to_console = layer::layer()
        .event_format(JavaPattern)
        .with_ansi(false)
        .with_writer(move || Scrubbing { inner: std::io::stderr(), known: Arc::clone(&of_console) })
        .with_filter(LevelFilter::WARN);
    tracing_subscriber::registry().with(to_file).with(to_console).try_init().context("cannot start logging")?;
    let _ = LEVELS.set(Levels::new(directives, handle));
    Ok(guard)
}

/// Takes all known secrets out of lines on their way: a connector may log its own password. Each write is one line or
/// several; to the file it happens on the writing thread.
struct Scrubbing<W> {
    inner: W,
    known: Arc<KnownSecrets>,
}

impl<W: Write> Write for Scrubbing<W> {
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(lines);
        self.inner.write_all(self.known.scrub(&text).as_bytes())?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// The filter that these directives, as `RUST_LOG` has them, stand for; what is not said is logged from level INFO on.
fn filter(directives: &str) -> EnvFilter {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(directives)
}

/// The levels of what this process logs, once it does.
static LEVELS: OnceLock<Arc<Levels>> = OnceLock::new();

/// What changes the levels of this process; nothing does before [`start`].
pub(crate) fn levels() -> Arc<dyn LogLevels> {
    match LEVELS.get() {
        Some(levels) => Arc::<Levels>::clone(levels),
        None => Arc::new(NoLog),
    }
}

/// Swaps the log file's filter for one with other levels.
#[derive(Debug)]
struct Levels {
    /// What the environment said at the start.
    directives: String,
    handle: reload::Handle<EnvFilter, Registry>,
    /// What was changed since.
    changed: Mutex<BTreeMap<String, LoggerLevel>>,
}

impl Levels {
    fn new(directives: String, handle: reload::Handle<EnvFilter, Registry>) -> Arc<Self> {
        Arc::new(Self { directives, handle, changed: Mutex::default() })
    }

    /// The levels that `RUST_LOG` gives, those of spans and fields apart.
    fn at_start(&self) -> BTreeMap<String, LoggerLevel> {
        let level = |level| LoggerLevel { level, changed_ms: None };
        let mut all = BTreeMap::from([(ROOT.to_owned(), level(LogLevel::Info))]);
        for directive in self.directives.split(',').map(str::trim) {
            let (logger, word) = directive.split_once('=').unwrap_or((ROOT, directive));
            if let (true, Some(known)) = (is_logger(logger), LogLevel::parse(word)) {
                all.insert(logger.to_owned(), level(known));
            }
        }
        all
    }
}

/// Whether a name can be that of a part of a program.
fn is_logger(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | ':' | '-'))
}

impl LogLevels for Levels {
    fn levels(&self) -> BTreeMap<String, LoggerLevel> {
        let mut all = self.at_start();
        all.extend(self.changed.lock().unwrap_or_else(PoisonError::into_inner).clone());
        all
    }

    fn set(&self, logger: &str, level: LogLevel) -> Result<Vec<String>, String> {
        if !is_logger(logger) {
            return Err(format!("{logger} is no logger: use root, or a part of the program such as rmqc_io::consumer"));
        }
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = changed.clone();
        if !next.contains_key(logger) && next.len() >= LOGGERS_MAX {
            return Err(format!("{LOGGERS_MAX} loggers have a level of their own already; change one of them"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        next.insert(logger.to_owned(), LoggerLevel { level, changed_ms: i64::try_from(now).ok() });
        let directive = |(name, level): (&String, &LoggerLevel)| match name.as_str() {
            ROOT => level.level.name().to_owned(),
            name => format!("{name}={}", level.level.name()),
        };
        let directives: Vec<_> = std::iter::once(self.directives.clone())
            .filter(|text| !text.is_empty())
            .chain(next.iter().map(directive))
            .collect();
        self.handle
            .reload(filter(&directives.join(",")))
            .map_err(|error| format!("the log can't be changed: {error}"))?;
        *changed = next;
        Ok(vec![logger.to_owned()])
    }
}

/// `yyyy-MM-dd HH:mm:ss LEVEL thread - message`, time in GMT+8.
struct JavaPattern;

impl<S, N> FormatEvent<S, N> for JavaPattern
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("thread");
        write!(writer, "{} {} {name} - ", Stamp(now), event.metadata().level())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Seconds since 1970, shown as date and time in GMT+8.
struct Stamp(u64);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.saturating_add(8 * 3600);
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date_of(i64::try_from(days).unwrap_or(i64::MAX));
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_are_taken_out_of_every_line() {
        let known = Arc::new(KnownSecrets::default());
        let mut out = Vec::new();
        let mut writer = Scrubbing { inner: &mut out, known: Arc::clone(&known) };
        writer.write_all(b"before: hunter2\n").unwrap();
        known.learn("c", &[("hunter2".to_owned(), "******".to_owned())]);
        writer.write_all(b"after: hunter2!\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "before: hunter2\nafter: ******!\n");
    }

    /// What was logged, line by line.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// The messages so far, without what stands before them in a line.
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(|line| line.split_once(" - ").unwrap().1.to_owned()).collect()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_level_that_is_set_is_in_force_at_once_and_undone_by_another() {
        let (filter, handle) = reload::Layer::new(filter("rmqc_io=warn"));
        let levels = Levels::new("rmqc_io=warn".to_owned(), handle);
        let lines = Lines::default();
        let written = lines.clone();
        let to_lines = layer::layer().event_format(JavaPattern).with_ansi(false).with_writer(move || written.clone());
        let subscriber = tracing_subscriber::registry().with(to_lines.with_filter(filter));
        // Beside another subscriber tracing can't tell by itself what is off: only what is written counts.
        let _other = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::subscriber::with_default(subscriber, || {
            let logged = || {
                tracing::info!(target: "rmqc_io::consumer", "pulled");
                tracing::debug!(target: "rmqc_control", "stored");
                lines.take()
            };
            assert_eq!(logged(), [""; 0]);
            assert_eq!(levels.set("rmqc_io::consumer", LogLevel::Info), Ok(vec!["rmqc_io::consumer".to_owned()]));
            levels.set("rmqc_control", LogLevel::Trace).unwrap();
            assert_eq!(logged(), ["pulled", "stored"]);
            levels.set("rmqc_control", LogLevel::Off).unwrap();
            assert_eq!(logged(), ["pulled"]);
            assert!(levels.set("a=trace,b", LogLevel::Info).is_err());
        });
        let shown: Vec<_> = levels.levels().into_iter().map(|(name, one)| (name, one.level)).collect();
        let expected = [
            ("rmqc_control", LogLevel::Off),
            ("rmqc_io", LogLevel::Warn),
            ("rmqc_io::consumer", LogLevel::Info),
            ("root", LogLevel::Info),
        ];
        assert_eq!(shown, expected.map(|(name, level)| (name.to_owned(), level)));
    }

    #[test]
    fn stamps_are_dates_in_gmt_plus_8() {
        for (seconds, text) in [
            (0, "1970-01-01 08:00:00"),
            (951_753_600, "2000-02-29 00:00:00"),
            (1_700_000_000, "2023-11-15 06:13:20"),
            (1_709_222_399, "2024-02-29 23:59:59"),
            (4_107_513_600, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(Stamp(seconds).to_string(), text);
        }
    }
}
