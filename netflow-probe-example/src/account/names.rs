//! What exporters call their interfaces, VRFs, applications and samplers, as their options say.

use core::fmt;
use std::collections::BTreeMap;

use netflow_codec::{DataRecord, FieldView, ScopeType, Template};

/// Names by number. What an exporter says is bounded, in each name and in all.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Interfaces by their index: name (82), else description (83).
    pub interfaces: BTreeMap<u64, String>,
    /// VRFs by their identifier (234, 235): name (236).
    pub vrfs: BTreeMap<u64, String>,
    /// Applications by their identifier (95): name (96), else description (94).
    pub applications: BTreeMap<u64, String>,
    /// Samplers and selectors by their identifier (48, 302): name (84, 335), mode and rate.
    pub samplers: BTreeMap<u64, String>,
    octets: usize,
    /// Names for which there was no room.
    pub refused: u64,
}

impl Names {
    /// Octets of all names of an exporter.
    pub const OCTETS: usize = 256 << 10;
    /// Octets of a name; what is longer is cut off.
    pub const NAME_OCTETS: usize = 128;
    /// What each name costs besides its octets, roughly.
    const ENTRY: usize = 64;

    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// Octets of memory, roughly.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Whether records of this template may name something.
    #[must_use]
    pub fn are_in(template: &Template) -> bool {
        const NAMING: [u16; 11] = [82, 83, 236, 94, 96, 84, 335, 34, 50, 305, 49];
        let has = |element: &u16| {
            template
                .fields()
                .iter()
                .any(|field| field.element.enterprise() == 0 && field.element.number() == *element)
        };
        template.is_options() && NAMING.iter().any(has)
    }

    /// Takes what an options record says, while the names of all exporters leave so much room for these.
    pub fn learn(&mut self, record: &DataRecord<'_, '_>, room: usize) {
        let mut said = Said::default();
        for field in record.fields() {
            said.field(&field);
        }
        let sampling = said.sampling();
        let Said { interface_name, interface_description, vrf_name, application_name, .. } = said;
        self.put(Self::interfaces, said.interface, interface_name.or(interface_description), room);
        self.put(Self::vrfs, said.vrf, vrf_name, room);
        let application = application_name.or(said.application_description);
        self.put(Self::applications, said.application, application, room);
        self.put(Self::samplers, said.sampler, sampling, room);
    }

    /// Takes names that were kept: of interfaces, VRFs, applications and samplers.
    pub(super) fn restore(&mut self, kept: [&BTreeMap<u64, String>; 4], room: usize) {
        let kinds = [Self::interfaces, Self::vrfs, Self::applications, Self::samplers];
        for (kind, names) in kinds.into_iter().zip(kept) {
            for (number, name) in names {
                // What was cut off at this length may be longer when it was no text.
                if name.len() <= 3 * Self::NAME_OCTETS {
                    self.put(kind, Some(*number), Some(name.clone()), room);
                }
            }
        }
    }

    const fn interfaces(&mut self) -> &mut BTreeMap<u64, String> {
        &mut self.interfaces
    }

    const fn vrfs(&mut self) -> &mut BTreeMap<u64, String> {
        &mut self.vrfs
    }

    const fn applications(&mut self) -> &mut BTreeMap<u64, String> {
        &mut self.applications
    }

    const fn samplers(&mut self) -> &mut BTreeMap<u64, String> {
        &mut self.samplers
    }

    fn put(&mut self, kind: Kind, number: Option<u64>, name: Option<String>, room: usize) {
        let (Some(number), Some(name)) = (number, name) else { return };
        let room = room.min(Self::OCTETS).saturating_sub(self.octets);
        if let Some(known) = kind(self).get_mut(&number) {
            let before = known.len();
            if *known != name && name.len() <= room + before {
                let more = name.len();
                *known = name;
                self.octets = self.octets + more - before;
            }
        } else if name.len() + Self::ENTRY <= room {
            self.octets += name.len() + Self::ENTRY;
            kind(self).insert(number, name);
        } else {
            self.refused += 1;
        }
    }
}

/// One of the maps.
type Kind = fn(&mut Names) -> &mut BTreeMap<u64, String>;

/// What a record says.
#[derive(Default)]
struct Said {
    interface: Option<u64>,
    interface_name: Option<String>,
    interface_description: Option<String>,
    vrf: Option<u64>,
    vrf_name: Option<String>,
    application: Option<u64>,
    application_name: Option<String>,
    application_description: Option<String>,
    sampler: Option<u64>,
    sampler_name: Option<String>,
    mode: Option<u64>,
    rate: Option<u64>,
}

impl Said {
    fn field(&mut self, field: &FieldView<'_>) {
        if field.scope_type() == Some(ScopeType::INTERFACE) {
            self.interface = field.as_unsigned();
            return;
        }
        if field.scope_type().is_some() || field.element().enterprise() != 0 {
            return;
        }
        match field.element().number() {
            10 | 14 => self.interface = self.interface.or(field.as_unsigned()),
            82 => self.interface_name = text(field),
            83 => self.interface_description = text(field),
            234 | 235 => self.vrf = self.vrf.or(field.as_unsigned()),
            236 => self.vrf_name = text(field),
            95 => self.application = number(field.octets()),
            96 => self.application_name = text(field),
            94 => self.application_description = text(field),
            48 | 302 => self.sampler = self.sampler.or_else(|| number(field.octets())),
            84 | 335 => self.sampler_name = text(field),
            49 | 304 => self.mode = field.as_unsigned(),
            34 | 50 => self.rate = field.as_unsigned(),
            _ => {}
        }
    }

    fn sampling(&self) -> Option<String> {
        let mut parts: Vec<String> = self.sampler_name.iter().cloned().collect();
        parts.extend(self.rate.map(|rate| format!("1 in {rate}")));
        parts.extend(self.mode.map(|mode| format!("mode {mode}")));
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Octets of any length up to 8 as a number.
fn number(octets: &[u8]) -> Option<u64> {
    (octets.len() <= 8).then(|| octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
}

/// The text of a field, without what fills it up; `None` when it is empty. Text that is none is shown as it can be.
fn text(field: &FieldView<'_>) -> Option<String> {
    let octets = field.octets();
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len()).min(Names::NAME_OCTETS);
    let text = String::from_utf8_lossy(octets.get(..end).unwrap_or(octets));
    let text: String =
        text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    (!text.is_empty()).then_some(text)
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interfaces, vrfs, applications, samplers, .. } = self;
        let [interfaces, vrfs, applications, samplers] =
            [interfaces, vrfs, applications, samplers].map(BTreeMap::len);
        write!(f, "{interfaces} interfaces, {vrfs} VRFs, {applications} applications, {samplers} samplers")
    }
}
