//! Where log lines go: all to `connect_runtime.log` in the Java worker's form, warnings and errors to stderr as well.
//! A thread of its own writes the file; who logs never waits for the disk.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use rmqc_control::known_secrets::KnownSecrets;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as layer};

/// Size at which a file is put aside, as in the Java worker.
const FILE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Files put aside that are kept.
const FILES_MAX: usize = 20;
/// Lines that wait for the writing thread; further ones are dropped, and the shards go on.
const LINES_WAITING_MAX: usize = 16_384;

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
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let to_file = layer::layer().event_format(JavaPattern).with_ansi(false).with_writer(writer).with_filter(filter);
    let of_console = Arc::clone(known);
    let to_console = layer::layer()
        .event_format(JavaPattern)
        .with_ansi(false)
        .with_writer(move || Scrubbing { inner: std::io::stderr(), known: Arc::clone(&of_console) })
        .with_filter(LevelFilter::WARN);
    tracing_subscriber::registry().with(to_file).with(to_console).try_init().context("cannot start logging")?;
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
        // Years begin in March here, so that the leap day is the last day of a year; days are counted from 0000-03-01.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
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
