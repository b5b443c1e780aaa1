//! Where datagrams come from: sockets, capture files, and files of messages.

mod capture;
mod drops;
mod messages;
mod socket;

pub use capture::{CapturedDatagram, Datagrams, PortFilter, is_plausible};
pub use drops::kernel_drops;
pub use messages::{MessageFile, MessageFileError, Piece, begins_message};
pub use socket::{BindError, ReceivedDatagram, Receiver, now};
