//! Where datagrams come from: sockets, capture files, and files of messages.

mod batch;
mod capture;
mod drops;
mod messages;
mod pause;
mod socket;
mod steering;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub use capture::{CapturedDatagram, Datagrams, PortFilter, is_plausible};
pub use drops::kernel_drops;
pub use messages::{MessageFile, MessageFileError, Piece, begins_message};
pub use socket::{BindError, ReceivedDatagram, Receiver, SocketWatch, Sockets, now};
pub use steering::receiver_of;
pub use stream::{
    Closed, Security, StreamEvent, StreamLimits, StreamListener, StreamReceiver, StreamStats, TurnedAway,
};
#[cfg(feature = "tls")]
pub use tls::{ServerTls, TlsError};
