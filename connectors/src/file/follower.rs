//! Follows one file by its name: waits until it is there, reads what is added, notices when it is cut or replaced.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch};
use rmqc_core::position::{Position, RecordOffset, RecordPartition};
use rmqc_core::record::{ConnectRecord, Extensions, RecordBatch};
use rmqc_core::schema::{FieldType, Schema};
use rmqc_core::value::Value;

use super::config::{FileSourceConfig, StartAt, Unterminated};
use super::reader::{FileLine, LineTooLong, Progress, Reader};

/// Name of the partition's member.
pub(super) const PARTITION_FIELD: &str = "filename";
/// Name of the offset's member.
pub(super) const OFFSET_FIELD: &str = "nextPosition";

/// Where the first file of that name is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    At(u64),
    End,
}

struct OpenFile {
    file: Rc<dyn HostFile>,
    status: FileStatus,
    /// Another file was seen under the name; this one is read to its end, then left.
    replaced: bool,
}

/// What all records of one file have in common.
struct Template {
    topic: Option<Arc<str>>,
    extensions: Extensions,
    schema: Arc<Schema>,
    partition: Arc<RecordPartition>,
}

impl Template {
    /// Made in place: a record is 200 bytes, and one move of it costs as much as finding the line's end.
    #[inline(always)]
    fn record(&self, line: FileLine, timestamp_ms: i64) -> ConnectRecord {
        let offset = RecordOffset::Counter { field: OFFSET_FIELD, value: line.next_position };
        ConnectRecord {
            topic: self.topic.clone(),
            key: Value::Null,
            key_schema: None,
            value: Value::String(rmqc_core::value::Text::from_bytes(line.text)),
            schema: Some(self.schema.clone()),
            extensions: self.extensions.clone(),
            timestamp_ms: Some(timestamp_ms),
            position: Some(Position { partition: self.partition.clone(), offset }),
        }
    }
}

/// Where the lines of one pass go.
pub(super) struct Pass<'a> {
    pub host: &'a dyn Host,
    pub batch: &'a mut RecordBatch,
    /// Most records that the batch may hold after this pass.
    pub records_max: usize,
    /// Timestamp of this pass's records.
    pub timestamp_ms: i64,
}

impl Pass<'_> {
    pub fn is_full(&self) -> bool {
        self.batch.is_full() || self.batch.len() >= self.records_max
    }
}

/// One file that is followed.
pub(super) struct Follower {
    name: String,
    path: PathBuf,
    template: Template,
    unterminated: Unterminated,
    line_bytes_max: usize,
    /// Tells of changes. None while the system grants no watch; then the source looks from time to time.
    pub watch: Option<Box<dyn HostWatch>>,
    /// Whether there may be something to read.
    pub look: bool,
    entry: Entry,
    open: Option<OpenFile>,
    reader: Reader,
    /// The unterminated line as it was last seen: position, length, and since when it has been so.
    tail_seen: Option<(u64, usize, MonotonicTime)>,
    /// Whether the trouble with this file has been reported.
    reported: bool,
}

impl Follower {
    pub fn new(name: &str, config: &FileSourceConfig, stored: Option<u64>) -> Self {
        let entry = match (stored, config.start_at) {
            (Some(position), _) => Entry::At(position),
            (None, StartAt::Beginning) => Entry::At(0),
            (None, StartAt::End) => Entry::End,
        };
        let schema_name = Arc::from(format!("{name}_line"));
        let schema = Schema { name: Some(schema_name), ..Schema::required(FieldType::String) };
        let mut extensions = Extensions::Empty;
        if let Some(topic) = &config.topic {
            extensions.set("topic", topic.as_ref());
        }
        Self {
            name: name.to_owned(),
            path: PathBuf::from(name),
            template: Template {
                topic: config.topic.clone(),
                extensions,
                schema: Arc::new(schema),
                partition: Arc::new(RecordPartition::single(PARTITION_FIELD, name)),
            },
            unterminated: config.unterminated,
            line_bytes_max: config.line_bytes_max,
            watch: None,
            look: true,
            entry,
            open: None,
            reader: Reader::new(0, config.line_bytes_max),
            tail_seen: None,
            reported: false,
        }
    }

    /// Checks what can be told at once, and settles where a file that is there is entered.
    ///
    /// # Errors
    /// When the name belongs to something that can't be followed, or that may not be read.
    pub async fn start(&mut self, host: &dyn Host) -> Result<()> {
        self.ensure_watch(host);
        match host.open_read(&self.path).await {
            Ok(file) => self.enter(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // What appears later is new from its first byte on.
                if self.entry == Entry::End {
                    self.entry = Entry::At(0);
                }
                tracing::info!(file = %self.name, "the file is not there yet; waiting for it");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let what = format!("may not read {}; grant the worker's user read permission", self.name);
                Err(ConnectError::fatal(Stage::Lifecycle, what).caused_by(error))
            }
            Err(error) => Err(self.trouble("open", error)),
        }
    }

    /// Adds lines until the batch is full or the file has no more; then clears `look`. Safe to drop.
    ///
    /// # Errors
    /// What the system answers (`Retry::Later`), or a line that is too long. Lines before it are in the batch.
    pub async fn fill(&mut self, pass: &mut Pass<'_>) -> Result<()> {
        self.ensure_watch(pass.host);
        loop {
            self.take_lines(pass)?;
            if pass.is_full() {
                return Ok(());
            }
            self.reader.check_tail().map_err(|error| self.too_long(&error))?;
            if !self.read_on(pass).await? {
                self.look = false;
                return Ok(());
            }
            pass.host.yield_if_needed().await;
        }
    }

    /// Reports an error that is not handed on because other files had records; once until the file is well again.
    pub fn report(&mut self, error: &ConnectError) {
        if !std::mem::replace(&mut self.reported, true) {
            tracing::warn!(file = %self.name, %error, "the file can't be followed for now");
        }
    }

    /// Bytes that wait to be read, and when they were written at the latest, in ms since 1970.
    pub fn waiting(&self) -> (u64, Option<i64>) {
        self.reader.waiting()
    }

    /// When the unterminated line is due.
    pub fn deadline(&self) -> Option<MonotonicTime> {
        match (self.unterminated, self.tail_seen) {
            (Unterminated::DeliverAfter(timeout), Some((_, _, since))) => Some(since.saturating_add(timeout)),
            _ => None,
        }
    }

    fn take_lines(&mut self, pass: &mut Pass<'_>) -> Result<()> {
        while !pass.is_full() {
            match self.reader.next_line() {
                Ok(Some(line)) => self.push(line, pass),
                Ok(None) => break,
                Err(error) => return Err(self.too_long(&error)),
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn push(&self, line: FileLine, pass: &mut Pass<'_>) {
        let bytes = line.text.len();
        pass.batch.push(self.template.record(line, pass.timestamp_ms), bytes);
    }

    /// Reads the next block; gives whether there may be more lines.
    async fn read_on(&mut self, pass: &mut Pass<'_>) -> Result<bool> {
        if self.open.is_none() {
            match pass.host.open_read(&self.path).await {
                Ok(file) => self.enter(file)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(self.trouble("open", error)),
            }
        }
        let Some(file) = self.open.as_ref().map(|open| open.file.clone()) else { return Ok(false) };
        let progress = self.reader.read_on(file.as_ref()).await.map_err(|error| self.trouble("read", error))?;
        self.reported = false;
        match progress {
            Progress::Read => Ok(true),
            Progress::Truncated { position, len } => {
                tracing::warn!(file = %self.name, position, len, "the file was cut; reading from its beginning");
                Ok(true)
            }
            Progress::End => self.at_end(pass).await,
        }
    }

    /// Takes up a file that was just opened under the name.
    fn enter(&mut self, file: Rc<dyn HostFile>) -> Result<()> {
        let status = file.status().map_err(|error| self.trouble("open", error))?;
        if !status.is_file {
            let what = format!("{} is not a regular file; name a file in `filename`", self.name);
            return Err(ConnectError::fatal(Stage::Poll, what));
        }
        let position = match std::mem::replace(&mut self.entry, Entry::At(0)) {
            Entry::At(position) => position,
            Entry::End => status.len,
        };
        self.reader = Reader::new(position, self.line_bytes_max);
        self.tail_seen = None;
        self.open = Some(OpenFile { file, status, replaced: false });
        Ok(())
    }

    /// At the end of the open file: goes over to a new file of that name, or delivers a line that waited long enough.
    async fn at_end(&mut self, pass: &mut Pass<'_>) -> Result<bool> {
        match pass.host.status(&self.path).await {
            // An empty new file: its writer has not gone over yet and may still add to the old one.
            Ok(status) if status.len > 0 && self.is_replaced_by(&status) => return self.go_over(pass).await,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.trouble("look at", error)),
        }
        Ok(self.deliver_idle_tail(pass))
    }

    fn is_replaced_by(&self, status: &FileStatus) -> bool {
        let identity = |status: &FileStatus| (status.device, status.inode);
        self.open.as_ref().is_some_and(|open| identity(&open.status) != identity(status))
    }

    /// Reads the old file once more to its end, then takes up the new one.
    async fn go_over(&mut self, pass: &mut Pass<'_>) -> Result<bool> {
        // What was added between the last read and the renaming is still to come.
        if let Some(open) = self.open.as_mut().filter(|open| !open.replaced) {
            open.replaced = true;
            return Ok(true);
        }
        let file = match pass.host.open_read(&self.path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.trouble("open", error)),
        };
        // Nothing is awaited from here on: the last line and the change of file happen together.
        let (position, tail) = (self.reader.position(), self.reader.take_tail());
        self.enter(file)?;
        tracing::info!(file = %self.name, position, "the file was replaced; going over to the new one");
        if let Some(line) = tail {
            self.push(line, pass);
        }
        Ok(true)
    }

    fn deliver_idle_tail(&mut self, pass: &mut Pass<'_>) -> bool {
        let Unterminated::DeliverAfter(timeout) = self.unterminated else { return false };
        let (position, len) = (self.reader.position(), self.reader.tail_len());
        let now = pass.host.monotonic();
        match self.tail_seen {
            _ if len == 0 => self.tail_seen = None,
            Some((at, seen, since)) if (at, seen) == (position, len) => {
                if now.saturating_sub(since) >= timeout {
                    self.tail_seen = None;
                    if let Some(line) = self.reader.take_tail() {
                        self.push(line, pass);
                    }
                    return true;
                }
            }
            _ => self.tail_seen = Some((position, len, now)),
        }
        false
    }

    fn ensure_watch(&mut self, host: &dyn Host) {
        if self.watch.is_some() {
            return;
        }
        match host.watch(Path::new(&self.path)) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                if !std::mem::replace(&mut self.reported, true) {
                    tracing::warn!(file = %self.name, %error, "can't watch the file; looking every second instead");
                }
            }
        }
    }

    fn too_long(&self, error: &LineTooLong) -> ConnectError {
        let what = format!(
            "{}: the line at byte {} is longer than line.bytes.max={}; raise that key (and the broker's \
             maxMessageSize) or correct the file",
            self.name, error.position, self.line_bytes_max
        );
        ConnectError::new(Stage::Poll, Retry::BadRecord, what)
    }

    fn trouble(&self, action: &str, error: io::Error) -> ConnectError {
        ConnectError::later(Stage::Poll, format!("can't {action} {}", self.name)).caused_by(error)
    }
}
