//! What it takes to read the fields of a record, besides their octets.

use core::{fmt, net::SocketAddr};

use netflow_codec::{
    Decoded, Elements, ExportClock, FieldValue, FieldView, SamplingInfo, Template, Timestamp,
};

use super::RecordFields;

/// Names and types of elements, the templates that lists within fields refer to, and the clock that dates times.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    known: &'a dyn Known,
    clock: ExportClock,
}

/// What is known of an exporter.
pub trait Known: fmt::Debug {
    /// What is known of elements.
    fn elements(&self) -> Elements<'_>;

    /// The template of an id.
    fn template(&self, template_id: u16) -> Option<&Template>;

    /// What the header of the datagram says of sampling.
    fn header_sampling(&self) -> Option<SamplingInfo> {
        None
    }
}

impl Known for Decoded<'_, '_, SocketAddr> {
    fn elements(&self) -> Elements<'_> {
        self.elements()
    }

    fn template(&self, template_id: u16) -> Option<&Template> {
        self.template(template_id).map(|template| &**template)
    }

    fn header_sampling(&self) -> Option<SamplingInfo> {
        self.header().sampling
    }
}

/// Of a stored flow no field is left to read.
#[derive(Debug)]
struct Nothing;

impl Known for Nothing {
    fn elements(&self) -> Elements<'_> {
        Elements::default()
    }

    fn template(&self, _template_id: u16) -> Option<&Template> {
        None
    }
}

impl<'a> Context<'a> {
    /// The context of flows without fields.
    #[must_use]
    pub const fn none() -> Self {
        Self { known: &Nothing, clock: ExportClock::without_uptime(Timestamp::ZERO) }
    }

    /// The context of the records of a set.
    #[must_use]
    pub const fn new(known: &'a dyn Known, clock: ExportClock) -> Self {
        Self { known, clock }
    }

    /// The context of one record, which may say itself when its exporter booted.
    #[must_use]
    pub fn of(&self, fields: &RecordFields<'_>) -> Self {
        let clock = match fields {
            RecordFields::Fixed(_) | RecordFields::Stored(_) => self.clock,
            RecordFields::Data(record) => record.clock(&self.clock),
        };
        Self { clock, ..*self }
    }

    /// The value of a field, times as points in time where they can be dated.
    #[must_use]
    pub fn value<'f>(&self, field: &FieldView<'f>) -> FieldValue<'f> {
        field.value_with(&self.known.elements(), &self.clock)
    }

    /// The name of a field's element.
    #[must_use]
    pub fn name(&self, field: &FieldView<'_>) -> Option<&'a str> {
        field.name_with(&self.known.elements())
    }

    /// What the header of the datagram says of sampling.
    #[must_use]
    pub fn header_sampling(&self) -> Option<SamplingInfo> {
        self.known.header_sampling()
    }

    /// The clock that dates times.
    #[must_use]
    pub const fn clock(&self) -> ExportClock {
        self.clock
    }

    /// What is known of elements.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        self.known.elements()
    }

    /// The template that the records of a list have.
    #[must_use]
    pub fn template(&self, template_id: u16) -> Option<&'a Template> {
        self.known.template(template_id)
    }
}
