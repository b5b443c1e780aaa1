//! Sending: flows become datagrams, datagrams go to the collectors.
//!
//! ```text
//!            +- destination: session -> queue -> thread: pacer -> UDP or TCP
//! delivery --+- destination: session -> queue -> thread: pacer -> UDP or TCP
//!            +- destination: session -> capture file
//! ```
//!
//! Each destination has a session of its own: its own sequence numbers, templates and packing. Each collector has a thread
//! of its own, so that none of them holds up the others or the metering.

mod account;
mod announce;
mod biflow;
mod config;
mod delivery;
mod destination;
mod link;
mod mtu;
mod output;
mod pacer;
mod path_mtu;
mod queue;
mod records;
mod target;
mod tcp;
mod udp;
mod worker;

use std::io;

use netflow_codec::EncodeError;

pub use account::{DestinationAccount, SendStats};
pub use announce::{Interface, MeteringLoss, announce_interfaces, announce_keys, announce_loss};
pub use config::{Distribution, SendConfig, WhenFull};
pub use delivery::Delivery;
pub use destination::Destination;
pub use mtu::max_datagram;
pub use pacer::Pacer;
pub use queue::Content;
pub use records::RecordContent;
pub use target::{CollectorAddress, Target, Transport, default_port};
pub use tcp::TcpOutput;
pub use udp::{UdpOutput, is_answer};

/// Exporting failed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The session cannot be as it was configured.
    #[error("cannot export like this: {0}")]
    Session(#[source] EncodeError),
    /// TCP carries IPFIX only.
    #[error("{collector}: TCP carries IPFIX (version 10) only")]
    Transport {
        /// The collector.
        collector: String,
    },
    /// The flow table cannot be as it was configured.
    #[error("cannot meter like this: {0}")]
    Meter(#[source] netflow_flowcache::ConfigError),
    /// A socket or a file failed.
    #[error("cannot write to {target}: {source}")]
    Output {
        /// The destination.
        target: String,
        /// What happened.
        source: io::Error,
    },
}
