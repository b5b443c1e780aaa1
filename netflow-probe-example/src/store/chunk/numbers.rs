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
    /// Of numbers that compare as their type does; `None` when there are none.
    fn unsigned<N: Number>(numbers: &[N]) -> Option<Self> {
        let first = *numbers.first()?;
        let (least, most) = numbers
            .iter()
            .fold((first, first), |(least, most), number| (least.min(*number), most.max(*number)));
        Some(Self { least: least.into(), most: most.into() })
    }

    /// Of numbers that compare as signed ones.
    fn signed(numbers: impl Iterator<Item = u64>) -> Self {
        let (least, most) = numbers
            .map(u64::cast_signed)
            .fold((i64::MAX, i64::MIN), |(least, most), number| (least.min(number), most.max(number)));
        Self { least: least.cast_unsigned(), most: most.cast_unsigned() }
    }

    fn of<N: Number>(numbers: &[N], order: Order) -> Option<Self> {
        match order {
            Order::Unsigned => Self::unsigned(numbers),
            Order::Signed | Order::Time if numbers.is_empty() => None,
            Order::Signed | Order::Time => Some(Self::signed(numbers.iter().map(|number| (*number).into()))),
        }
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
        let (Some((first, rest)), Some((_, others))) = (numbers.split_first(), numbers.split_last()) else {
            return;
        };
        if rest == others {
            // All are as the first one.
            let number = (*first).into();
            self.statistics = Some(Bounds { least: number, most: number }.statistics::<N>());
            self.number_entries::<N>([number].into_iter());
            return self.push_one(numbers.len());
        }
        let Some(bounds) = Bounds::of(numbers, order) else { return };
        self.statistics = Some(bounds.statistics::<N>());
        if self.places_of(numbers, order, bounds) {
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
        self.statistics = Bounds::of(keys.keys(), order).map(Bounds::statistics::<N>);
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
    /// distance or several times as much; `None` when they have not. Entries are in the order of the numbers.
    fn places_by_step<N: Number, const STEP: u64>(
        &mut self,
        numbers: &[N],
        order: Order,
        Bounds { least, most }: Bounds,
    ) -> Option<bool> {
        let size = usize::try_from(most.wrapping_sub(least) / STEP).ok()? + 1;
        let Self { direct, steps, places, numbers: dictionary, .. } = self;
        direct.clear();
        direct.resize(size, 0);
        steps.clear();
        steps.reserve(numbers.len());
        let mut entries = 0_usize;
        for part in numbers.chunks(TRIAL) {
            let mut is_even = true;
            steps.extend(part.iter().map(|number| {
                let distance = (*number).into().wrapping_sub(least);
                let step = distance / STEP;
                is_even &= STEP == 1 || step * STEP == distance;
                let step = u32::try_from(step).unwrap_or(u32::MAX);
                if let Some(entry) = direct.get_mut(step as usize) {
                    entries += usize::from(*entry == 0);
                    *entry = 1;
                }
                step
            }));
            if !is_even {
                return None;
            }
            if entries > usize::from(u16::MAX) || !order.is_worth::<N>(entries, steps.len()) {
                return Some(false);
            }
        }
        dictionary.clear(0);
        let marked = direct.iter_mut().zip(0..).filter(|(entry, _)| **entry > 0);
        for ((entry, step), place) in marked.zip(0..) {
            *entry = place;
            dictionary.push(least.wrapping_add(step * STEP));
        }
        places.clear();
        places.extend(steps.iter().map(|step| direct.get(*step as usize).copied().unwrap_or(0)));
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
