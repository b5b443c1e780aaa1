//! Where datagrams come from: sockets, and capture files.

mod capture;
mod drops;
mod socket;

pub use capture::{CapturedDatagram, Datagrams, PortFilter, is_plausible};
pub use drops::kernel_drops;
pub use socket::{BindError, ReceivedDatagram, Receiver, now};
