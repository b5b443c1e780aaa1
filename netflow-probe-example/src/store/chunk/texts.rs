//! Columns of text: addresses, words, and whatever else has no fixed length.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use parquet::{basic::Encoding, bloom_filter::Sbbf, data_type::ByteArray, file::statistics::Statistics};

use super::{Encoder, address::push_address, delta::push_deltas, dictionary::Dictionary};
use crate::store::{
    addresses::{Addresses, Neighbours},
    form::Form,
};

/// Different values of a row group up to which a Bloom filter is made: beyond, it would cost more than it saves.
const FILTERED: usize = 20_000;

/// How often a Bloom filter may be wrong.
const WRONG: f64 = 0.01;

/// After so many addresses it is looked whether a dictionary is worth its entries.
const TRIAL: usize = 1 << 12;

impl Encoder {
    /// Gives the addresses that are there. Those that are looked for are in a Bloom filter, if they are not too many.
    pub(in crate::store) fn addresses(&mut self, addresses: &Addresses, are_looked_for: bool) {
        if addresses.len() == 0 {
            return;
        }
        if let Some(single) = addresses.single() {
            self.texts([single].into_iter(), written(self.form), are_looked_for);
            self.push_one(addresses.len());
            return;
        }
        if self.places_of_addresses(addresses) {
            let keys = core::mem::replace(&mut self.addresses, Dictionary::none());
            self.texts(keys.keys().iter().copied(), written(self.form), are_looked_for);
            self.addresses = keys;
            self.push_places();
            return;
        }
        match self.form {
            Form::Text => self.spread_addresses(addresses, push_address),
            Form::Octets => self.spread_addresses(addresses, push_octets),
        }
        if are_looked_for && addresses.len() <= FILTERED {
            self.filter_spread();
        }
        self.page.append(&mut self.dictionary);
    }

    /// Addresses without a dictionary: their lengths, then all of them, which are gathered in its place.
    fn spread_addresses(&mut self, addresses: &Addresses, push: impl Fn(&mut Vec<u8>, IpAddr)) {
        self.begin();
        self.encoding = Encoding::DELTA_LENGTH_BYTE_ARRAY;
        let Self { spread, dictionary, .. } = self;
        spread.clear();
        dictionary.clear();
        dictionary.reserve(16 * addresses.len());
        let mut push = |address| {
            let before = dictionary.len();
            push(dictionary, address);
            spread.push((dictionary.len() - before) as u64);
        };
        for neighbours in addresses.neighbours() {
            match neighbours {
                Neighbours::V4(ipv4) => ipv4.iter().for_each(|address| push(IpAddr::V4(*address))),
                Neighbours::V6(ipv6) => ipv6.iter().for_each(|address| push(IpAddr::V6(*address))),
            }
        }
        push_deltas(&mut self.page, self.spread.iter().copied());
    }

    /// The Bloom filter of addresses without a dictionary. Of so many about half are different ones. A filter that cannot
    /// be made excludes nothing.
    fn filter_spread(&mut self) {
        self.filter = Sbbf::new_with_ndv_fpp(self.spread.len() as u64 / 2, WRONG).ok();
        let Some(filter) = &mut self.filter else { return };
        let mut rest = self.dictionary.as_slice();
        for length in &self.spread {
            let length = usize::try_from(*length).unwrap_or(rest.len());
            let Some((address, behind)) = rest.split_at_checked(length) else { break };
            filter.insert(address);
            rest = behind;
        }
    }

    /// Gives runs of addresses, with their levels.
    pub(in crate::store) fn address_runs(&mut self, runs: impl Iterator<Item = (IpAddr, u32)> + Clone) {
        self.runs.clear();
        self.addresses.clear(usize::MAX / 16);
        for (address, count) in runs.clone() {
            self.definition.push(1, count);
            let Some(place) = self.addresses.place(address) else {
                let mut all = Addresses::default();
                runs.flat_map(|(address, count)| core::iter::repeat_n(address, count as usize))
                    .for_each(|address| all.push(address));
                self.definition.clear();
                self.definition.push(1, u32::try_from(all.len()).unwrap_or(u32::MAX));
                return self.addresses(&all, false);
            };
            self.push_run(place, count);
        }
        if self.runs.is_empty() {
            return;
        }
        let keys = core::mem::replace(&mut self.addresses, Dictionary::none());
        self.texts(keys.keys().iter().copied(), written(self.form), false);
        self.addresses = keys;
        self.push_runs();
    }

    /// Gives the MAC addresses that are there, as numbers.
    pub(in crate::store) fn macs(&mut self, macs: &[u64]) {
        let Some(first) = macs.first() else { return };
        if macs.iter().all(|mac| mac == first) {
            self.texts([*first].into_iter(), push_mac, false);
            self.push_one(macs.len());
        } else if self.places_by_hash(macs, |entries, values| entries <= 1 << 8 || entries * 3 <= values) {
            let keys = core::mem::replace(&mut self.numbers, Dictionary::none());
            self.texts(keys.keys().iter().copied(), push_mac, false);
            self.numbers = keys;
            self.push_places();
        } else {
            self.begin();
            for mac in macs {
                self.page.extend_from_slice(&17_u32.to_le_bytes());
                push_mac(&mut self.page, *mac);
            }
        }
    }

    /// Gives the numbers that are there, of which there are few different ones, each as a text.
    pub(in crate::store) fn words(&mut self, codes: &[u8], text: impl Fn(&mut Vec<u8>, u8)) {
        let mut known = [0_u16; 256];
        let mut keys = Vec::new();
        self.places.clear();
        for code in codes {
            let Some(entry) = known.get_mut(usize::from(*code)) else { return };
            if *entry == 0 {
                keys.push(*code);
                *entry = u16::try_from(keys.len()).unwrap_or(0);
            }
            self.places.push(*entry - 1);
        }
        self.texts(keys.iter().copied(), text, false);
        match keys.len() {
            0 => {}
            1 => self.push_one(codes.len()),
            _ => self.push_places(),
        }
    }

    /// Gives runs of words, or of nothing, with their levels. There are only a few different ones.
    pub(in crate::store) fn word_runs<'w>(&mut self, runs: impl Iterator<Item = (Option<&'w str>, u32)>) {
        let mut keys: Vec<&str> = Vec::new();
        self.runs.clear();
        for (word, count) in runs {
            self.definition.push(word.is_some().into(), count);
            let Some(word) = word else { continue };
            let place = keys.iter().position(|known| *known == word).unwrap_or_else(|| {
                keys.push(word);
                keys.len() - 1
            });
            self.push_run(u16::try_from(place).unwrap_or(u16::MAX), count);
        }
        if !keys.is_empty() {
            self.texts(keys.iter().copied(), |out, word| out.extend_from_slice(word.as_bytes()), false);
            self.push_runs();
        }
    }

    /// Gives texts as they are, one behind the other.
    pub(in crate::store) fn plain(&mut self, text: &[u8]) {
        self.begin();
        self.page.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        self.page.extend_from_slice(text);
    }

    /// [`Self::plain`] with an address.
    pub(in crate::store) fn plain_address(&mut self, address: IpAddr) {
        let mut text = Vec::with_capacity(40);
        written(self.form)(&mut text, address);
        self.plain(&text);
    }

    /// Gathers the places of addresses in a dictionary, if that is worth it.
    fn places_of_addresses(&mut self, addresses: &Addresses) -> bool {
        self.places.clear();
        self.places.reserve(addresses.len());
        self.addresses.clear(addresses.len());
        let mut recent = Recent { ipv4: [(0, None); 256], ipv6: None };
        let mut next_look = TRIAL;
        addresses.neighbours().all(|neighbours| match neighbours {
            Neighbours::V4(ipv4) => self.push_places_of(ipv4, &mut next_look, |address, dictionary| {
                recent.place4(address, dictionary)
            }),
            Neighbours::V6(ipv6) => self.push_places_of(ipv6, &mut next_look, |address, dictionary| {
                recent.place6(address, dictionary)
            }),
        }) && self.is_dictionary_worth_it()
    }

    /// Adds places to those gathered so far; whether the dictionary is worth its entries, which is looked at now and then.
    fn push_places_of<A: Copy>(
        &mut self,
        addresses: &[A],
        next_look: &mut usize,
        mut place: impl FnMut(A, &mut Dictionary<IpAddr>) -> Option<u16>,
    ) -> bool {
        for part in addresses.chunks(TRIAL) {
            for address in part {
                let Some(place) = place(*address, &mut self.addresses) else { return false };
                self.places.push(place);
            }
            if self.places.len() >= *next_look {
                *next_look = self.places.len() + TRIAL;
                if !self.is_dictionary_worth_it() {
                    return false;
                }
            }
        }
        true
    }

    /// An entry takes at least as much as the address would take by itself.
    fn is_dictionary_worth_it(&self) -> bool {
        let entries = self.addresses.keys().len();
        entries <= 1 << 8 || entries * 2 <= self.places.len()
    }

    /// The entries of a dictionary of texts, their statistics and their Bloom filter.
    fn texts<K>(
        &mut self,
        keys: impl ExactSizeIterator<Item = K>,
        text: impl Fn(&mut Vec<u8>, K),
        are_looked_for: bool,
    ) {
        let count = keys.len();
        if count == 0 {
            return;
        }
        self.entries = u32::try_from(count).unwrap_or(u32::MAX);
        let mut filter = (are_looked_for && count <= FILTERED)
            .then(|| Sbbf::new_with_ndv_fpp(count as u64, WRONG).ok())
            .flatten();
        let mut bounds: Option<(Range<usize>, Range<usize>)> = None;
        for key in keys {
            let start = self.dictionary.len();
            self.dictionary.extend_from_slice(&[0; 4]);
            text(&mut self.dictionary, key);
            let range = start + 4..self.dictionary.len();
            let octets = u32::try_from(range.len()).unwrap_or(0).to_le_bytes();
            if let Some(length) = self.dictionary.get_mut(start..start + 4) {
                length.copy_from_slice(&octets);
            }
            let at = |range: &Range<usize>| self.dictionary.get(range.clone()).unwrap_or(&[]);
            if let Some(filter) = &mut filter {
                filter.insert(at(&range));
            }
            bounds = Some(match bounds {
                None => (range.clone(), range),
                Some((least, most)) => (
                    if at(&range) < at(&least) { range.clone() } else { least },
                    if at(&range) > at(&most) { range } else { most },
                ),
            });
        }
        self.filter = filter;
        self.statistics = bounds.map(|(least, most)| {
            let value = |range| {
                Some(ByteArray::from(self.dictionary.get::<Range<usize>>(range).unwrap_or(&[]).to_vec()))
            };
            Statistics::byte_array(value(least), value(most), None, None, false)
        });
    }
}

/// Places of addresses that were looked up lately, found sooner than in their dictionary.
struct Recent {
    /// By some bits of a product.
    ipv4: [(u32, Option<u16>); 256],
    /// The last one.
    ipv6: Option<(Ipv6Addr, u16)>,
}

impl Recent {
    fn place4(&mut self, address: Ipv4Addr, dictionary: &mut Dictionary<IpAddr>) -> Option<u16> {
        let bits = address.to_bits();
        let [slot, ..] = bits.wrapping_mul(0x9e37_79b1).to_be_bytes();
        let slot = self.ipv4.get_mut(usize::from(slot))?;
        if slot.0 != bits || slot.1.is_none() {
            *slot = (bits, Some(dictionary.place(address.into())?));
        }
        slot.1
    }

    fn place6(&mut self, address: Ipv6Addr, dictionary: &mut Dictionary<IpAddr>) -> Option<u16> {
        let place = match self.ipv6 {
            Some((known, place)) if known == address => place,
            _ => dictionary.place(address.into())?,
        };
        self.ipv6 = Some((address, place));
        Some(place)
    }
}

/// Writes an address.
fn written(form: Form) -> fn(&mut Vec<u8>, IpAddr) {
    match form {
        Form::Text => push_address,
        Form::Octets => push_octets,
    }
}

fn push_octets(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}

fn push_mac(out: &mut Vec<u8>, mac: u64) {
    let [_, _, octets @ ..] = mac.to_be_bytes();
    let text = netflow_codec::FieldValue::MacAddress(octets).to_string();
    out.extend_from_slice(text.as_bytes());
}
