//! What databases know of addresses: their AS and their country.
//!
//! The databases are the user's, in MaxMind's format, as several publish them for countries, cities and ASes. They are read whole; on request they are read again, and when that fails those before stay. An AS that the
//! exporter names is never changed.

use core::{
    fmt,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};
use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use maxminddb::{PathElement, Reader};
use netflow_codec::FlowFields;

use crate::{
    flow::{Countries, Country, Flow, FlowSet},
    output::{FlowSink, hand_on},
};

/// Databases of addresses, which threads share.
#[derive(Debug)]
pub struct Enrichment {
    files: Vec<PathBuf>,
    databases: RwLock<Arc<Databases>>,
    /// How often they were read: what was looked up before is of no use then.
    generation: AtomicU64,
}

struct Databases(Vec<Reader<Vec<u8>>>);

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.0.iter().map(|database| &database.metadata().database_type);
        f.debug_list().entries(kinds).finish()
    }
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the database {path}: {error}")]
pub struct EnrichmentError {
    /// The file.
    pub path: String,
    /// Why.
    pub error: io::Error,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// Its AS.
    pub autonomous_system: Option<u32>,
    /// Its country, or else the one it is registered in.
    pub country: Option<Country>,
}

impl Enrichment {
    /// Reads databases; what several of them know is taken from the first one.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or is none.
    pub fn open(files: &[PathBuf]) -> Result<Self, EnrichmentError> {
        let databases = RwLock::new(Arc::new(read(files)?));
        Ok(Self { files: files.to_vec(), databases, generation: AtomicU64::new(0) })
    }

    /// Reads the databases again.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; the ones before stay.
    pub fn reload(&self) -> Result<(), EnrichmentError> {
        let databases = Arc::new(read(&self.files)?);
        *self.databases.write().unwrap_or_else(PoisonError::into_inner) = databases;
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// What is known of an address.
    #[must_use]
    pub fn origin(&self, address: IpAddr) -> Origin {
        let databases = Arc::clone(&self.databases.read().unwrap_or_else(PoisonError::into_inner));
        let mut origin = Origin::default();
        for database in &databases.0 {
            let found = look_up(database, address);
            origin.autonomous_system = origin.autonomous_system.or(found.autonomous_system);
            origin.country = origin.country.or(found.country);
        }
        origin
    }
}

fn read(files: &[PathBuf]) -> Result<Databases, EnrichmentError> {
    let read = |path: &PathBuf| {
        let failure = |error| EnrichmentError { path: path.display().to_string(), error };
        let octets = fs::read(path).map_err(failure)?;
        Reader::from_source(octets).map_err(|error| failure(io::Error::other(error)))
    };
    files.iter().map(read).collect::<Result<_, _>>().map(Databases)
}

/// What cannot be decoded is not known.
fn look_up(database: &Reader<Vec<u8>>, address: IpAddr) -> Origin {
    let Ok(found) = database.lookup(address) else { return Origin::default() };
    let code = |member| {
        let path = [PathElement::Key(member), PathElement::Key("iso_code")];
        found.decode_path::<&str>(&path).ok().flatten().and_then(Country::of)
    };
    let autonomous_system =
        found.decode_path::<u32>(&[PathElement::Key("autonomous_system_number")]).ok().flatten();
    Origin { autonomous_system, country: code("country").or_else(|| code("registered_country")) }
}

/// Adds to flows what is known of their addresses.
#[derive(Debug)]
pub struct Enriched<S> {
    enrichment: Option<Arc<Enrichment>>,
    /// What was looked up lately.
    known: HashMap<IpAddr, Origin>,
    generation: u64,
    sink: S,
}

/// Addresses whose origin is kept: a database takes a microsecond to answer.
const KEPT: usize = 1 << 16;

impl<S> Enriched<S> {
    /// In front of a sink; without databases flows stay as they are.
    pub fn new(enrichment: Option<Arc<Enrichment>>, sink: S) -> Self {
        Self { enrichment, known: HashMap::new(), generation: 0, sink }
    }

    /// The sink behind it, when all is done.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// The sink behind it.
    pub const fn sink(&self) -> &S {
        &self.sink
    }
}

/// What is known of an address, looked up once in a while.
fn origin(enrichment: &Enrichment, known: &mut HashMap<IpAddr, Origin>, address: IpAddr) -> Origin {
    if let Some(origin) = known.get(&address) {
        return *origin;
    }
    if known.len() >= KEPT {
        known.clear();
    }
    let origin = enrichment.origin(address);
    known.insert(address, origin);
    origin
}

impl<S: FlowSink> FlowSink for Enriched<S> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        let Some(enrichment) = &self.enrichment else { return self.sink.flow(flow) };
        let generation = enrichment.generation.load(Ordering::Acquire);
        if self.generation != generation {
            self.generation = generation;
            self.known.clear();
        }
        let mut flow = *flow;
        let record = &mut flow.record;
        let mut countries = Countries::default();
        if record.has(FlowFields::SOURCE) {
            let origin = origin(enrichment, &mut self.known, record.source);
            countries.source = origin.country;
            if let (0, Some(number)) = (record.source_as, origin.autonomous_system) {
                record.source_as = number;
                record.fields |= FlowFields::SOURCE_AS;
            }
        }
        if record.has(FlowFields::DESTINATION) {
            let origin = origin(enrichment, &mut self.known, record.destination);
            countries.destination = origin.country;
            if let (0, Some(number)) = (record.destination_as, origin.autonomous_system) {
                record.destination_as = number;
                record.fields |= FlowFields::DESTINATION_AS;
            }
        }
        flow.countries = countries;
        self.sink.flow(&flow)
    }

    fn takes_sets(&self) -> bool {
        self.enrichment.is_none() && self.sink.takes_sets()
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        self.sink.set(set)
    }

    hand_on!(self, self.sink);
}
