//! From flows to datagrams: layouts and templates, packets, when to send templates, and the session that does it all.

mod announce;
mod config;
mod field;
mod layout;
mod list;
mod options;
mod packet;
mod program;
mod rules;
mod scheduler;
mod session;
mod source;
mod straight;
mod template;
mod templated;
mod times;
mod words;

pub use config::{ExportTransport, ExportVersion, SessionConfig, SessionStats};
pub use layout::RecordLayout;
pub use list::{BasicListBuilder, SubTemplateListBuilder, SubTemplateMultiListBuilder};
pub use options::{
    ApplicationName, ElementDescription, InterfaceName, Interval, NotSent, OptionsData, Sampler, Selection,
};
pub use packet::{PacketBuilder, PacketHeader, Withdrawal};
pub use scheduler::TemplateScheduler;
pub use session::ExportSession;
pub use source::FieldSource;
pub use template::{AbsentFields, ExportTemplate, TemplateBuilder};
pub use times::FlowTimes;
