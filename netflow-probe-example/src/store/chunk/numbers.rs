//! Columns of numbers.

use parquet::{basic::Encoding, file::statistics::Statistics};

use super::{Encoder, delta::push_deltas, dictionary::Dictionary};

/// How the numbers of a column compare, and what they are like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) enum Order {
    Unsigned,
    /// By their bits, as times do.
    Signed,
}

/// A number of a column.
pub(in crate::store) trait Number: Copy + Into<u64> + Ord {
    /// Whether the column has 64 bits, and not 32.
    const IS_WIDE: bool;
    /// How many different numbers there can be, if that is few enough to look them up directly.
    const VALUES: Option<usize>;
}

impl Number for u8 {
    const IS_WIDE: bool = false;
    const VALUES: Option<usize> = Some(1 << 8);
}

impl Number for u16 {
    const IS_WIDE: bool = false;
    const VALUES: Option<usize> = Some(1 << 16);
}

impl Number for u32 {
    const IS_WIDE: bool = false;
    const VALUES: Option<usize> = None;
}

impl Number for u64 {
    const IS_WIDE: bool = true;
    const VALUES: Option<usize> = None;
}

/// After so many values it is looked whether a dictionary is worth its entries.
const TRIAL: usize = 1 << 13;

/// Whether a dictionary of so many entries is worth it for so many values.
const fn is_worth(entries: usize, values: usize, is_wide: bool) -> bool {
    if is_wide { entries * 3 <= values } else { entries * 8 <= values }
}

impl Encoder {
    /// Gives the numbers that are there.
    pub(in crate::store) fn numbers<N: Number>(&mut self, numbers: &[N], order: Order) {
        let Some(first) = numbers.first().copied() else { return };
        if numbers.iter().all(|number| *number == first) {
            self.number_entries::<N>([first.into()].into_iter(), order);
            self.push_one(numbers.len());
            return;
        }
        let found = match N::VALUES {
            Some(values) => self.places_of_small(numbers, values),
            None => self.places_of_numbers(numbers),
        };
        if found {
            let keys = core::mem::replace(&mut self.numbers, Dictionary::none());
            self.number_entries::<N>(keys.keys().iter().copied(), order);
            self.numbers = keys;
            self.push_places();
            return;
        }
        self.number_statistics::<N>(numbers.iter().map(|number| (*number).into()), order);
        self.begin();
        if N::IS_WIDE {
            self.encoding = Encoding::DELTA_BINARY_PACKED;
            push_deltas(&mut self.page, numbers.iter().map(|number| (*number).into()));
        } else {
            self.page.reserve(4 * numbers.len());
            for number in numbers {
                let [a, b, c, d, ..] = (*number).into().to_le_bytes();
                self.page.extend_from_slice(&[a, b, c, d]);
            }
        }
    }

    /// Gives runs of numbers, or of nothing, with their levels.
    pub(in crate::store) fn number_runs<N: Number>(
        &mut self,
        runs: impl Iterator<Item = (Option<N>, u32)> + Clone,
        order: Order,
    ) {
        for (number, count) in runs.clone() {
            self.definition.push(number.is_some().into(), count);
        }
        let rows = self.definition.len() as usize;
        self.runs.clear();
        self.numbers.clear(rows);
        for (number, count) in runs.clone() {
            let Some(number) = number else { continue };
            match self.numbers.place(number.into()) {
                Some(place) if self.runs.len() * 4 <= rows + 400 => self.push_run(place, count),
                _ => {
                    let mut spread = core::mem::take(&mut self.spread);
                    spread.clear();
                    for (number, count) in runs {
                        let number = number.map(Into::into);
                        spread.extend(
                            number
                                .into_iter()
                                .flat_map(|number| core::iter::repeat_n(number, count as usize)),
                        );
                    }
                    self.spread_numbers::<N>(&spread, order);
                    self.spread = spread;
                    return;
                }
            }
        }
        if self.runs.is_empty() {
            return;
        }
        let keys = core::mem::replace(&mut self.numbers, Dictionary::none());
        self.number_entries::<N>(keys.keys().iter().copied(), order);
        self.numbers = keys;
        self.push_runs();
    }

    /// Numbers of a column that may have 32 bits, given with 64.
    fn spread_numbers<N: Number>(&mut self, numbers: &[u64], order: Order) {
        if N::IS_WIDE {
            self.numbers(numbers, order);
        } else {
            let narrow: Vec<u32> =
                numbers.iter().map(|number| u32::try_from(*number).unwrap_or(u32::MAX)).collect();
            self.numbers(&narrow, order);
        }
    }

    /// Looks places up in a table with an entry for each number there can be.
    fn places_of_small<N: Number>(&mut self, numbers: &[N], values: usize) -> bool {
        self.direct.clear();
        self.direct.resize(values, 0);
        self.places.clear();
        self.places.reserve(numbers.len());
        self.numbers.clear(numbers.len());
        let mut entries = 0_u32;
        for part in numbers.chunks(TRIAL) {
            for number in part {
                let number: u64 = (*number).into();
                let Some(entry) = self.direct.get_mut(usize::try_from(number).unwrap_or(usize::MAX)) else {
                    return false;
                };
                if *entry == 0 {
                    entries += 1;
                    *entry = entries;
                    self.numbers.push(number);
                }
                self.places.push(u16::try_from(*entry - 1).unwrap_or(u16::MAX));
            }
            if values > 1 << 8
                && entries > 1 << 8
                && !is_worth(entries as usize, self.places.len(), N::IS_WIDE)
            {
                return false;
            }
        }
        true
    }

    pub(super) fn places_of_numbers<N: Number>(&mut self, numbers: &[N]) -> bool {
        self.places.clear();
        self.places.reserve(numbers.len());
        self.numbers.clear(numbers.len());
        let mut last = None;
        for part in numbers.chunks(TRIAL) {
            for number in part {
                let number: u64 = (*number).into();
                let place = match last {
                    Some((known, place)) if known == number => place,
                    _ => match self.numbers.place(number) {
                        Some(place) => place,
                        None => return false,
                    },
                };
                last = Some((number, place));
                self.places.push(place);
            }
            let entries = self.numbers.keys().len();
            if entries > 1 << 8 && !is_worth(entries, self.places.len(), N::IS_WIDE) {
                return false;
            }
        }
        true
    }

    /// The entries of a dictionary, and the statistics that follow from them.
    fn number_entries<N: Number>(
        &mut self,
        numbers: impl ExactSizeIterator<Item = u64> + Clone,
        order: Order,
    ) {
        self.number_statistics::<N>(numbers.clone(), order);
        self.entries = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        for number in numbers {
            let octets = number.to_le_bytes();
            let width = if N::IS_WIDE { 8 } else { 4 };
            self.dictionary.extend(octets.iter().take(width));
        }
    }

    fn number_statistics<N: Number>(&mut self, numbers: impl Iterator<Item = u64>, order: Order) {
        // Signed numbers compare as unsigned ones do whose highest bit is changed.
        let flip = if order == Order::Signed { 1 << 63 } else { 0 };
        let (least, most) = numbers.fold((u64::MAX, 0), |(least, most), number| {
            let number = number ^ flip;
            (least.min(number), most.max(number))
        });
        let (least, most) = ((least ^ flip).cast_signed(), (most ^ flip).cast_signed());
        self.statistics = Some(if N::IS_WIDE {
            Statistics::int64(Some(least), Some(most), None, None, false)
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "the column's numbers have 32 bits")]
            Statistics::int32(Some(least as i32), Some(most as i32), None, None, false)
        });
    }
}
