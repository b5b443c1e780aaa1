//! What a file has of each exporter and observation domain.

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
};

use netflow_codec::Timestamp;

use super::{file::OpenFile, layout::Layout, message::Message};
use crate::flow::Envelope;

/// Whose template ids belong together.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Source {
    exporter: IpAddr,
    version: u16,
    observation_domain: u32,
}

impl Source {
    pub(super) const fn of(envelope: &Envelope) -> Self {
        Self {
            exporter: envelope.exporter.ip(),
            version: envelope.version,
            observation_domain: envelope.observation_domain,
        }
    }
}

/// All domains. Exporters may have chosen the same numbers; in a file each domain has one of its own.
#[derive(Debug, Default)]
pub(super) struct Domains {
    known: HashMap<Source, Domain>,
    numbers: HashSet<u32>,
    next: u32,
    /// Octets of options that are kept, of all domains.
    kept: usize,
    /// The domain that was used last, and what it kept before.
    last: Option<(Source, usize)>,
    /// The template of what says who exporters are, in this file.
    is_begun: [bool; 2],
}

/// The domain of a file that says who the others are.
const ABOUT: u32 = 0;
/// Numbers for domains whose own is taken begin here.
const OTHERS: u32 = 0x8000_0000;
/// Domains that are known.
const MOST: usize = 65_536;
/// Octets of options that are kept of all domains, and of one.
const ROOM: usize = 64 << 20;
const ROOM_EACH: usize = 1 << 20;

impl Domains {
    /// Another file begins: nothing is in it. Those that nothing came of for the last one are forgotten.
    pub(super) fn begin(&mut self) {
        self.known.retain(|_, domain| domain.is_used);
        self.numbers = self.known.values().map(|domain| domain.number).collect();
        self.kept = self.known.values().map(|domain| domain.kept).sum();
        self.is_begun = [false; 2];
        self.last = None;
        for domain in self.known.values_mut() {
            domain.begin();
        }
    }

    /// The domain of a source, which has been said who it is, with all its options, when this returns; `None` when there are
    /// too many others: who makes domains up costs nobody else a file.
    pub(super) fn of(
        &mut self,
        source: Source,
        file: &mut OpenFile,
        message: &mut Message,
        now: Timestamp,
    ) -> io::Result<Option<&mut Domain>> {
        self.settle();
        if !self.known.contains_key(&source) {
            if self.known.len() >= MOST {
                return Ok(None);
            }
            let number = self.free_number(source.observation_domain);
            self.known.insert(source, Domain::new(number));
        }
        let is_used = self.known.get(&source).is_some_and(|domain| domain.is_used);
        if !is_used {
            self.introduce(source, file, message, now)?;
        }
        let Some(domain) = self.known.get_mut(&source) else { return Err(io::ErrorKind::NotFound.into()) };
        domain.room = ROOM_EACH.min(ROOM.saturating_sub(self.kept) + domain.kept);
        self.last = Some((source, domain.kept));
        if !is_used {
            domain.is_used = true;
            domain.recall(file, message, now)?;
        }
        Ok(Some(domain))
    }

    /// Counts what the domain used last has kept since.
    fn settle(&mut self) {
        if let Some((source, before)) = self.last.take()
            && let Some(domain) = self.known.get(&source)
        {
            self.kept = (self.kept + domain.kept).saturating_sub(before);
        }
    }

    /// The number itself, when it is free and says something.
    fn free_number(&mut self, wanted: u32) -> u32 {
        if wanted != ABOUT && self.numbers.insert(wanted) {
            return wanted;
        }
        loop {
            let number = OTHERS | self.next;
            self.next = (self.next + 1) & !OTHERS;
            if self.numbers.insert(number) {
                return number;
            }
        }
    }

    /// Says who it is: scope observationDomainId (149), originalExporterIPv4Address (403) or the one of IPv6 (404),
    /// originalObservationDomainId (405), exportProtocolVersion (215).
    fn introduce(
        &mut self,
        source: Source,
        file: &mut OpenFile,
        message: &mut Message,
        now: Timestamp,
    ) -> io::Result<()> {
        let (id, element, address) = match source.exporter {
            IpAddr::V4(address) => (256_u16, 403_u16, address.octets().to_vec()),
            IpAddr::V6(address) => (257, 404, address.octets().to_vec()),
        };
        let Some(number) = self.known.get(&source).map(|domain| domain.number) else { return Ok(()) };
        if let Some(is_begun) = self.is_begun.get_mut(usize::from(source.exporter.is_ipv6()))
            && !*is_begun
        {
            *is_begun = true;
            let length = u16::try_from(address.len()).unwrap_or(16);
            let words = [id, 4, 1, 149, 4, element, length, 405, 4, 215, 1];
            let template: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
            message.template(ABOUT, true, &template, now, file)?;
        }
        let version = u8::try_from(source.version).unwrap_or(0);
        let record =
            [&number.to_be_bytes()[..], &address, &source.observation_domain.to_be_bytes(), &[version]]
                .concat();
        message.record(ABOUT, id, &record, now, file)
    }
}

/// What is known of a domain, and what of it is in the file.
#[derive(Debug)]
pub(super) struct Domain {
    number: u32,
    /// Whether the file has something of it.
    is_used: bool,
    /// Templates by their ids: whether they are of options, and their octets.
    templates: BTreeMap<u16, (bool, Vec<u8>)>,
    /// Those of them that are in the file.
    announced: BTreeSet<u16>,
    /// Options by their template and what they are about.
    options: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
    /// Octets of these, and how many they may be.
    kept: usize,
    room: usize,
}

impl Domain {
    const fn new(number: u32) -> Self {
        Self {
            number,
            is_used: false,
            templates: BTreeMap::new(),
            announced: BTreeSet::new(),
            options: BTreeMap::new(),
            kept: 0,
            room: 0,
        }
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    fn begin(&mut self) {
        self.is_used = false;
        self.announced.clear();
        // Those of flows come again before their data; there may be many that nobody uses any more.
        self.templates.retain(|_, (is_options, _)| *is_options);
    }

    /// Writes the options that are in force, with their templates.
    fn recall(&mut self, file: &mut OpenFile, message: &mut Message, now: Timestamp) -> io::Result<()> {
        for (id, (_, template)) in &self.templates {
            message.template(self.number, true, &[&id.to_be_bytes()[..], template].concat(), now, file)?;
            self.announced.insert(*id);
        }
        for ((id, _), record) in &self.options {
            message.record(self.number, *id, record, now, file)?;
        }
        Ok(())
    }

    /// Makes sure that the template is in the file.
    pub(super) fn announce(
        &mut self,
        layout: &Layout,
        file: &mut OpenFile,
        message: &mut Message,
        now: Timestamp,
    ) -> io::Result<()> {
        let id = layout.id();
        let is_known = self.templates.get(&id).is_some_and(|(is_options, template)| {
            *is_options == layout.is_options() && template == layout.template()
        });
        if is_known && self.announced.contains(&id) {
            return Ok(());
        }
        if !is_known && self.templates.len() >= TEMPLATES {
            // All that is used comes again.
            self.templates.clear();
            self.announced.clear();
            self.options.clear();
            self.kept = 0;
        }
        if !is_known {
            self.forget_options(id);
            self.templates.insert(id, (layout.is_options(), layout.template().to_vec()));
        }
        let template = [&id.to_be_bytes()[..], layout.template()].concat();
        message.template(self.number, layout.is_options(), &template, now, file)?;
        self.announced.insert(id);
        Ok(())
    }

    /// Whether a record is to be written: options that are said again are in the file already.
    pub(super) fn is_worth(&mut self, layout: &Layout, record: &[u8]) -> bool {
        if !layout.is_options() {
            return true;
        }
        let key = (layout.id(), layout.scope(record).to_vec());
        match self.options.get_mut(&key) {
            Some(known) if known == record => return false,
            Some(known) => {
                known.clear();
                known.extend_from_slice(record);
            }
            None => {
                let octets = key.1.len() + record.len() + ENTRY;
                if self.kept + octets <= self.room {
                    self.kept += octets;
                    self.options.insert(key, record.to_vec());
                }
            }
        }
        true
    }

    /// Says at which rate packets were sampled, where headers do, unless that is in the file: scope observationDomainId
    /// (149), samplingInterval (34), samplingAlgorithm (35).
    pub(super) fn sampled(
        &mut self,
        (interval, algorithm): (u32, u8),
        file: &mut OpenFile,
        message: &mut Message,
        now: Timestamp,
    ) -> io::Result<()> {
        const ID: u16 = 257;
        let record = [&self.number.to_be_bytes()[..], &interval.to_be_bytes(), &[algorithm]].concat();
        let key = (ID, self.number.to_be_bytes().to_vec());
        if self.options.get(&key) == Some(&record) && self.announced.contains(&ID) {
            return Ok(());
        }
        let template: Vec<u8> = [3, 1, 149, 4, 34, 4, 35, 1].into_iter().flat_map(u16::to_be_bytes).collect();
        if self.announced.insert(ID) {
            message.template(self.number, true, &[&ID.to_be_bytes()[..], &template].concat(), now, file)?;
            self.templates.insert(ID, (true, template));
        }
        message.record(self.number, ID, &record, now, file)?;
        if self.options.insert(key, record).is_none() {
            self.kept += 4 + 9 + ENTRY;
        }
        Ok(())
    }

    fn forget_options(&mut self, id: u16) {
        self.options.retain(|(template, _), _| *template != id);
        self.kept = self.options.iter().map(|((_, scope), record)| scope.len() + record.len() + ENTRY).sum();
    }
}

/// Templates of a domain that are known.
const TEMPLATES: usize = 4_096;
/// What each of the options costs besides its octets, roughly.
const ENTRY: usize = 96;
