//! The search in a store: of addresses only those that differ are looked up, and flows are made only of rows with one that
//! is named.

use std::io;

use super::{Contact, Search, matches};
use crate::{
    flow::Cell,
    jobs::Seen,
    query::{ChosenRows, Gather},
    store::{Chosen, Column, ColumnSet, Rows},
};

/// What is told of a contact.
const TOLD: [&str; 11] = [
    "src_addr",
    "dst_addr",
    "src_port",
    "dst_port",
    "proto",
    "bytes",
    "packets",
    "sampling_rate",
    "time_flow_start_ns",
    "time_flow_end_ns",
    "sampler_address",
];

impl Gather for Search {
    fn gather(&mut self, rows: &mut ChosenRows<'_>) -> io::Result<()> {
        let ChosenRows { rows, chosen } = rows;
        see(&mut self.seen, rows, chosen)?;
        let named = self.named("src_addr", rows)?.or(self.named("dst_addr", rows)?).and((*chosen).clone());
        let mut found = core::mem::take(&mut self.found);
        let read = rows.each(ColumnSet::of(&TOLD), &named, |_, flow| {
            matches(&self.indicators, flow, &mut found);
            for one in &found {
                self.contact(flow, *one);
            }
            Ok(())
        });
        self.found = found;
        read
    }

    fn merge(&mut self, other: Self) {
        let Self { contacts, beyond, seen, .. } = other;
        self.beyond += beyond;
        self.seen.merge(&seen);
        for (key, contact) in contacts {
            if self.contacts.len() >= self.bound && !self.contacts.contains_key(&key) {
                self.beyond += contact.flows;
            } else {
                self.contacts.entry(key).or_default().merge(contact);
            }
        }
    }
}

impl Search {
    /// The rows whose address in a column some indicator names.
    fn named(&self, column: &str, rows: &mut Rows) -> io::Result<Chosen> {
        let Column::Coded(coded) = rows.column(column)? else { return Ok(Chosen::None) };
        let is_named = |cell: &Cell| match cell {
            Cell::Address(address) => self.indicators.name(*address),
            _ => false,
        };
        let named: Vec<bool> = coded.cells.iter().map(is_named).collect();
        if !named.contains(&true) {
            return Ok(Chosen::None);
        }
        let of_row = |code: &u32| named.get(*code as usize).is_some_and(|named| *named);
        Ok(Chosen::some(coded.codes.iter().map(of_row).collect()))
    }
}

impl Contact {
    fn merge(&mut self, other: Self) {
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        self.flows += other.flows;
        for (own, other) in [(&mut self.to, other.to), (&mut self.from, other.from)] {
            own.packets = own.packets.saturating_add(other.packets);
            own.octets = own.octets.saturating_add(other.octets);
        }
        add_new(&mut self.services, other.services);
        add_new(&mut self.exporters, other.exporters);
    }
}

fn add_new<T: PartialEq>(own: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if own.len() < super::LISTED && !own.contains(&other) {
            own.push(other);
        }
    }
}

/// Adds the rows that are chosen to what has been looked at.
fn see(seen: &mut Seen, rows: &mut Rows, chosen: &Chosen) -> io::Result<()> {
    if *chosen == Chosen::All
        && let (Some(starts), Some(ends)) =
            (rows.bounds("time_flow_start_ns"), rows.bounds("time_flow_end_ns"))
        && let Some(unknown) = rows.nulls("sampling_rate")
    {
        seen.merge(&Seen {
            flows: rows.len() as u64,
            flows_of_unknown_rate: unknown,
            first_ns: Some(starts.0),
            // A flow that ends before it begins ends when it begins.
            last_ns: Some(ends.1.max(starts.1)),
        });
        return Ok(());
    }
    let columns = ColumnSet::of(&["time_flow_start_ns", "time_flow_end_ns", "sampling_rate"]);
    rows.each(columns, chosen, |_, flow| {
        seen.add(flow);
        Ok(())
    })
}
