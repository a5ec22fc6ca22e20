//! `my-thing-sink`: appends each record to a file as a line. Replace the file by your system.
//!
//! *Guarantee:* at least once. A batch that fails halfway ends the task; the next one gets the records again that were
//! not committed.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::rc::Rc;

use rmqc_fast::bytes::BytesMut;
use rmqc_fast::prelude::*;

use super::config::SinkConfig;

/// A task of `my-thing-sink`.
pub struct MyThingSink {
    host: Rc<dyn Host>,
    path: PathBuf,
    file: Option<Rc<dyn HostFile>>,
}

impl MyThingSink {
    /// A task that has opened nothing yet: that is for `start`.
    pub(super) fn new(config: SinkConfig, context: &TaskContext) -> Self {
        Self { host: context.host.clone(), path: PathBuf::from(config.path), file: None }
    }

    fn failed(&self, action: &str, error: io::Error) -> ConnectError {
        ConnectError::fatal(Stage::Put, format!("can't {action} {}", self.path.display())).caused_by(error)
    }

    /// Opens the file, and ends a last line that a task before this one left without its end.
    async fn open(&self) -> io::Result<Rc<dyn HostFile>> {
        let file = self.host.open_append(&self.path).await?;
        let len = file.status()?.len;
        if len > 0 {
            let mut last = BytesMut::new();
            self.host.open_read(&self.path).await?.read_at(len - 1, &mut last, 1).await?;
            if last.as_ref() != b"\n" {
                file.append(&mut [IoSlice::new(b"\n")]).await?;
            }
        }
        Ok(file)
    }
}

impl SinkTask for MyThingSink {
    async fn start(&mut self) -> Result<()> {
        let opened = self.open().await;
        self.file = Some(opened.map_err(|error| self.failed("open", error))?);
        Ok(())
    }

    async fn put(&mut self, records: &[ConnectRecord]) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut lines = Vec::new();
        for record in records {
            match &record.value {
                Value::String(text) => lines.extend_from_slice(text.as_bytes()),
                Value::Bytes(bytes) => lines.extend_from_slice(bytes),
                other => {
                    let what = format!("a value of kind {}; set value.converter=string", other.kind());
                    return Err(ConnectError::fatal(Stage::Put, what));
                }
            }
            lines.push(b'\n');
        }
        let appended = file.append(&mut [IoSlice::new(&lines)]).await;
        appended.map_err(|error| self.failed("append to", error))?;
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().await.map_err(|error| self.failed("sync", error))
    }

    async fn stop(&mut self) {
        self.file = None;
    }
}
