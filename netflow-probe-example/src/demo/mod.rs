//! The whole job in one process: traffic becomes flows, flows become NetFlow on loopback, NetFlow becomes flows.

mod traffic;

pub use traffic::Traffic;
