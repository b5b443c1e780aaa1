//! Answers from flows: who sends most, by which protocol, and when.

mod filter;
mod groups;
mod key;
mod report;
mod statistic;
mod table;
mod timeline;
mod top;
mod value;

pub use filter::{AddressSet, Filter, FilterError, Place, Prefix};
pub use groups::{Groups, Order, Totals, Values};
pub use key::Key;
pub use report::{Form, groups as groups_report, summary, summary_json};
pub use statistic::{Statistic, parse_keys};
pub use timeline::Timeline;
pub use top::{HeavyHitters, Traffic, Volume};
pub use value::{Getter, Value};
