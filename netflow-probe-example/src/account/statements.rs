//! What exporters say of their own work: the options of RFC 7011 section 4, recognised by their elements, whatever else is
//! in them.

use core::fmt;
use std::collections::{BTreeMap, btree_map::Entry};

use netflow_codec::{DataRecord, FieldValue, FieldView, ScopeType, Template, Timestamp};

use super::Stream;

/// What an exporter says of its processes, and of the keys of its flows. Bounded, as names are.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    /// Counters of metering and exporting processes.
    pub processes: BTreeMap<Process, ProcessCounts>,
    /// Which fields of its templates are the flow key, by version, observation domain and template id.
    pub flow_keys: BTreeMap<(u16, u32, u16), FlowKeys>,
    octets: usize,
    /// Statements for which there was no room.
    pub refused: u64,
}

/// Whom counters are of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Process {
    /// Version of the protocol.
    pub version: u16,
    /// Observation domain.
    pub observation_domain: u32,
    /// The scope, as in `meteringProcessId 7`.
    pub scope: String,
}

/// Counters that an exporter keeps of itself. `None` is what it does not say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProcessCounts {
    /// Messages exported (41).
    pub exported_messages: Option<u64>,
    /// Flow records exported (42).
    pub exported_flow_records: Option<u64>,
    /// Octets exported (40).
    pub exported_octets: Option<u64>,
    /// Packets that were not metered for lack of resources (164).
    pub ignored_packets: Option<u64>,
    /// Octets of these (165).
    pub ignored_octets: Option<u64>,
    /// Flow records that were made and not sent (166).
    pub not_sent_flows: Option<u64>,
    /// Packets of these (167).
    pub not_sent_packets: Option<u64>,
    /// Octets of these (168).
    pub not_sent_octets: Option<u64>,
    /// When it was said last.
    pub said: Timestamp,
}

/// The flow key of a template.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowKeys {
    /// One bit for each field, the first one in the lowest (flowKeyIndicator, 173).
    pub indicator: u64,
    /// The names of the fields that are marked.
    pub fields: Vec<String>,
}

/// What is wrong with an option of flow keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeysFault {
    /// Nobody knows the template.
    NoTemplate,
    /// It is a template of options.
    OptionsTemplate,
    /// It has fewer fields than are marked.
    TooFewFields {
        /// Fields of the template.
        fields: usize,
        /// The last field that is marked, from 1.
        marked: u32,
    },
}

impl ProcessCounts {
    /// Elements and where they belong.
    fn member(&mut self, element: u16) -> Option<&mut Option<u64>> {
        Some(match element {
            40 => &mut self.exported_octets,
            41 => &mut self.exported_messages,
            42 => &mut self.exported_flow_records,
            164 => &mut self.ignored_packets,
            165 => &mut self.ignored_octets,
            166 => &mut self.not_sent_flows,
            167 => &mut self.not_sent_packets,
            168 => &mut self.not_sent_octets,
            _ => return None,
        })
    }

    /// What is said, by name.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let named = [
            ("exported_messages", self.exported_messages),
            ("exported_flow_records", self.exported_flow_records),
            ("exported_octets", self.exported_octets),
            ("ignored_packets", self.ignored_packets),
            ("ignored_octets", self.ignored_octets),
            ("not_sent_flows", self.not_sent_flows),
            ("not_sent_packets", self.not_sent_packets),
            ("not_sent_octets", self.not_sent_octets),
        ];
        named.into_iter().filter_map(|(name, count)| Some((name, count?))).collect()
    }
}

/// The element with one bit for each field of a template.
const FLOW_KEY_INDICATOR: u16 = 173;
/// The element of template ids, which is a scope.
const TEMPLATE_ID: u16 = 145;

impl Statements {
    /// Octets of all statements of an exporter.
    const OCTETS: usize = 64 << 10;
    /// What each costs besides its texts, roughly.
    const ENTRY: usize = 192;

    /// Octets of memory, roughly.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Whether records of this template are such options.
    #[must_use]
    pub fn are_in(template: &Template) -> bool {
        let mut counts = ProcessCounts::default();
        template.is_options()
            && template.fields().iter().any(|field| {
                let (enterprise, number) = (field.element.enterprise(), field.element.number());
                enterprise == 0 && (number == FLOW_KEY_INDICATOR || counts.member(number).is_some())
            })
    }

    /// The template whose flow keys an options record tells, and which of its fields they are.
    #[must_use]
    pub fn flow_keys_of(record: &DataRecord<'_, '_>) -> Option<(u16, u64)> {
        let (mut template, mut indicator) = (None, None);
        let scopes = record.template().scope_count();
        for (index, field) in record.fields().enumerate() {
            let is_template = match field.scope_type() {
                Some(scope) => scope == ScopeType::TEMPLATE,
                None => index < scopes && is(&field, TEMPLATE_ID),
            };
            if is_template {
                template = field.as_unsigned().and_then(|id| u16::try_from(id).ok());
            } else if field.scope_type().is_none() && is(&field, FLOW_KEY_INDICATOR) {
                indicator = field.as_unsigned();
            }
        }
        Some((template?, indicator?))
    }

    /// Marks the fields of a template, if it has them, while all exporters leave so much room.
    pub(super) fn mark(
        &mut self,
        stream: Stream,
        (template_id, indicator): (u16, u64),
        template: Option<&Template>,
        room: usize,
    ) -> Result<(), KeysFault> {
        let key = (stream.version, stream.observation_domain, template_id);
        let fields = marked(indicator, template).inspect_err(|_| self.forget_keys(key))?;
        if self.flow_keys.get(&key).is_some_and(|keys| keys.indicator == indicator && keys.fields == fields) {
            return Ok(());
        }
        self.forget_keys(key);
        let keys = FlowKeys { indicator, fields };
        if self.takes(keys.octets(), room) {
            self.flow_keys.insert(key, keys);
        }
        Ok(())
    }

    /// Forgets the flow key of a template: another one has its id.
    pub(super) fn forget_keys(&mut self, key: (u16, u32, u16)) {
        if let Some(keys) = self.flow_keys.remove(&key) {
            self.octets = self.octets.saturating_sub(keys.octets());
        }
    }

    /// Takes what an options record says of a process, while all exporters leave so much room.
    pub(super) fn learn(&mut self, stream: Stream, record: &DataRecord<'_, '_>, now: Timestamp, room: usize) {
        let mut counts = ProcessCounts { said: now, ..ProcessCounts::default() };
        let mut scope = String::new();
        let scopes = record.template().scope_count();
        for (index, field) in record.fields().enumerate() {
            if index < scopes {
                push_scope(&mut scope, &field);
            } else if field.element().enterprise() == 0
                && let Some(member) = counts.member(field.element().number())
            {
                *member = field.as_unsigned();
            }
        }
        if counts.named().is_empty() {
            return;
        }
        let octets = Self::ENTRY + scope.len();
        let process =
            Process { version: stream.version, observation_domain: stream.observation_domain, scope };
        let is_new = !self.processes.contains_key(&process);
        if is_new && !self.takes(octets, room) {
            return;
        }
        match self.processes.entry(process) {
            Entry::Vacant(entry) => drop(entry.insert(counts)),
            Entry::Occupied(mut entry) => entry.get_mut().update(&counts),
        }
    }

    /// Whether there is room for so much more, which is taken then.
    fn takes(&mut self, octets: usize, room: usize) -> bool {
        let is_room = octets <= room.min(Self::OCTETS).saturating_sub(self.octets);
        if is_room {
            self.octets += octets;
        } else {
            self.refused += 1;
        }
        is_room
    }
}

impl ProcessCounts {
    /// Takes what is said by now; what another options record says of the same process stays.
    fn update(&mut self, new: &Self) {
        for element in [40, 41, 42, 164, 165, 166, 167, 168] {
            let mut new = *new;
            if let (Some(member), Some(Some(count))) = (self.member(element), new.member(element).copied()) {
                *member = Some(count);
            }
        }
        self.said = new.said;
    }
}

impl FlowKeys {
    fn octets(&self) -> usize {
        Statements::ENTRY + self.fields.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>()
    }
}

fn is(field: &FieldView<'_>, element: u16) -> bool {
    field.element().enterprise() == 0 && field.element().number() == element
}

/// The names of the fields that are marked.
fn marked(indicator: u64, template: Option<&Template>) -> Result<Vec<String>, KeysFault> {
    let template = template.ok_or(KeysFault::NoTemplate)?;
    if template.is_options() {
        return Err(KeysFault::OptionsTemplate);
    }
    let marked = u64::BITS - indicator.leading_zeros();
    let fields = template.fields();
    if marked as usize > fields.len() {
        return Err(KeysFault::TooFewFields { fields: fields.len(), marked });
    }
    let is_marked = |index: usize| index < 64 && indicator >> index & 1 == 1;
    let fields = fields.iter().enumerate().filter(|(index, _)| is_marked(*index));
    Ok(fields.map(|(_, field)| name(&FieldView::new(field.element, &[]))).collect())
}

/// The name of a field's element, or its number.
fn name(field: &FieldView<'_>) -> String {
    let (enterprise, number) = (field.element().enterprise(), field.element().number());
    field.name().map_or_else(|| format!("{enterprise}/{number}"), str::to_owned)
}

/// Writes a scope down: its name, and its value.
fn push_scope(text: &mut String, field: &FieldView<'_>) {
    use fmt::Write as _;
    /// Octets of a value that is no number.
    const SHOWN: usize = 16;
    if !text.is_empty() {
        text.push_str(", ");
    }
    let scope = field.scope_type();
    match scope {
        Some(scope) => match scope.name() {
            Some(name) => text.push_str(name),
            None => drop(write!(text, "scope {}", scope.number())),
        },
        None => text.push_str(&name(field)),
    }
    let octets = field.octets();
    let _ = match (field.value(), field.as_unsigned()) {
        _ if octets.is_empty() => return,
        (FieldValue::Ipv4Address(address), _) => write!(text, " {address}"),
        (FieldValue::Ipv6Address(address), _) => write!(text, " {address}"),
        (_, Some(number)) if scope.is_some() || field.name().is_some() => write!(text, " {number}"),
        _ => {
            text.push_str(" 0x");
            octets.iter().take(SHOWN).try_for_each(|octet| write!(text, "{octet:02x}"))
        }
    };
}

impl fmt::Display for KeysFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTemplate => f.write_str("which is not known"),
            Self::OptionsTemplate => f.write_str("which is one of options"),
            Self::TooFewFields { fields, marked } => {
                write!(f, "which has {fields} fields, and field {marked} is marked")
            }
        }
    }
}
