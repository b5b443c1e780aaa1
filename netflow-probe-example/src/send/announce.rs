//! What an exporter says of itself besides flows: names of interfaces, flow keys, and what was lost.

use netflow_codec::{
    EncodeError, ExportVersion, FieldSpecifier, InterfaceName, Interval, NotSent, OptionsData, Protocol,
    Timestamp,
};

use super::{Content, Destination, RecordContent, SendError};

// So far behind the first one of a session, which has eight itself; reports of selectors begin 44 behind it.
const INTERFACES_TEMPLATE: u16 = 14;
const KEYS_TEMPLATE: u16 = 15;
const METERING_TEMPLATE: u16 = 16;
const EXPORTING_TEMPLATE: u16 = 17;

/// Octets that v9 has for an interface's name, and for its description.
const V9_NAME: usize = 32;
const V9_DESCRIPTION: usize = 64;

/// An interface by the index that flows carry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: what is announced of an interface")]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
}

/// What the metering process ignored (RFC 7011 section 4.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: ignoredPacketTotalCount and ignoredOctetTotalCount")]
pub struct MeteringLoss {
    /// Packets.
    pub packets: u64,
    /// Octets of those, as far as they are known.
    pub octets: u64,
}

/// The names of interfaces, for v9 and IPFIX: v9 has room for 32 octets of a name and 64 of a description, the rest of
/// which is cut off. The ids of the session's templates begin at `first_template`.
///
/// # Errors
///
/// [`SendError::Session`] for a text above 65535 octets in IPFIX.
pub fn announce_interfaces(
    version: ExportVersion,
    first_template: u16,
    interfaces: &[Interface],
) -> Result<OptionsData, SendError> {
    let (protocol, name, description) = match version {
        ExportVersion::Ipfix => (Protocol::Ipfix, usize::MAX, usize::MAX),
        _ => (Protocol::NetFlow9, V9_NAME, V9_DESCRIPTION),
    };
    let names: Vec<_> = interfaces
        .iter()
        .map(|interface| InterfaceName {
            index: interface.index,
            name: cut(&interface.name, name),
            description: cut(&interface.description, description),
        })
        .collect();
    OptionsData::interface_names(protocol, first_template + INTERFACES_TEMPLATE, &names)
        .map_err(SendError::Session)
}

fn cut(text: &str, octets: usize) -> &str {
    let end = (0..=octets.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Which fields of the records of an IPFIX session are flow keys (RFC 7011 section 4.4).
///
/// # Errors
///
/// None that a session of IPFIX leads to.
pub fn announce_keys(destination: &Destination, content: &RecordContent) -> Result<OptionsData, SendError> {
    let indicator = |fields: &mut dyn Iterator<Item = FieldSpecifier>| {
        let bits = fields.take(64).enumerate();
        bits.filter(|(_, field)| content.is_key(field.element)).fold(0, |sum, (bit, _)| sum | 1u64 << bit)
    };
    let layouts = destination.session().layouts().iter();
    let own = layouts.map(|layout| (layout.template_id(), indicator(&mut layout.fields().iter().copied())));
    let templates = destination.config().templates.iter();
    let others = templates.map(|template| (template.id(), indicator(&mut template.fields())));
    let indicators: Vec<_> = own.chain(others).collect();
    let id = destination.config().first_template + KEYS_TEMPLATE;
    OptionsData::flow_keys(Protocol::Ipfix, id, &indicators).map_err(SendError::Session)
}

/// Losses that a destination is told of, and since when there are any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    last: Option<Timestamp>,
    metering: Since<MeteringLoss>,
    exporting: Since<Content>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Since<T> {
    told: T,
    from: Option<Timestamp>,
}

impl<T: Default + PartialEq> Since<T> {
    /// The interval of the loss, when there is one that has not been told.
    fn note(&mut self, loss: T, last: Timestamp, now: Timestamp) -> Option<Interval> {
        if loss == self.told {
            return None;
        }
        self.told = loss;
        Some(Interval { from: *self.from.get_or_insert(last), until: now })
    }
}

/// Tells a destination what was lost, if more was than it has been told: packets by the metering process, flows that could
/// not be sent to it by the exporting process (RFC 7011 sections 4.2 and 4.3). IPFIX only.
///
/// # Errors
///
/// As [`Destination::set_options`].
pub fn announce_loss(
    destination: &mut Destination,
    metering: MeteringLoss,
    now: Timestamp,
) -> Result<(), SendError> {
    if destination.config().version != ExportVersion::Ipfix {
        return Ok(());
    }
    let (domain, first_template) = (destination.config().source_id, destination.config().first_template);
    let exporting = destination.stats().not_sent;
    let address = destination.local();
    let told = destination.told_mut();
    let last = told.last.replace(now).unwrap_or(now);
    let metered = told.metering.note(metering, last, now);
    let unsent = address
        .and_then(|address| told.exporting.note(exporting, last, now).map(|interval| (address, interval)));
    let set = |destination: &mut Destination, options: Result<OptionsData, EncodeError>| {
        destination.set_options(options.map_err(SendError::Session)?, now)
    };
    if let Some(interval) = metered {
        let counts = (metering.packets, metering.octets);
        let id = first_template + METERING_TEMPLATE;
        let options = OptionsData::metering_reliability(Protocol::Ipfix, id, domain, counts, interval);
        set(destination, options)?;
    }
    if let Some((address, interval)) = unsent {
        let Content { flows, packets, octets } = exporting;
        let not_sent = NotSent { flows, packets, octets };
        // The two families have different scopes.
        let id = first_template + EXPORTING_TEMPLATE + u16::from(address.is_ipv6());
        let options = OptionsData::exporting_reliability(Protocol::Ipfix, id, address, not_sent, interval);
        set(destination, options)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("eth0", 32), "eth0");
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("äöü", 0), "");
        let interface = Interface { index: 7, name: "ä".repeat(40), description: "x".repeat(100) };
        assert!(announce_interfaces(ExportVersion::V9, 256, &[interface]).is_ok());
    }

    #[test]
    fn a_loss_is_told_once_with_the_time_since_when_there_is_one() {
        // X22
        let time = Timestamp::from_secs;
        let mut since = Since::<MeteringLoss>::default();
        assert_eq!(since.note(MeteringLoss::default(), time(1), time(2)), None);
        let loss = MeteringLoss { packets: 1, octets: 40 };
        assert_eq!(since.note(loss, time(2), time(3)), Some(Interval { from: time(2), until: time(3) }));
        assert_eq!(since.note(loss, time(3), time(4)), None);
        let more = MeteringLoss { packets: 2, octets: 80 };
        assert_eq!(since.note(more, time(4), time(5)), Some(Interval { from: time(2), until: time(5) }));
    }
}
