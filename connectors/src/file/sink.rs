//! `file-sink`: appends each record's value and a `\n` to one file.
//!
//! Per batch: one status call, and a gathered write for each 1,024 pieces of memory, straight from the buffers the
//! records came in; no payload byte is copied in user space. A line is one piece if its `\n` stands behind its value
//! there already, else two: to gather a piece costs the system some 35 ns, however small it is. The file grows by
//! whole batches: when a write fails it is cut back to its length before the batch.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use rmqc_core::config::Properties;
use rmqc_core::connector::SinkTask;
use rmqc_core::context::{EndedValues, ErrantRecords, TaskContext, ValueBlocks};
use rmqc_core::converter::Converter;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::host::{Host, HostFile, LocalFuture};
use rmqc_core::limits::{FILE_BLOCK_BYTES, WRITE_VECTORS_MAX};
use rmqc_core::record::ConnectRecord;
use rmqc_core::registry::find_converter;
use rmqc_core::value::Value;

use super::config::{FileSinkConfig, Fsync, NullValue};

/// What ends a line.
const END: u8 = b'\n';
const NEWLINE: &[u8] = &[END];
/// The mark of a file to which only this sink appends.
const MARK: &str = "rmqc.file-sink";
/// Pieces of memory of a gathered write, at most, to which another line can be added: no line is divided between two writes.
const PIECES_BEFORE_LAST_MAX: usize = WRITE_VECTORS_MAX - 2;

/// The line that a record makes.
enum Line<'a> {
    /// The record's own bytes, and the newline behind them.
    Whole(&'a [u8]),
    /// The record's own bytes.
    Value(&'a [u8]),
    /// The text of a value that is not bytes.
    Text(Bytes),
}

impl Line<'_> {
    /// The line as it lies in memory, and what is to be written after that.
    fn pieces(&self) -> (&[u8], Option<&'static [u8]>) {
        match self {
            Self::Whole(bytes) => (bytes, None),
            Self::Value(bytes) => (bytes, Some(NEWLINE)),
            Self::Text(bytes) => (bytes, Some(NEWLINE)),
        }
    }

    /// Bytes of the line with its newline.
    fn len(&self) -> usize {
        let (bytes, end) = self.pieces();
        bytes.len().saturating_add(end.map_or(0, <[u8]>::len))
    }
}

/// A batch that is not wholly in the file: what must be cut away before anything else is written.
#[derive(Clone, Copy, Debug)]
struct Torn {
    /// Length of the file before the batch.
    len: u64,
    /// Most bytes that the batch can have added.
    bytes_max: u64,
}

struct OpenFile {
    file: Rc<dyn HostFile>,
    /// Whether the file's last line lacks its end, so that one must be written first.
    needs_newline: bool,
    /// Batches begun, and how many had been when the file was last put on stable storage.
    writes: u64,
    stored: Rc<Cell<u64>>,
    torn: Option<Torn>,
}

/// A task of `file-sink`.
pub struct FileSink {
    host: Rc<dyn Host>,
    config: FileSinkConfig,
    path: PathBuf,
    errant: Rc<ErrantRecords>,
    blocks: Rc<ValueBlocks>,
    /// Gives the text of values that are neither text nor bytes.
    text: Box<dyn Converter>,
    open: Option<OpenFile>,
}

impl FileSink {
    /// A task that has opened nothing yet.
    ///
    /// # Errors
    /// When the binary lacks the converter that gives structured values their text.
    pub fn new(config: FileSinkConfig, context: &TaskContext) -> Result<Self> {
        let (name, keys): (_, &[(&str, &str)]) =
            if config.json { ("json", &[("schemas.enable", "false")]) } else { ("string", &[]) };
        let Some(converter) = find_converter(name) else {
            let what = format!("the converter `{name}` is not part of this binary");
            return Err(ConnectError::fatal(Stage::Lifecycle, what));
        };
        let keys: Properties = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let text = (converter.build)(&keys).map_err(super::bad_config)?;
        let path = PathBuf::from(&config.filename);
        let (errant, blocks) = (context.errant.clone(), context.blocks.clone());
        Ok(Self { host: context.host.clone(), config, path, errant, blocks, text, open: None })
    }

    /// The lines of a batch, found right before anything is written, and the error at which they end. Records that make
    /// no line are reported one by one.
    fn lines<'a>(&self, records: &'a [ConnectRecord], blocks: &'a [Bytes]) -> (Vec<Line<'a>>, Result<()>) {
        let mut lines = Vec::with_capacity(records.len());
        let mut ended = EndedValues::new(blocks, END);
        let mut own = |bytes: &'a [u8]| ended.find(bytes).map_or(Line::Value(bytes), Line::Whole);
        for (index, record) in records.iter().enumerate() {
            if let Err(error) = self.line(record, &mut own, &mut lines)
                && let Err(error) = self.errant.report(index, error)
            {
                return (lines, Err(error));
            }
        }
        (lines, Ok(()))
    }

    /// Adds the line of a record.
    fn line<'a>(
        &self,
        record: &'a ConnectRecord,
        own: &mut impl FnMut(&'a [u8]) -> Line<'a>,
        lines: &mut Vec<Line<'a>>,
    ) -> Result<()> {
        match &record.value {
            Value::String(text) => lines.push(own(text.as_bytes())),
            Value::Bytes(bytes) => lines.push(own(bytes)),
            Value::Null => match self.config.null_value {
                NullValue::Text => lines.push(Line::Value(b"null")),
                NullValue::Skip => {}
                NullValue::Fail => return Err(self.no_value(record)),
            },
            other => {
                let topic = record.topic.as_deref().unwrap_or_default();
                let text = self.text.encode(topic, record.schema.as_deref(), other)?;
                lines.push(Line::Text(text.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn no_value(&self, record: &ConnectRecord) -> ConnectError {
        let what = format!("{}: a record without a value (null.value=fail)", self.config.filename);
        let error = ConnectError::new(Stage::Put, Retry::BadRecord, what);
        match &record.position {
            Some(position) => error.caused_by(format!("it came from {:?}", position.partition.0)),
            None => error,
        }
    }

    /// Opens the file if it is not open.
    async fn ensure_open(&mut self) -> Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let file = self.host.open_append(&self.path).await.map_err(|error| self.cannot_open(error))?;
        let status = file.status().map_err(|error| self.cannot_open(error))?;
        if !status.is_file {
            let what = format!("{} is not a regular file; name a file in `filename`", self.config.filename);
            return Err(ConnectError::fatal(Stage::Put, what));
        }
        let needs_newline = self.end_last_line(&*file, status.len).await?;
        if !needs_newline {
            self.mark(&*file);
        }
        self.open = Some(OpenFile { file, needs_newline, writes: 0, stored: Rc::default(), torn: None });
        Ok(())
    }

    /// Looks at the last line. A worker that was killed in a write may have left a part of one behind: in a file that
    /// is marked as the sink's own it is cut away, since its record was not committed and comes again. In a file that
    /// was there before it is kept and must be ended first; then this gives true.
    async fn end_last_line(&self, file: &dyn HostFile, len: u64) -> Result<bool> {
        if len == 0 || self.ends_with_newline(len).await? {
            return Ok(false);
        }
        if !file.has_mark(MARK) {
            return Ok(true);
        }
        let end = self.end_of_whole_lines(len).await?;
        file.set_len(end).await.map_err(|error| self.later("cut", error))?;
        tracing::warn!(
            file = self.config.filename,
            "{} bytes of a line that a killed worker had begun were cut away; its record comes again",
            len.saturating_sub(end)
        );
        Ok(false)
    }

    /// Marks the file as the sink's own, where the file system can.
    fn mark(&self, file: &dyn HostFile) {
        if !file.has_mark(MARK)
            && let Err(error) = file.set_mark(MARK)
        {
            tracing::debug!(file = self.config.filename, "the file can't be marked as the sink's own: {error}");
        }
    }

    /// Length of the file up to and with its last newline.
    async fn end_of_whole_lines(&self, len: u64) -> Result<u64> {
        let file = self.host.open_read(&self.path).await.map_err(|error| self.cannot_open(error))?;
        let mut block = BytesMut::new();
        let mut end = len;
        while end > 0 {
            let start = end.saturating_sub(FILE_BLOCK_BYTES as u64);
            let wanted = usize::try_from(end.saturating_sub(start)).unwrap_or(FILE_BLOCK_BYTES);
            block.clear();
            while block.len() < wanted {
                let at = start.saturating_add(block.len() as u64);
                let left = wanted.saturating_sub(block.len());
                let read = file.read_at(at, &mut block, left).await.map_err(|error| self.later("read", error))?;
                if read == 0 {
                    break;
                }
            }
            if let Some(newline) = memchr::memrchr(b'\n', &block) {
                return Ok(start.saturating_add(newline as u64).saturating_add(1));
            }
            end = start;
        }
        Ok(0)
    }

    /// Whether the last line is complete; the next one must not be glued to it.
    async fn ends_with_newline(&self, len: u64) -> Result<bool> {
        let mut last = BytesMut::with_capacity(1);
        let file = self.host.open_read(&self.path).await.map_err(|error| self.cannot_open(error))?;
        file.read_at(len.saturating_sub(1), &mut last, 1).await.map_err(|error| self.cannot_open(error))?;
        Ok(last.last().is_none_or(|byte| *byte == b'\n'))
    }

    fn cannot_open(&self, error: io::Error) -> ConnectError {
        let name = &self.config.filename;
        match error.kind() {
            io::ErrorKind::NotFound => {
                let directory = self.path.parent().unwrap_or(Path::new("")).display().to_string();
                let what = format!("can't create {name}: create its directory \"{directory}\", or correct `filename`");
                ConnectError::fatal(Stage::Put, what)
            }
            io::ErrorKind::PermissionDenied => {
                let what = format!("may not read and append to {name}; grant the worker's user both");
                ConnectError::fatal(Stage::Put, what)
            }
            io::ErrorKind::IsADirectory => {
                ConnectError::fatal(Stage::Put, format!("{name} is a directory; name a file in `filename`"))
            }
            _ => ConnectError::later(Stage::Put, format!("can't open {name}")),
        }
        .caused_by(error)
    }

    fn later(&self, action: &str, error: io::Error) -> ConnectError {
        ConnectError::later(Stage::Put, format!("can't {action} {}", self.config.filename)).caused_by(error)
    }

    /// Cuts what a failed batch left away.
    ///
    /// # Errors
    /// `Retry::Later` when the file can't be cut yet; fatal when somebody else has added to it meanwhile.
    async fn mend(&mut self) -> Result<()> {
        let Some((file, torn)) = self.open.as_ref().and_then(|open| Some((open.file.clone(), open.torn?))) else {
            return Ok(());
        };
        let len = file.status().map_err(|error| self.later("look at", error))?.len;
        if len > torn.len.saturating_add(torn.bytes_max) {
            let what = format!(
                "{}: a batch was written in part and somebody else appends to the file, so it can't be taken back; \
                 lines from byte {} on may be there twice after a restart",
                self.config.filename, torn.len
            );
            return Err(ConnectError::fatal(Stage::Put, what));
        }
        if len > torn.len {
            file.set_len(torn.len).await.map_err(|error| self.later("cut", error))?;
        }
        if let Some(open) = &mut self.open {
            open.torn = None;
        }
        Ok(())
    }

    /// Appends all lines, or nothing.
    async fn append(&mut self, lines: &[Line<'_>]) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let file = open.file.clone();
        let len = file.status().map_err(|error| trouble(&self.config, "look at", error))?.len;
        let content: usize = lines.iter().map(Line::len).sum();
        let bytes_max = content.saturating_add(NEWLINE.len()) as u64;
        // Set before the first byte is written, so that a dropped future leaves word of what it began.
        open.torn = Some(Torn { len, bytes_max });
        open.writes = open.writes.wrapping_add(1);
        let was_foreign = open.needs_newline;
        let mut in_front = was_foreign.then_some(NEWLINE);
        let mut rest = lines.iter();
        while !rest.as_slice().is_empty() {
            let mut pieces = Vec::with_capacity(rest.len().saturating_mul(2).clamp(3, WRITE_VECTORS_MAX));
            pieces.extend(in_front.take().map(IoSlice::new));
            while pieces.len() <= PIECES_BEFORE_LAST_MAX
                && let Some(line) = rest.next()
            {
                let (bytes, end) = line.pieces();
                pieces.push(IoSlice::new(bytes));
                pieces.extend(end.map(IoSlice::new));
            }
            if let Err(error) = file.append(&mut pieces).await {
                self.mend().await?;
                return Err(self.later("append to", error));
            }
        }
        if let Some(open) = &mut self.open {
            (open.torn, open.needs_newline) = (None, false);
        }
        if was_foreign {
            self.mark(&*file);
        }
        Ok(())
    }

    /// Puts what was written until now on stable storage, if anything was; what is given does not need the task.
    fn sync(&mut self) -> LocalFuture<'static, Result<()>> {
        let Some(open) = self.open.as_ref().filter(|open| open.stored.get() != open.writes) else {
            return Box::pin(async { Ok(()) });
        };
        let (file, writes, stored) = (open.file.clone(), open.writes, open.stored.clone());
        let name = self.config.filename.clone();
        Box::pin(async move {
            file.sync_data().await.map_err(|error| {
                // The system may have dropped what it could not store, and would call the next attempt a success. So the
                // records must come again from the last commit, which a restart of the task does.
                let what = format!("can't put {name} on stable storage; what was written since may be lost");
                ConnectError::fatal(Stage::Put, what).caused_by(error)
            })?;
            stored.set(writes);
            Ok(())
        })
    }

    /// Lets go of a file that no longer has the name, so that the next batch goes to a new one.
    async fn follow_name(&mut self) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let mine = open.file.status().map_err(|error| self.later("look at", error))?;
        let same = match self.host.status(&self.path).await {
            Ok(status) => (status.device, status.inode) == (mine.device, mine.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(self.later("look at", error)),
        };
        if !same {
            tracing::info!(file = %self.config.filename, "the file was moved or removed; a new one follows");
            self.open = None;
        }
        Ok(())
    }
}

fn trouble(config: &FileSinkConfig, action: &str, error: io::Error) -> ConnectError {
    ConnectError::later(Stage::Put, format!("can't {action} {}", config.filename)).caused_by(error)
}

impl SinkTask for FileSink {
    async fn start(&mut self) -> Result<()> {
        self.ensure_open().await
    }

    async fn put(&mut self, records: &[ConnectRecord]) -> Result<()> {
        let blocks = self.blocks.take();
        let (lines, end) = self.lines(records, &blocks);
        if !lines.is_empty() {
            self.ensure_open().await?;
            self.mend().await?;
            self.append(&lines).await?;
            if self.config.fsync == Fsync::Batch {
                self.sync().await?;
            }
        }
        end
    }

    async fn flush(&mut self) -> Result<()> {
        match self.flush_beside().await? {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    async fn flush_beside(&mut self) -> Result<Option<LocalFuture<'static, Result<()>>>> {
        self.mend().await?;
        let stored = (self.config.fsync != Fsync::Never).then(|| self.sync());
        self.follow_name().await?;
        Ok(Some(stored.unwrap_or_else(|| Box::pin(async { Ok(()) }))))
    }

    fn reads_extensions(&self) -> bool {
        false
    }

    fn value_end(&self) -> Option<u8> {
        Some(END)
    }

    async fn stop(&mut self) {
        if let Err(error) = self.mend().await {
            tracing::warn!(file = %self.config.filename, %error, "a batch written in part stays in the file");
        }
        self.open = None;
    }
}
