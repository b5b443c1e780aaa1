//! One field of any element and any octets: its value as each data type, and the lists within it.
//!
//! ```text
//! enterprise number, 4 octets | element, 2 octets | export time in seconds, 4 octets | value
//! ```
//!
//! Lists are opened with a template that has the three kinds of lists, numbers and text in its records, whatever
//! template they name.

use core::fmt::Write as _;

use netflow_codec::{
    Batch, DataType, Decoder, ElementId, Elements, ExportClock, FieldValue, FieldView, MAX_LIST_DEPTH,
    SubTemplateList, SysUptime, Template, Timestamp,
};

/// The template of the records in lists.
pub const TEMPLATE: u16 = 300;

/// A message that announces [`TEMPLATE`]: basicList, subTemplateList, subTemplateMultiList, a port, a name.
const MESSAGE: &[u8] = &[
    0, 10, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 32, 1, 44, 0, 5, 1, 35, 255, 255, 1, 36, 255,
    255, 1, 37, 255, 255, 0, 7, 0, 2, 0, 82, 255, 255, 0, 0, 0, 0,
];

/// Reads the field in every way there is.
pub fn run(input: &[u8]) {
    let Some((head, octets)) = input.split_first_chunk::<10>() else { return };
    let [a, b, c, d, high, low, time @ ..] = *head;
    let element = ElementId::new(u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low]));
    let export = Timestamp::from_secs(u32::from_be_bytes(time).into());
    let clocks =
        [ExportClock::new(export, SysUptime::from_millis(u32::MAX)), ExportClock::without_uptime(export)];
    let field = FieldView::new(element, octets);
    let mut decoder = Decoder::new();
    let mut batches = decoder.decode(&0, MESSAGE, Timestamp::ZERO).expect("the message is sound");
    let Some(Batch::Template(template, _)) = batches.next() else { panic!("the template is sound") };

    let mut seen = Seen { template: &template, fields: 0, records: 0, text: String::new() };
    seen.open(field.value(), 0);
    // Each field consumes an octet of its list, but for those of no octets that an entry of four has before them.
    let most = 1 + octets.len() * usize::from(MAX_LIST_DEPTH);
    assert!(seen.fields <= most && seen.records <= most, "{} fields, {} records", seen.fields, seen.records);

    for data_type in (0..=u8::MAX).filter_map(DataType::from_number) {
        let value = field.value_as(data_type);
        check(value, data_type, octets);
        for clock in &clocks {
            check(field.value_as_at(data_type, clock), data_type, octets);
        }
    }
    for clock in &clocks {
        assert_eq!(
            text(field.value_at(clock)),
            text(field.value_with(&Elements::default(), clock)),
            "{element} of {octets:02x?}"
        );
    }
    if let Some(id) = field.as_application_id() {
        assert!(id.selector_octets().len() < octets.len() && !id.to_string().is_empty());
    }
    if let Some(status) = field.as_forwarding_status() {
        assert_eq!(octets.last(), Some(&status.0));
        assert!(!status.to_string().is_empty());
    }
    assert_eq!(field.as_tcp_flags().is_some(), field.as_unsigned().is_some());
    // A name leads back to its element, or to another one of the same name.
    if let Some(name) = field.name() {
        assert!(
            ElementId::from_name(name).is_none_or(|found| found.info().is_some_and(|info| info.name == name))
        );
    }
    if let Some(forward) = element.forward() {
        assert_eq!((forward.reverse(), forward.data_type()), (Some(element), element.data_type()));
    }
}

fn text(value: FieldValue<'_>) -> String {
    value.to_string()
}

/// A value has the type that was asked for, or is the octets as they came.
fn check(value: FieldValue<'_>, data_type: DataType, octets: &[u8]) {
    let fits = match value {
        FieldValue::Octets(kept) => kept == octets,
        FieldValue::Unsigned(_) => data_type.is_unsigned() && octets.len() <= 8,
        FieldValue::Unsigned256(wide) => {
            data_type == DataType::Unsigned256 && octets.len() <= 32 && wide.octets().len() <= octets.len()
        }
        FieldValue::Signed(_) => data_type.is_signed() && octets.len() <= 8,
        FieldValue::BasicList(_) | FieldValue::SubTemplateList(_) | FieldValue::SubTemplateMultiList(_) => {
            data_type.is_list()
        }
        FieldValue::String(text) => octets.starts_with(text.as_bytes()),
        // An uptime, or microseconds before the export, is a number that becomes a time.
        FieldValue::DateTime(_) => octets.len() <= 8,
        _ => u16::try_from(octets.len()).is_ok_and(|length| data_type.admits_length(length)),
    };
    assert!(fits, "{data_type}: {value} of {octets:02x?}");
}

/// What was found in a list.
struct Seen<'t> {
    template: &'t Template,
    fields: usize,
    records: usize,
    text: String,
}

impl Seen<'_> {
    fn open(&mut self, value: FieldValue<'_>, depth: u8) {
        self.fields += 1;
        self.text.clear();
        write!(self.text, "{value}").expect("a string takes everything");
        let is_list = match value {
            FieldValue::BasicList(list) => {
                let whole: usize = list.iter().map(|value| value.octets().len()).sum();
                assert!(whole <= list.content().len());
                assert!(list.fault().is_none_or(|fault| fault.offset as usize <= 9 + list.content().len()));
                list.iter().for_each(|value| self.open(value.value(), depth + 1));
                true
            }
            FieldValue::SubTemplateList(list) => {
                self.records_of(list, depth + 1);
                true
            }
            FieldValue::SubTemplateMultiList(list) => {
                let whole: usize = list.iter().map(|entry| 4 + entry.content().len()).sum();
                assert_eq!(whole == list.content().len(), list.fault().is_none());
                list.iter().for_each(|entry| self.records_of(entry, depth + 1));
                true
            }
            _ => false,
        };
        assert!(!is_list || depth < MAX_LIST_DEPTH, "a list within {depth} others");
    }

    fn records_of(&mut self, list: SubTemplateList<'_>, depth: u8) {
        let mut octets = 0;
        for record in list.records(self.template) {
            self.records += 1;
            octets += record.octets().len();
            assert_eq!(record.fields().count(), 5);
            record.fields().for_each(|field| self.open(field.value(), depth));
        }
        assert!(octets <= list.content().len());
        assert!(octets == 0 || list.template_id() == TEMPLATE);
    }
}
