#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod biflow;
mod cache;
mod columns;
mod decoder;
mod element;
mod encode;
mod error;
mod fixed;
mod flow;
pub mod ipfix;
mod lru;
mod member;
mod projection;
mod quirk;
mod record;
mod reorder;
mod restart;
pub mod rewrite;
mod sampling;
mod sequence;
mod set;
mod slab;
mod structured;
mod taught;
mod template;
mod time;
pub mod v1;
pub mod v5;
pub mod v6;
pub mod v7;
pub mod v8;
pub mod v9;
mod value;
mod wire;

pub use biflow::{Biflow, BiflowDirection};
pub use cache::{
    CacheLimits, CacheStats, DroppedSet, EvictionCounts, Learned, Origin, PendingDrop, PendingDropCounts,
    RecoveredRecords, RefusalCounts, ScopePolicy, TemplateCache, TemplateEntry, TemplateLifetime,
    TemplateScope, WaitingSet,
};
#[cfg(feature = "serde")]
pub use cache::{CacheSnapshot, Restored, SnapshotError};
pub use columns::FlowColumns;
pub use decoder::{
    Batch, CountMismatch, DatagramHeader, Decoded, Decoder, Located, OnRestart, Provenance, Strictness,
    Transport,
};
pub use element::{
    DataType, DefineError, ElementId, ElementInfo, ElementRegistry, Elements, Semantics, Units, ValueRange,
};
pub use encode::{
    AbsentFields, ApplicationName, BasicListBuilder, ElementDescription, ExportSession, ExportTemplate,
    ExportTransport, ExportVersion, FieldSource, FlowTimes, InterfaceName, Interval, NotSent, OptionsData,
    PacketBuilder, PacketHeader, RecordLayout, Sampler, Selection, SessionConfig, SessionStats,
    SubTemplateListBuilder, SubTemplateMultiListBuilder, TemplateBuilder, TemplateScheduler, Withdrawal,
};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use fixed::{FixedRecord, FixedRecords};
pub use flow::{FlowFields, FlowRecord, MplsLabel, MplsLabels};
pub use projection::{ProjectedRecord, ProjectedRecords, Projection};
pub use quirk::{Quirk, QuirkCounts, QuirkSetting, Quirks, UnknownQuirk};
pub use record::{DataRecord, DataRecords, Flows, Records};
pub use reorder::{HeldDatagram, ReorderBuffer};
pub use restart::{Restart, RestartDetector, RestartEvidence, RestartKind};
pub use sampling::{
    SampledUnit, SamplingAlgorithm, SamplingInfo, SamplingRate, SamplingSource, SelectorAlgorithm,
};
pub use sequence::{SequenceCounts, SequenceEvent, SequenceTracker, SequenceUnit};
pub use structured::{
    BasicList, BasicListValues, ListSemantic, MAX_LIST_DEPTH, SubTemplateList, SubTemplateMultiList,
    SubTemplateMultiListEntries,
};
pub use taught::{TaughtElements, TaughtStats};
pub use template::{FieldSpecifier, Protocol, ScopeType, Template};
pub use time::{ExportClock, SysUptime, Timestamp};
pub use value::{
    ApplicationId, ClassificationEngine, FieldValue, FieldView, Forwarding, ForwardingStatus, TcpFlags,
    Unsigned256,
};
