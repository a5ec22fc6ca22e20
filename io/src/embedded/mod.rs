//! The broker in the box: name server and broker in one process, for trying and testing, never for production.
//!
//! It speaks RocketMQ's protocol, so that any RocketMQ client can look at it, but it has one copy of the data and syncs
//! it once a second: like an Apache broker with its default settings it loses the last second when the machine stops,
//! and nothing that was acknowledged when only the process does. (Committed offsets are written once a second too.)
//! It has no transactions, no delayed messages, no access control, and keeps messages until their directory is deleted.
//!
//! Bytes: one write a request, one gathered write an answer; messages are encoded once, when they come in, and stored,
//! cached and sent in that form.

mod admin;
mod answer;
mod batch;
pub mod broker;
mod groups;
mod members;
mod offsets;
mod pull;
mod send;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod topics;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rmqc_core::command::DriverKind;

pub use answer::Outgoing;

use crate::driver::bell::{Bell, NotifiedSeed, Notifier, notifier_for};
use crate::driver::epoll::Epoll;
use crate::driver::local::{ExecutorEnd, run_executor};
use crate::driver::uring::Uring;
use crate::driver::{Driver, StreamListener, probe};
use crate::settings::{DriverWanted, StartError};
use broker::{Broker, BrokerLimits};

/// Name of the broker's thread.
const THREAD: &str = "rmqc-embedded";

/// How to start the embedded broker.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// Its directory; made if it is not there. Two brokers can't share one.
    pub dir: PathBuf,
    /// Where name server and broker answer, on one port; 0 takes a free one. Clients are told this address, so an
    /// unspecified one (0.0.0.0) is told as loopback.
    pub address: SocketAddr,
    /// I/O driver.
    pub driver: DriverWanted,
}

/// The running broker. Dropping it leaves it running until the process ends; see [`EmbeddedBroker::stop`].
pub struct EmbeddedBroker {
    address: SocketAddr,
    stop: Notifier,
    thread: JoinHandle<()>,
}

impl EmbeddedBroker {
    /// Starts the broker on a thread of its own; returns when it listens.
    ///
    /// # Errors
    /// When the address or the directory is in use, or the directory's files are damaged or can't be written.
    pub fn start(settings: EmbeddedSettings) -> Result<Self, StartError> {
        Self::start_with(settings, BrokerLimits::default())
    }

    /// Starts the broker with other bounds, such as those of an Apache broker.
    ///
    /// # Errors
    /// As for [`EmbeddedBroker::start`].
    pub fn start_with(settings: EmbeddedSettings, limits: BrokerLimits) -> Result<Self, StartError> {
        let (kind, _) = probe::choose(settings.driver, 1)?;
        let (bell, doorbell) = Bell::new()
            .map_err(|error| StartError::new(format!("embedded broker: {error}"), "raise the limit of open files"))?;
        let (stop, stopped) = notifier_for(&bell);
        let (listening, listens) = mpsc::channel();
        let failed = listening.clone();
        let run = move || {
            let start = Start { settings, limits, listening, stopped };
            let end = match kind {
                DriverKind::Uring => run_executor::<Uring, _>(bell, doorbell, move || start.run::<Uring>()),
                DriverKind::Epoll => run_executor::<Epoll, _>(bell, doorbell, move || start.run::<Epoll>()),
            };
            if end != ExecutorEnd::Done {
                let what = format!("embedded broker: its executor ended: {end:?}");
                tracing::error!("{what}");
                // Nobody listens any more unless this happened during the start.
                let _ = failed.send(Err(StartError::new(what, "try the other I/O driver")));
            }
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(run).map_err(|error| {
            StartError::new(format!("embedded broker: no thread: {error}"), "raise the limit of threads")
        })?;
        match listens.recv() {
            Ok(Ok(address)) => Ok(Self { address, stop, thread }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::new("embedded broker: its thread ended at once", "look at the log")),
        }
    }

    /// Address of name server and broker.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections, makes everything durable, and waits for the thread. Blocks: not for an executor's thread.
    pub fn stop(self) {
        self.stop.notify();
        if self.thread.join().is_err() {
            tracing::error!("the embedded broker's thread panicked");
        }
    }
}

struct Start {
    settings: EmbeddedSettings,
    limits: BrokerLimits,
    listening: mpsc::Sender<Result<SocketAddr, StartError>>,
    stopped: NotifiedSeed,
}

impl Start {
    async fn run<D: Driver>(self) {
        let clock = server::Clock::new();
        let opened = self.open::<D>(&clock);
        let stopped = self.stopped.bind();
        match opened {
            Ok((broker, listener, address)) => {
                // The starter waits for this.
                let _ = self.listening.send(Ok(address));
                server::serve::<D>(broker, clock, listener, stopped.wait()).await;
            }
            Err(error) => drop(self.listening.send(Err(error))),
        }
    }

    fn open<D: Driver>(&self, clock: &server::Clock) -> Result<(Broker, D::Listener, SocketAddr), StartError> {
        let wanted = self.settings.address;
        let taken = |error: std::io::Error| {
            StartError::new(format!("embedded broker: cannot listen on {wanted}: {error}"), "choose another address")
        };
        let listener = D::listen(wanted).map_err(taken)?;
        let mut address = listener.local_addr().map_err(taken)?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let broker = Broker::open(&self.settings.dir, address, self.limits, clock.now()).map_err(|error| {
            StartError::new(format!("embedded broker: {error}"), "choose another directory, or move this one away")
        })?;
        Ok((broker, listener, address))
    }
}
