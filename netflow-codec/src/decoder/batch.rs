//! The parts of a datagram.

use alloc::sync::Arc;

use crate::{
    cache::{Learned, RecoveredRecords},
    error::DecodeError,
    fixed::FixedRecords,
    record::DataRecords,
    template::Template,
};

/// A part of a datagram, in the order of the datagram.
#[derive(Debug)]
#[non_exhaustive]
pub enum Batch<'a> {
    /// The records of a v1, v5, v6, v7 or v8 datagram.
    Fixed(FixedRecords<'a>),
    /// The flow records of a data set.
    Data(DataRecords<'a>),
    /// The records of a data set that describe the exporter: scope fields, then options.
    Options(DataRecords<'a>),
    /// A template, or an options template.
    Template(Arc<Template>, Learned),
    /// A template, or with an id of 2 or 3 all templates or all options templates, withdrawn (IPFIX).
    Withdrawal {
        /// The template's id.
        template_id: u16,
        /// Whether a template was withdrawn: not over UDP, and not when none was known.
        obeyed: bool,
    },
    /// An earlier data set whose template has just come.
    Recovered(RecoveredRecords),
    /// A data set whose template is not known.
    TemplateMissing {
        /// The id of the template.
        template_id: u16,
        /// Octets from the start of the datagram to the set.
        offset: usize,
        /// The records, undecoded.
        octets: &'a [u8],
        /// Whether they are kept until the template comes.
        kept: bool,
    },
    /// A set with an id that is reserved.
    Reserved {
        /// The set's id.
        id: u16,
        /// Octets from the start of the datagram to the set.
        offset: usize,
        /// The octets behind its header.
        octets: &'a [u8],
    },
    /// Something that cannot be decoded; its neighbours are.
    Malformed(DecodeError),
}
