//! What the same work costs at least on this machine: the steps of a pipeline one after another in one thread, with
//! blocking system calls and nothing around them. Measured in the same run, in CPU time of the thread, so that the
//! ratio to it does not depend on the day.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rmqc_core::record::Extensions;
use rmqc_io::producer::properties::PropertiesWriter;
use rmqc_io::remoting::unique_id::UniqueIds;

use super::bare::{Producer, Pulled, pull};

/// Bytes of one read: what measured best for a cached file.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of a batch: they stay in the core's own cache between being written here and copied by the kernel.
const BATCH_BYTES: usize = 64 << 10;
/// When the records were made; any time will do.
const NOW_MS: i64 = 1_795_363_854_815;
/// Requests in flight.
const WINDOW: usize = 8;

/// Goes through a file's lines, without their terminators, as slices of the block that was read.
pub fn for_each_line(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let file = File::open(path)?;
    let mut block = vec![0_u8; BLOCK_BYTES];
    let (mut kept, mut offset) = (0, 0);
    loop {
        let read = file.read_at(&mut block[kept..], offset)?;
        if read == 0 {
            return Ok(());
        }
        offset += read as u64;
        let filled = kept + read;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &block[..filled]) {
            each(&block[start..end]);
            start = end + 1;
        }
        block.copy_within(start..filled, 0);
        kept = filled - start;
        if kept == block.len() {
            return Err(io::Error::other(format!("a line of more than {BLOCK_BYTES} bytes")));
        }
    }
}

/// File to topic: read, split, encode, send, read the replies. The properties are those of the worker's records, made
/// once. Gives the records.
pub fn file_to_topic(path: &Path, address: &str, topic: &str, queues: usize) -> io::Result<u64> {
    let properties = Properties::new().next().to_vec();
    let mut producer = Producer::connect(address, topic, queues, WINDOW)?;
    let mut batch = Vec::with_capacity(BATCH_BYTES + BLOCK_BYTES);
    let (mut records, mut failure) = (0, Ok(()));
    for_each_line(path, |line| {
        put_item(&mut batch, line, &properties);
        records += 1;
        if batch.len() >= BATCH_BYTES && failure.is_ok() {
            failure = producer.send(&batch);
            batch.clear();
        }
    })?;
    failure?;
    if !batch.is_empty() {
        producer.send(&batch)?;
    }
    producer.finish()?;
    Ok(records)
}

/// The properties that the worker's sources give their records.
pub struct Properties(PropertiesWriter);

impl Properties {
    /// With ids that no other process has.
    pub fn new() -> Self {
        Self(PropertiesWriter::new(UniqueIds::new(Ipv4Addr::LOCALHOST, std::process::id(), 1)))
    }

    /// Those of a new message: a real broker puts each id into its index, and one and the same would cost it less.
    pub fn next(&mut self) -> &[u8] {
        self.0.write(NOW_MS, None, &Extensions::Empty, Some(NOW_MS)).unwrap()
    }
}

/// A file's lines as bodies of batches, none of more bytes or messages than this.
pub fn batches(path: &Path, bytes_max: usize, messages_max: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut properties = Properties::new();
    let (mut batches, mut messages) = (vec![Vec::new()], 0);
    for_each_line(path, |line| {
        let properties = properties.next();
        let last = batches.len() - 1;
        if messages == messages_max || batches[last].len() + 22 + line.len() + properties.len() > bytes_max {
            batches.push(Vec::with_capacity(bytes_max));
            messages = 0;
        }
        messages += 1;
        put_item(batches.last_mut().unwrap(), line, properties);
    })?;
    Ok(batches)
}

/// Topic to nowhere: receive, find the messages, count.
pub fn topic_to_nothing(address: &str, topic: &str, queues: usize) -> io::Result<Pulled> {
    pull(address, topic, queues, None)
}

/// Adds one message to a batch's body.
pub fn put_item(out: &mut Vec<u8>, body: &[u8], properties: &[u8]) {
    let len = u32::try_from(22 + body.len() + properties.len()).unwrap();
    let mut head = [0_u8; 20];
    head[..4].copy_from_slice(&len.to_be_bytes());
    head[16..].copy_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    out.extend_from_slice(&u16::try_from(properties.len()).unwrap().to_be_bytes());
    out.extend_from_slice(properties);
}
