//! Columns of numbers.

use parquet::{basic::Encoding, file::statistics::Statistics};

use super::{Encoder, dictionary::Dictionary, planes::push_planes};

/// How the numbers of a column compare, and what they are like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) enum Order {
    /// Most of them have few bits.
    Unsigned,
    /// By their bits; most of them have few.
    Signed,
    /// Times, which compare by their bits: many, of a clock that is coarser than their nanoseconds.
    Time,
}

/// A number of a column.
pub(in crate::store) trait Number: Copy + Into<u64> + Ord {
    /// Whether the column has 64 bits, and not 32.
    const IS_WIDE: bool;
    /// Whether there may be more of them than a table can have entries.
    const IS_LARGE: bool;
}

impl Number for u8 {
    const IS_WIDE: bool = false;
    const IS_LARGE: bool = false;
}

impl Number for u16 {
    const IS_WIDE: bool = false;
    const IS_LARGE: bool = false;
}

impl Number for u32 {
    const IS_WIDE: bool = false;
    const IS_LARGE: bool = true;
}

impl Number for u64 {
    const IS_WIDE: bool = true;
    const IS_LARGE: bool = true;
}

/// After so many values it is looked whether a dictionary is worth its entries.
const TRIAL: usize = 1 << 12;

/// Entries whose places have one octet at most: so few are always worth it.
const FEW: usize = 1 << 8;

/// Entries of the table that places are looked up in.
const TABLE: u64 = 1 << 19;

/// Clocks: nanoseconds of their steps.
const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

impl Order {
    /// Signed numbers compare as unsigned ones do whose highest bit is changed.
    const fn flip(self) -> u64 {
        match self {
            Self::Unsigned => 0,
            Self::Signed | Self::Time => 1 << 63,
        }
    }

    /// Whether a dictionary of more than a few entries is worth it for so many values. For numbers with few bits it
    /// never is: octet by octet they are as small.
    const fn is_worth<N: Number>(self, entries: usize, values: usize) -> bool {
        entries <= FEW
            || match self {
                Self::Time => entries * 3 <= values,
                _ => N::IS_LARGE && !N::IS_WIDE && entries * 8 <= values,
            }
    }
}

/// The least number and the greatest one.
#[derive(Clone, Copy)]
struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    fn of(numbers: impl Iterator<Item = u64>, order: Order) -> Self {
        let flip = order.flip();
        let (least, most) = numbers.fold((u64::MAX, 0), |(least, most), number| {
            let number = number ^ flip;
            (least.min(number), most.max(number))
        });
        Self { least: least ^ flip, most: most ^ flip }
    }

    fn statistics<N: Number>(self) -> Statistics {
        let (least, most) = (self.least.cast_signed(), self.most.cast_signed());
        if N::IS_WIDE {
            Statistics::int64(Some(least), Some(most), None, None, false)
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "the column's numbers have 32 bits")]
            Statistics::int32(Some(least as i32), Some(most as i32), None, None, false)
        }
    }
}

impl Encoder {
    /// Gives the numbers that are there.
    pub(in crate::store) fn numbers<N: Number>(&mut self, numbers: &[N], order: Order) {
        if numbers.is_empty() {
            return;
        }
        let bounds = Bounds::of(numbers.iter().map(|number| (*number).into()), order);
        self.statistics = Some(bounds.statistics::<N>());
        if bounds.least == bounds.most {
            self.number_entries::<N>([bounds.least].into_iter());
            self.push_one(numbers.len());
        } else if self.places_of(numbers, order, bounds) {
            let keys = core::mem::replace(&mut self.numbers, Dictionary::none());
            self.number_entries::<N>(keys.keys().iter().copied());
            self.numbers = keys;
            self.push_places();
        } else {
            self.begin();
            self.encoding = Encoding::BYTE_STREAM_SPLIT;
            push_planes(&mut self.page, numbers);
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
        self.statistics = Some(Bounds::of(keys.keys().iter().copied(), order).statistics::<N>());
        self.number_entries::<N>(keys.keys().iter().copied());
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

    /// Gathers the places of numbers in a dictionary, if that is worth it.
    fn places_of<N: Number>(&mut self, numbers: &[N], order: Order, bounds: Bounds) -> bool {
        let (least, range) = (bounds.least, bounds.most.wrapping_sub(bounds.least));
        // As coarse as the first few are all of them, if one has luck; if not, it is noticed.
        let fits = |step: u64| {
            let mut few = numbers.iter().take(64);
            range / step < TABLE && few.all(|number| (*number).into().wrapping_sub(least) % step == 0)
        };
        if range < TABLE {
            return self.places_by_step::<N, 1>(numbers, order, bounds).unwrap_or(false);
        }
        if order == Order::Time {
            let found = if fits(SECOND) {
                self.places_by_step::<N, SECOND>(numbers, order, bounds)
            } else if fits(MILLISECOND) {
                self.places_by_step::<N, MILLISECOND>(numbers, order, bounds)
            } else if fits(MICROSECOND) {
                self.places_by_step::<N, MICROSECOND>(numbers, order, bounds)
            } else {
                None
            };
            if let Some(is_worth) = found {
                return is_worth;
            }
        }
        self.places_by_hash(numbers, |entries, values| order.is_worth::<N>(entries, values))
    }

    /// Looks places up in a table with an entry for each number there can be, from the least one on, if they have this
    /// distance or several times as much; `None` when they have not.
    fn places_by_step<N: Number, const STEP: u64>(
        &mut self,
        numbers: &[N],
        order: Order,
        Bounds { least, most }: Bounds,
    ) -> Option<bool> {
        let size = usize::try_from(most.wrapping_sub(least) / STEP).ok()? + 1;
        self.direct.clear();
        self.direct.resize(size, 0);
        self.places.clear();
        self.places.reserve(numbers.len());
        self.numbers.clear(0);
        let mut entries = 0_u16;
        for part in numbers.chunks(TRIAL) {
            for number in part {
                let number: u64 = (*number).into();
                let distance = number.wrapping_sub(least);
                let step = distance / STEP;
                if STEP > 1 && step * STEP != distance {
                    return None;
                }
                let entry = self.direct.get_mut(usize::try_from(step).ok()?)?;
                if *entry == 0 {
                    let Some(next) = entries.checked_add(1) else { return Some(false) };
                    entries = next;
                    *entry = next;
                    self.numbers.push(number);
                }
                self.places.push(*entry - 1);
            }
            if !order.is_worth::<N>(entries.into(), self.places.len()) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Looks places up by hash, as long as so many entries are worth it for so many values.
    pub(super) fn places_by_hash<N: Number>(
        &mut self,
        numbers: &[N],
        is_worth: impl Fn(usize, usize) -> bool,
    ) -> bool {
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
            if !is_worth(self.numbers.keys().len(), self.places.len()) {
                return false;
            }
        }
        true
    }

    /// The entries of a dictionary.
    fn number_entries<N: Number>(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.entries = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let width = if N::IS_WIDE { 8 } else { 4 };
        for number in numbers {
            self.dictionary.extend(number.to_le_bytes().iter().take(width));
        }
    }
}
