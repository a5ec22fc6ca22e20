//! TCP on both drivers.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use rmqc_io::driver::epoll::Epoll;
use rmqc_io::driver::uring::Uring;
use rmqc_io::driver::{Driver, StreamListener, StreamRead, StreamWrite};

use crate::{on, on_both};

const ANY: &str = "127.0.0.1:0";
const TIMEOUT: Duration = Duration::from_secs(5);

async fn write_all(writer: &mut impl StreamWrite, parts: &[&[u8]]) -> io::Result<usize> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let (mut rest, mut total) = (slices.as_mut_slice(), 0);
    while rest.iter().any(|slice| !slice.is_empty()) {
        let written = poll_fn(|cx| writer.poll_write_vectored(cx, rest)).await?;
        assert!(written > 0);
        total += written;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(total)
}

async fn read_some(reader: &mut impl StreamRead, into: &mut BytesMut, len_max: usize) -> io::Result<usize> {
    into.reserve(len_max);
    poll_fn(|cx| reader.poll_read(cx, into, len_max)).await
}

fn a_large_gathered_write_comes_back_whole<D: Driver>() {
    const LEN: usize = 8 * 1024 * 1024;
    on::<D, _, _>(|| async {
        let listener = D::listen(ANY.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        D::spawn(async move {
            let (mut reader, mut writer, _) = listener.accept().await.unwrap();
            let mut buffer = BytesMut::new();
            while read_some(&mut reader, &mut buffer, 64 * 1024).await.unwrap() > 0 {
                write_all(&mut writer, &[&buffer]).await.unwrap();
                buffer.clear();
            }
        });
        let (mut reader, mut writer) = D::connect(address, TIMEOUT).await.unwrap();
        let sent: Vec<u8> = (0..LEN).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        D::spawn(async move {
            let parts: Vec<&[u8]> = sent.chunks(5000).collect();
            for some in parts.chunks(2000) {
                write_all(&mut writer, some).await.unwrap();
            }
            // Dropping only this half must leave the other one working.
        });
        let mut got = BytesMut::new();
        while got.len() < LEN {
            assert!(read_some(&mut reader, &mut got, 100_000).await.unwrap() > 0);
        }
        assert!(got == expected);
    });
}

fn a_read_takes_no_more_than_it_was_told<D: Driver>() {
    on::<D, _, _>(|| async {
        let listener = D::listen(ANY.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = futures_lite::future::zip(D::connect(address, TIMEOUT), listener.accept()).await;
        let ((mut reader, _), (_, mut writer, _)) = (client.unwrap(), server.unwrap());
        write_all(&mut writer, &[b"", b"abc", b"", b"def"]).await.unwrap();
        let mut got = BytesMut::with_capacity(1000);
        assert_eq!(read_some(&mut reader, &mut got, 2).await.unwrap(), 2);
        while got.len() < 6 {
            read_some(&mut reader, &mut got, 4).await.unwrap();
        }
        assert_eq!(&got[..], b"abcdef");
        assert_eq!(poll_fn(|cx| writer.poll_write_vectored(cx, &[])).await.unwrap(), 0);
    });
}

fn a_shutdown_completes_the_pending_read<D: Driver>() {
    on::<D, _, _>(|| async {
        let listener = D::listen(ANY.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = futures_lite::future::zip(D::connect(address, TIMEOUT), listener.accept()).await;
        let ((mut reader, mut writer), (mut peer_reader, _peer_writer, _)) = (client.unwrap(), server.unwrap());
        D::spawn(async move {
            D::sleep(Duration::from_millis(5)).await;
            writer.shutdown();
        });
        let mut buffer = BytesMut::new();
        assert_eq!(read_some(&mut reader, &mut buffer, 10).await.unwrap(), 0);
        assert_eq!(read_some(&mut peer_reader, &mut buffer, 10).await.unwrap(), 0);
    });
}

fn writing_to_a_closed_peer_is_an_error_not_a_signal<D: Driver>() {
    on::<D, _, _>(|| async {
        let listener = D::listen(ANY.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = futures_lite::future::zip(D::connect(address, TIMEOUT), listener.accept()).await;
        let (_reader, mut writer) = client.unwrap();
        drop(server);
        // The first write may still go into the socket; the peer's answer to it breaks the connection.
        let error = loop {
            match write_all(&mut writer, &[&[0; 100_000]]).await {
                Ok(_) => D::yield_now().await,
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");
    });
}

fn nobody_listens<D: Driver>() {
    on::<D, _, _>(|| async {
        let address: SocketAddr = {
            let listener = std::net::TcpListener::bind(ANY).unwrap();
            listener.local_addr().unwrap()
        };
        let Err(error) = D::connect(address, TIMEOUT).await else { panic!("nobody listens there") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

on_both!(
    a_large_gathered_write_comes_back_whole,
    a_read_takes_no_more_than_it_was_told,
    a_shutdown_completes_the_pending_read,
    writing_to_a_closed_peer_is_an_error_not_a_signal,
    nobody_listens,
);
