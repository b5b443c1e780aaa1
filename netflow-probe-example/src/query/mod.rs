//! Answers from flows: who sends most, by which protocol, and when.

mod coding;
mod filter;
mod gather;
mod groups;
mod key;
mod numbering;
mod report;
mod scan;
mod series;
mod statistic;
mod table;
mod timeline;
mod top;
mod value;
mod window;

pub use filter::{AddressSet, Filter, FilterError, Place, Prefix};
pub use gather::{GroupsOfStore, SeriesOfStore};
pub use groups::{Groups, Order, Totals, Values};
pub use key::Key;
pub use report::{Form, group_json, groups as groups_report, summary, summary_json, value_json};
pub use scan::{ChosenRows, Damaged, Gather, Question, Scanned, SummedUp};
pub use series::{Bins, Series, Sums};
pub use statistic::{Statistic, parse_keys};
pub(crate) use table::{Align, Table, scaled};
pub use timeline::Timeline;
pub use top::{HeavyHitters, Traffic, Volume};
pub use value::{Getter, Value};
pub use window::Window;
