//! From flows to datagrams: layouts, packets, when to send templates, and the session that does it all.

mod layout;
mod packet;
mod program;
mod scheduler;
mod session;
mod straight;
mod words;

pub use layout::RecordLayout;
pub use packet::{PacketBuilder, PacketHeader};
pub use scheduler::TemplateScheduler;
pub use session::{ExportSession, ExportVersion, SessionConfig, SessionStats};
