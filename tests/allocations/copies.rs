//! Where the bytes of a body are: in the very block that was read, from the read to the write.

use std::cell::RefCell;
use std::future::{pending, ready};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmqc_bench_kit::cases::pull_answer;
use rmqc_bench_kit::memory::at_once;
use rmqc_connectors::file::{FileSink, FileSinkConfig};
use rmqc_core::clock::{Clock, MonotonicTime};
use rmqc_core::config::Properties;
use rmqc_core::connector::SinkTask as _;
use rmqc_core::context::TaskContext;
use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch, LocalFuture};
use rmqc_core::id::TaskId;
use rmqc_core::record::ConnectRecord;
use rmqc_core::registry::find_converter;
use rmqc_core::value::Value;
use rmqc_io::producer::batch::OpenBatch;
use rmqc_io::remoting::message::messages;
use rmqc_io::remoting::pulled::PulledMessages;

const RECORDS: usize = 1_000;
const BODY_BYTES: usize = 100;

/// A file that only notes where the bytes are that are appended to it.
#[derive(Clone, Default)]
struct Noting(Rc<RefCell<Vec<Range<usize>>>>);

fn place(bytes: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr() as usize;
    start..start + bytes.len()
}

fn within(outer: &[u8], inner: &Range<usize>) -> bool {
    let outer = place(outer);
    outer.start <= inner.start && inner.end <= outer.end
}

fn answer<'a, T: 'a>(value: T) -> LocalFuture<'a, io::Result<T>> {
    Box::pin(ready(Ok(value)))
}

impl Clock for Noting {
    fn unix_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> MonotonicTime {
        Duration::ZERO
    }
}

impl Host for Noting {
    fn open_read<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        answer(Rc::new(self.clone()))
    }
    fn open_append<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        answer(Rc::new(self.clone()))
    }
    fn status<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<FileStatus>> {
        answer(HostFile::status(self).unwrap())
    }
    fn watch(&self, _path: &Path) -> io::Result<Box<dyn HostWatch>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sleep(&self, _duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(pending())
    }
    fn yield_if_needed(&self) -> LocalFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

impl HostFile for Noting {
    fn read_at<'a>(&'a self, _at: u64, _buffer: &'a mut BytesMut, _len: usize) -> LocalFuture<'a, io::Result<usize>> {
        answer(0)
    }
    fn append<'a>(&'a self, buffers: &'a mut [IoSlice<'a>]) -> LocalFuture<'a, io::Result<usize>> {
        self.0.borrow_mut().extend(buffers.iter().map(|buffer| place(buffer)));
        answer(buffers.iter().map(|buffer| buffer.len()).sum())
    }
    fn set_len(&self, _len: u64) -> LocalFuture<'_, io::Result<()>> {
        answer(())
    }
    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        answer(())
    }
    fn status(&self) -> io::Result<FileStatus> {
        Ok(FileStatus { device: 1, inode: 1, len: 0, is_file: true, modified_ms: None })
    }
    fn set_mark(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
    fn has_mark(&self, _name: &str) -> bool {
        true
    }
}

#[test]
fn a_sink_writes_from_the_buffer_that_the_socket_was_read_into() {
    for converter in ["string", "bytes"] {
        let converter = (find_converter(converter).unwrap().build)(&Properties::new()).unwrap();
        let pulled = pull_answer(RECORDS, &[b'x'; BODY_BYTES]);
        let record = |body: Bytes| ConnectRecord {
            value: converter.decode("topic", Some(body)).unwrap().value,
            ..ConnectRecord::default()
        };
        let records: Vec<_> =
            messages(pulled.clone()).map(|message| record(message.unwrap().plain_body().unwrap())).collect();

        let noting = Noting::default();
        let config = Arc::new(Properties::from([("filename".to_owned(), "/noted".to_owned())]));
        let context = TaskContext {
            task: TaskId::new("copies", 0),
            config: config.clone(),
            positions: Arc::default(),
            host: Rc::new(noting.clone()),
            errant: Rc::default(),
            backlog: Rc::default(),
            blocks: Rc::default(),
        };
        let mut sink = FileSink::new(FileSinkConfig::parse(&config).unwrap(), &context).unwrap();
        at_once(sink.start()).unwrap();
        at_once(sink.put(&records)).unwrap();
        let written = noting.0.take();
        let bodies: Vec<_> = written.iter().filter(|place| place.len() == BODY_BYTES).collect();
        assert_eq!((bodies.len(), written.len()), (RECORDS, 2 * RECORDS));
        assert!(bodies.iter().all(|place| within(&pulled, place)), "a body was copied before it was written");

        // The same when the newline was put behind each body before.
        let own = BytesMut::from(&pulled[..]);
        let ended = PulledMessages::read_ended(own, RECORDS, sink.value_end().unwrap(), |_, _| true).unwrap();
        let bodies = ended.spans().iter().map(|span| span.body(ended.body()));
        let records: Vec<_> = bodies.map(record).collect();
        context.blocks.set([ended.body().clone()].into_iter());
        at_once(sink.put(&records)).unwrap();
        let written = noting.0.take();
        assert_eq!(written.len(), RECORDS, "one piece of memory a line");
        assert!(written.iter().all(|place| place.len() == BODY_BYTES + 1 && within(ended.body(), place)));
    }
}

#[test]
fn a_source_copies_a_small_body_once_into_its_batch() {
    let lines: Vec<u8> = (0..RECORDS).flat_map(|number| format!("{number:099}\n").into_bytes()).collect();
    let mut source = rmqc_bench_kit::cases::file_source(Bytes::from(lines));
    let mut records = rmqc_core::record::RecordBatch::new(RECORDS, 1 << 20);
    at_once(rmqc_core::connector::SourceTask::poll(&mut source, &mut records)).unwrap();
    assert_eq!(records.len(), RECORDS);
    let converter = (find_converter("string").unwrap().build)(&Properties::new()).unwrap();
    let (mut batch, mut last_end) = (OpenBatch::new(BytesMut::with_capacity(1 << 20)), None);
    for (sequence, record) in (0..).zip(records.records()) {
        let Value::String(line) = &record.value else { panic!("a line is a text") };
        // The next line stands one byte, its end, behind the last: both are slices of the block that was read.
        let line = place(line.as_bytes());
        assert!(last_end.is_none_or(|end| line.start == end + 1), "a line was copied out of its block");
        last_end = Some(line.end);
        let body = converter.encode("topic", None, &record.value).unwrap().unwrap();
        assert_eq!(place(&body), line, "the converter copied a line");
        batch.push(&body, b"", sequence);
    }
    let sealed = batch.seal();
    assert_eq!((sealed.copied_bytes, sealed.payload_bytes), (99 * RECORDS as u64, 99 * RECORDS as u64));
    assert_eq!(sealed.parts.len(), 1, "one piece for the kernel, without another copy");
}
