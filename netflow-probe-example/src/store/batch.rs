//! Flows as columns, before they are written.

use core::{hash::Hash, net::IpAddr};
use std::collections::HashMap;

use parquet::data_type::ByteArray;

use crate::{
    flow::{COLUMNS, Cell, Flow, Kind},
    output::json_fields,
};

/// Rows of one row group, column by column.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: usize,
    /// One for each column of the flow schema, then the one of the fields without a column.
    pub(super) columns: Vec<Values>,
    texts: Texts,
}

/// The values of a column that are not null, and which are.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) data: Data,
    is_list: bool,
    /// 0: null. In lists 1: empty, 2: an element; else 1: a value.
    pub(super) definition: Vec<i16>,
    /// 0: a row begins, 1: its list goes on. For lists only.
    pub(super) repetition: Vec<i16>,
}

#[derive(Debug, Default)]
pub(super) enum Data {
    #[default]
    None,
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text(Vec<ByteArray>),
}

/// Texts that flows share: made once in a batch.
#[derive(Debug, Default)]
struct Texts {
    addresses: HashMap<IpAddr, ByteArray>,
    macs: HashMap<[u8; 6], ByteArray>,
    words: HashMap<&'static str, ByteArray>,
    numbers: HashMap<u64, ByteArray>,
}

fn interned<K: Copy + Eq + Hash>(
    known: &mut HashMap<K, ByteArray>,
    key: K,
    text: impl FnOnce(K) -> String,
) -> ByteArray {
    known.entry(key).or_insert_with(|| ByteArray::from(text(key).into_bytes())).clone()
}

impl Batch {
    pub(super) fn new() -> Self {
        let values = |kind| {
            let is_list = matches!(kind, Kind::NumberList | Kind::AddressList);
            Values { data: Data::of(kind), is_list, ..Values::default() }
        };
        let columns = COLUMNS.iter().map(|column| column.kind).chain([Kind::Word]).map(values).collect();
        Self { rows: 0, columns, texts: Texts::default() }
    }

    pub(super) fn push(&mut self, flow: &Flow<'_>) {
        self.rows += 1;
        for ((_, cell), values) in flow.cells().zip(&mut self.columns) {
            values.push(cell, &mut self.texts);
        }
        if let Some(fields) = self.columns.last_mut() {
            match json_fields(flow) {
                None => fields.definition.push(0),
                Some(json) => fields.push_text(ByteArray::from(json)),
            }
        }
    }

    /// Takes the rows out but keeps their memory.
    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.columns.iter_mut().for_each(Values::clear);
        self.texts = Texts::default();
    }
}

impl Data {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Unsigned32 | Kind::NumberList => Self::Int32(Vec::new()),
            Kind::Unsigned64 | Kind::Signed64 | Kind::Time => Self::Int64(Vec::new()),
            Kind::Word | Kind::Address | Kind::MacAddress | Kind::AddressList => Self::Text(Vec::new()),
        }
    }
}

impl Values {
    fn push(&mut self, cell: Cell, texts: &mut Texts) {
        match cell {
            Cell::Absent => {
                self.definition.push(0);
                if self.is_list {
                    self.repetition.push(0);
                }
            }
            Cell::Unsigned(number) => self.push_number(number.cast_signed()),
            Cell::Signed(number) => self.push_number(number),
            Cell::Word(word) => self.push_text(interned(&mut texts.words, word, ToOwned::to_owned)),
            Cell::NumberWord(number) => {
                self.push_text(interned(&mut texts.numbers, number, |number| number.to_string()));
            }
            Cell::Address(address) => {
                self.push_text(interned(&mut texts.addresses, address, |address| address.to_string()));
            }
            Cell::MacAddress(mac) => {
                let text = |mac| netflow_codec::FieldValue::MacAddress(mac).to_string();
                self.push_text(interned(&mut texts.macs, mac, text));
            }
            Cell::Labels(labels) => {
                self.push_list(labels.iter().map(|label| i64::from(label.label())));
            }
            Cell::ListOfOne(number) => self.push_list([number.cast_signed()].into_iter()),
            Cell::ListOfAddress(address) => {
                let text = interned(&mut texts.addresses, address, |address| address.to_string());
                if let Data::Text(values) = &mut self.data {
                    values.push(text);
                }
                self.definition.push(2);
                self.repetition.push(0);
            }
        }
    }

    /// Numbers are stored by their bits, as Parquet stores unsigned ones.
    fn push_number(&mut self, number: i64) {
        self.push_bits(number);
        self.definition.push(1);
    }

    fn push_bits(&mut self, number: i64) {
        match &mut self.data {
            #[expect(clippy::cast_possible_truncation, reason = "the column's numbers have 32 bits")]
            Data::Int32(values) => values.push(number as i32),
            Data::Int64(values) => values.push(number),
            Data::Text(_) | Data::None => {}
        }
    }

    fn push_text(&mut self, text: ByteArray) {
        if let Data::Text(values) = &mut self.data {
            values.push(text);
        }
        self.definition.push(1);
    }

    fn push_list(&mut self, numbers: impl Iterator<Item = i64>) {
        let before = self.definition.len();
        for number in numbers {
            self.repetition.push(i16::from(self.definition.len() > before));
            self.definition.push(2);
            self.push_bits(number);
        }
        if self.definition.len() == before {
            self.definition.push(1);
            self.repetition.push(0);
        }
    }

    fn clear(&mut self) {
        match &mut self.data {
            Data::None => {}
            Data::Int32(values) => values.clear(),
            Data::Int64(values) => values.clear(),
            Data::Text(values) => values.clear(),
        }
        self.definition.clear();
        self.repetition.clear();
    }
}
