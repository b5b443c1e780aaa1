//! How records of a set stand in a file.

use netflow_codec::{ElementId, ExportClock, FieldView, ScopeType, SysUptime, Timestamp};

use crate::flow::{Record, RecordFields};

/// What records of a set look like, and what becomes of their fields.
#[derive(Debug, Default)]
pub(super) struct Layout {
    id: u16,
    is_options: bool,
    /// The template record, behind its id.
    template: Vec<u8>,
    fates: Vec<Fate>,
    fields: u16,
    scopes: u16,
    /// Whether records are as they came.
    is_verbatim: bool,
    /// Whether the domain stands in front, as the only scope.
    has_domain: bool,
    /// What dates uptimes, and times that count back from the export; of the first record, as others may say themselves
    /// when the exporter booted.
    clock: ExportClock,
    left_out: u64,
    /// Octets of the scopes; `None` when records differ in it.
    scope_octets: Option<usize>,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Kept,
    /// It is behind its length.
    Variable,
    Dropped,
    /// Microseconds before the export become a point in time.
    Dated,
    /// An uptime becomes a point in time.
    Uptime,
}

/// The length of a field whose values differ in theirs.
const VARIABLE: u16 = 0xffff;
const OBSERVATION_DOMAIN_ID: u16 = 149;
/// flowStartDeltaMicroseconds, flowEndDeltaMicroseconds; flowStartMicroseconds and flowEndMicroseconds are four less.
const DELTAS: [u16; 2] = [158, 159];
/// flowEndSysUpTime, flowStartSysUpTime.
const UPTIMES: [u16; 2] = [21, 22];
/// What the number of such an element and that of flowEndMilliseconds (153) or flowStartMilliseconds (152) make together.
const UPTIME_AND_MILLISECONDS: u16 = 174;

impl Layout {
    pub(super) const fn id(&self) -> u16 {
        self.id
    }

    pub(super) const fn is_options(&self) -> bool {
        self.is_options
    }

    /// The template record, behind its id.
    pub(super) fn template(&self) -> &[u8] {
        &self.template
    }

    /// Whether nothing is left of its records.
    pub(super) const fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Fields of each record that are left out.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Learns how the records look that are of the same set as this one.
    pub(super) fn learn(&mut self, record: &Record<'_>) {
        self.id = record.template_id.unwrap_or(256);
        self.is_options = record.is_options;
        (self.fields, self.scopes, self.left_out) = (0, 0, 0);
        (self.has_domain, self.is_verbatim) = (false, true);
        self.scope_octets = Some(0);
        self.template.clear();
        self.fates.clear();
        // The counts are put in at the end.
        self.template.extend([0; 4]);
        self.clock = record.context.of(&record.fields).clock();
        let learn = |this: &mut Self, index: usize, element, scope: Option<ScopeType>, length| {
            this.field(index < record.scope_fields, element, scope, length);
        };
        match record.fields {
            RecordFields::Data(data) => {
                let template = data.template();
                for (index, (field, view)) in template.fields().iter().zip(data.fields()).enumerate() {
                    learn(self, index, field.element, view.scope_type(), field.length);
                }
            }
            fields => {
                self.is_verbatim = false;
                for (index, field) in fields.iter().enumerate() {
                    let length = u16::try_from(field.octets().len()).unwrap_or(0);
                    learn(self, index, field.element(), None, length);
                }
            }
        }
        self.conclude();
    }

    fn field(&mut self, is_scope: bool, element: ElementId, scope: Option<ScopeType>, length: u16) {
        let element = match scope {
            Some(scope) => scope_element(scope),
            None => Some(element).filter(|element| element.number() < 0x8000),
        };
        let fate = match element {
            _ if length == 0 => Fate::Dropped,
            None => {
                self.left_out += 1;
                Fate::Dropped
            }
            Some(element) if is_delta(element) && length == 4 => Fate::Dated,
            Some(element) if is_uptime(element) && length <= 8 && self.clock.has_uptime() => Fate::Uptime,
            Some(_) if length == VARIABLE => Fate::Variable,
            Some(_) => Fate::Kept,
        };
        self.fates.push(fate);
        self.is_verbatim &= matches!(fate, Fate::Kept | Fate::Variable);
        let Some(element) = element.filter(|_| fate != Fate::Dropped) else { return };
        if is_scope {
            self.scopes += 1;
            let fixed = Some(usize::from(length)).filter(|_| length != VARIABLE);
            self.scope_octets = self.scope_octets.zip(fixed).map(|(octets, more)| octets + more);
        }
        match fate {
            Fate::Dated => self.specify(ElementId::iana(element.number() - 4), 8),
            Fate::Uptime => self.specify(ElementId::iana(UPTIME_AND_MILLISECONDS - element.number()), 8),
            _ => self.specify(element, length),
        }
    }

    /// Adds a field specifier.
    fn specify(&mut self, element: ElementId, length: u16) {
        let enterprise = element.enterprise();
        let bit = if enterprise == 0 { 0 } else { 0x8000 };
        self.template.extend((element.number() | bit).to_be_bytes());
        self.template.extend(length.to_be_bytes());
        if enterprise != 0 {
            self.template.extend(enterprise.to_be_bytes());
        }
        self.fields += 1;
    }

    /// Puts the counts in front; options need a scope.
    fn conclude(&mut self) {
        if self.is_options && self.scopes == 0 && self.fields > 0 {
            (self.has_domain, self.scopes) = (true, 1);
            self.scope_octets = Some(4);
            self.fields += 1;
            let specifier = [OBSERVATION_DOMAIN_ID.to_be_bytes(), 4_u16.to_be_bytes()].concat();
            drop(self.template.splice(4..4, specifier));
        }
        let counts = [self.fields.to_be_bytes(), self.scopes.to_be_bytes()].concat();
        let counts = counts.get(..if self.is_options { 4 } else { 2 }).unwrap_or_default().to_vec();
        drop(self.template.splice(..4, counts));
    }

    /// Writes a record as it stands in a file, in which its domain has this number.
    pub(super) fn write(&self, record: &Record<'_>, domain: u32, out: &mut Vec<u8>) {
        if self.has_domain {
            out.extend(domain.to_be_bytes());
        }
        if self.is_verbatim {
            out.extend_from_slice(record.fields.octets());
        } else {
            let clock = record.context.of(&record.fields).clock();
            for (field, fate) in record.fields.iter().zip(&self.fates) {
                write_field(&field, *fate, &clock, out);
            }
        }
    }

    /// What of a written record of options says what it is about.
    pub(super) fn scope<'r>(&self, record: &'r [u8]) -> &'r [u8] {
        self.scope_octets.and_then(|octets| record.get(..octets)).unwrap_or(record)
    }
}

fn write_field(field: &FieldView<'_>, fate: Fate, clock: &ExportClock, out: &mut Vec<u8>) {
    let octets = field.octets();
    match fate {
        Fate::Dropped => return,
        Fate::Kept => {}
        Fate::Variable => {
            // RFC 7011 section 7: one octet, or 255 and two of them.
            let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
            let [high, low] = length.to_be_bytes();
            if length < 0xff { out.push(low) } else { out.extend([0xff, high, low]) }
        }
        Fate::Uptime => {
            // Uptimes of some devices have 8 octets: they are modulo 2^32 all the same.
            let [.., a, b, c, d] = field.as_unsigned().unwrap_or(0).to_be_bytes();
            let uptime = SysUptime::from_millis(u32::from_be_bytes([a, b, c, d]));
            out.extend(clock.to_timestamp(uptime).as_millis().to_be_bytes());
            return;
        }
        Fate::Dated => {
            let before = field.as_unsigned().unwrap_or(0).saturating_mul(1_000);
            let time = Timestamp::from_nanos(clock.unix().as_nanos().saturating_sub(before));
            out.extend(ntp(time).to_be_bytes());
            return;
        }
    }
    out.extend_from_slice(octets);
}

fn is_uptime(element: ElementId) -> bool {
    element.enterprise() == 0 && UPTIMES.contains(&element.number())
}

fn is_delta(element: ElementId) -> bool {
    element.enterprise() == 0 && DELTAS.contains(&element.number())
}

/// The element that stands for a scope of v9 in IPFIX (RFC 5655 appendix B.2).
fn scope_element(scope: ScopeType) -> Option<ElementId> {
    let number = match scope {
        ScopeType::SYSTEM => 144,
        ScopeType::INTERFACE => 10,
        ScopeType::LINE_CARD => 141,
        ScopeType::CACHE => 143,
        ScopeType::TEMPLATE => 145,
        _ => return None,
    };
    Some(ElementId::iana(number))
}

/// Seconds since 1900 and fractions of 2^-32.
fn ntp(time: Timestamp) -> u64 {
    /// From 1900 to 1970.
    const EPOCH: u64 = 2_208_988_800;
    let seconds = time.as_secs().wrapping_add(EPOCH) & 0xffff_ffff;
    let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_those_of_ntp() {
        // RFC 7011 section 6.1.9: seconds since 1900, then fractions.
        assert_eq!(ntp(Timestamp::from_secs(0)), 0x83aa_7e80_0000_0000);
        assert_eq!(ntp(Timestamp::from_millis(500)), 0x83aa_7e80_8000_0000);
        assert_eq!(Timestamp::from_ntp(ntp(Timestamp::from_secs(1_700_000_000))).as_secs(), 1_700_000_000);
    }
}
