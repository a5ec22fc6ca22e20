//! Files and watches on both drivers.

use std::io::{IoSlice, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rmqc_core::clock::Clock;
use rmqc_core::host::Host;
use rmqc_io::driver::Driver;
use rmqc_io::driver::epoll::Epoll;
use rmqc_io::driver::uring::Uring;
use rmqc_io::host::DriverHost;

use crate::{on, on_both};

/// A folder of one test's own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new<D: Driver>(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rmqc-{}-{}-{name}", std::process::id(), D::KIND.name()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn what_is_appended_is_read_back<D: Driver>() {
    let folder = Folder::new::<D>("append");
    let path = folder.0.join("file");
    on::<D, _, _>(move || async move {
        let host = DriverHost::<D>::new();
        assert_eq!(host.status(&path).await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        let lines: Vec<String> = (0..3000).map(|number| format!("line {number}\n")).collect();
        let file = host.open_append(&path).await.unwrap();
        let mut slices: Vec<IoSlice<'_>> = lines.iter().map(|line| IoSlice::new(line.as_bytes())).collect();
        let expected = lines.concat();
        assert_eq!(file.append(&mut slices).await.unwrap(), expected.len());
        assert_eq!(file.append(&mut [IoSlice::new(b""), IoSlice::new(b"")]).await.unwrap(), 0);
        file.sync_data().await.unwrap();
        let reading = host.open_read(&path).await.unwrap();
        let mut got = BytesMut::new();
        while reading.read_at(got.len() as u64, &mut got, 1000).await.unwrap() > 0 {}
        assert!(got == expected.as_bytes());
        assert_eq!(reading.read_at(0, &mut got, 0).await.unwrap(), 0);
        assert_eq!(reading.status().unwrap().len, expected.len() as u64);
        file.set_len(7).await.unwrap();
        assert_eq!(host.status(&path).await.unwrap().len, 7);
        assert_eq!(host.status(&path).await.unwrap(), reading.status().unwrap());
        assert!(reading.status().unwrap() == file.status().unwrap() && file.status().unwrap().is_file);
        assert!(host.unix_ms() > 1_600_000_000_000);
    });
}

fn a_cold_file_is_read_on_a_helper_thread<D: Driver>() {
    let folder = Folder::new::<D>("cold");
    let path = folder.0.join("file");
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 253) as u8).collect();
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&content).unwrap();
    file.sync_all().unwrap();
    // Puts the file out of the page cache; where that is refused the read is warm, and right all the same.
    // SAFETY: the descriptor is open, and the call takes no pointers.
    let _ = unsafe { libc::posix_fadvise(std::os::fd::AsRawFd::as_raw_fd(&file), 0, 0, libc::POSIX_FADV_DONTNEED) };
    on::<D, _, _>(move || async move {
        let file = DriverHost::<D>::new().open_read(&path).await.unwrap();
        let mut got = BytesMut::new();
        while file.read_at(got.len() as u64, &mut got, 256 * 1024).await.unwrap() > 0 {}
        assert!(got == content);
    });
}

/// Waits until a change is told well before the regular look would come; a note may come late on a busy machine, so
/// it tries a few times.
async fn told_soon(watch: &mut dyn rmqc_core::host::HostWatch, mut change: impl FnMut()) {
    for _ in 0..20 {
        // What came before is not the change that is meant: taken until it is quiet.
        loop {
            let start = Instant::now();
            watch.changed().await;
            if start.elapsed() > Duration::from_millis(900) {
                break;
            }
        }
        let start = Instant::now();
        change();
        watch.changed().await;
        if start.elapsed() < Duration::from_millis(500) {
            return;
        }
    }
    panic!("no change was told before the regular look");
}

fn every_kind_of_change_is_told<D: Driver>() {
    let folder = Folder::new::<D>("watch");
    let path = folder.0.join("file");
    on::<D, _, _>(move || async move {
        let host = DriverHost::<D>::new();
        assert!(host.watch(&path.join("no").join("such")).is_err());
        let mut watch = host.watch(&path).unwrap();
        let append =
            || std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap().write_all(b"x").unwrap();
        told_soon(watch.as_mut(), append).await;
        told_soon(watch.as_mut(), append).await;
        let old = path.with_extension("1");
        told_soon(watch.as_mut(), || std::fs::rename(&path, &old).unwrap()).await;
        told_soon(watch.as_mut(), append).await;
        // The file itself is followed too, by the new one of that name.
        let held = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        told_soon(watch.as_mut(), || (&held).write_all(b"y").unwrap()).await;
        told_soon(watch.as_mut(), || std::fs::remove_file(&path).unwrap()).await;
    });
}

on_both!(what_is_appended_is_read_back, a_cold_file_is_read_on_a_helper_thread, every_kind_of_change_is_told);
