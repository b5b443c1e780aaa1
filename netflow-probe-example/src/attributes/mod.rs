//! Attributes of addresses that packets do not tell: AS numbers, prefix lengths and next hops, from a table given as files.
//!
//! ```text
//! files -> table -> swapped in between two flows -> flow: source and destination AS, prefix lengths, next hop
//! ```

mod load;
mod maxmind;
mod table;

use core::sync::atomic::{AtomicU64, Ordering};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use netflow_codec::{FlowFields, FlowRecord};

pub use load::{AttributesError, Fault, LoadReport, load};
pub use table::{Match, Route, Table, TableBuilder, TableFull};

/// Which AS of a route flows get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AutonomousSystemType {
    /// The one that announces the prefix.
    #[default]
    Origin,
    /// The neighbour through which it is reached.
    Peer,
}

/// Fills in attributes, from a table that can be loaded anew while flows go on. Clones share the table and its reloading.
#[derive(Clone, Debug)]
pub struct Attributes {
    files: Arc<[PathBuf]>,
    kind: AutonomousSystemType,
    loaded: Arc<Loaded>,
    slot: Arc<Slot>,
    /// Loads that this one knows of.
    seen: u64,
    counts: AttributesCounts,
}

/// A table that was loaded, and what came of that.
#[derive(Debug)]
struct Loaded {
    table: Table,
    report: LoadReport,
}

/// What was counted of attributes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct AttributesCounts {
    /// Flows whose source and destination both were in the table.
    pub found: u64,
    /// Flows of which at least one was not.
    pub missing: u64,
    /// Times that the table was loaded anew.
    pub reloads: u64,
}

/// Where a table that was loaded anew waits for those who use it.
#[derive(Debug, Default)]
struct Slot {
    /// Loads so far.
    loads: AtomicU64,
    last: Mutex<Option<Arc<Loaded>>>,
}

impl Loaded {
    fn load(files: &[PathBuf]) -> Result<Self, AttributesError> {
        load(files).map(|(table, report)| Self { table, report })
    }
}

/// A table that was loaded anew and is not in force yet.
#[derive(Debug)]
pub struct LoadedAnew(Arc<Loaded>);

impl LoadedAnew {
    /// What came of loading it.
    #[must_use]
    pub fn report(&self) -> &LoadReport {
        &self.0.report
    }
}

impl Attributes {
    /// Loads the table.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or has no prefix.
    pub fn load(files: Vec<PathBuf>, kind: AutonomousSystemType) -> Result<Self, AttributesError> {
        let loaded = Arc::new(Loaded::load(&files)?);
        Ok(Self {
            files: files.into(),
            kind,
            loaded,
            slot: Arc::default(),
            seen: 0,
            counts: AttributesCounts::default(),
        })
    }

    /// Loads the table anew, which takes its time: in a thread that no packet waits for. The first flow behind that gets
    /// what the new table says, also those of clones.
    ///
    /// # Errors
    ///
    /// As [`Self::load`]; the old table goes on.
    pub fn reload(&self) -> Result<LoadReport, AttributesError> {
        let loaded = self.load_anew()?;
        let report = loaded.report().clone();
        self.put_in_force(loaded);
        Ok(report)
    }

    /// The first half of [`Self::reload`]: nothing has changed yet.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_anew(&self) -> Result<LoadedAnew, AttributesError> {
        Loaded::load(&self.files).map(|loaded| LoadedAnew(Arc::new(loaded)))
    }

    /// The second half of [`Self::reload`].
    pub fn put_in_force(&self, loaded: LoadedAnew) {
        *self.slot.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded.0);
        self.slot.loads.fetch_add(1, Ordering::Release);
    }

    /// Goes over to a table that has been loaded anew.
    #[inline]
    fn follow(&mut self) {
        if self.slot.loads.load(Ordering::Acquire) != self.seen {
            self.go_over();
        }
    }

    #[cold]
    fn go_over(&mut self) {
        self.seen = self.slot.loads.load(Ordering::Acquire);
        let last = self.slot.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(loaded) = last {
            self.loaded = loaded;
        }
    }

    /// Fills in what the table knows of the flow's addresses. Members of addresses that it does not know stay as they are.
    pub fn fill(&mut self, flow: &mut FlowRecord) {
        self.follow();
        let table = &self.loaded.table;
        let (source, destination) = (table.find(flow.source), table.find(flow.destination));
        if let Some(Match { route, prefix_length }) = source {
            flow.source_as = self.number(&route);
            // The length of a key that is a prefix stays.
            if !flow.has(FlowFields::SOURCE_PREFIX_LENGTH) {
                flow.source_prefix_length = prefix_length;
            }
            flow.fields |= FlowFields::SOURCE_AS | FlowFields::SOURCE_PREFIX_LENGTH;
        }
        if let Some(Match { route, prefix_length }) = destination {
            flow.destination_as = self.number(&route);
            if !flow.has(FlowFields::DESTINATION_PREFIX_LENGTH) {
                flow.destination_prefix_length = prefix_length;
            }
            flow.fields |= FlowFields::DESTINATION_AS | FlowFields::DESTINATION_PREFIX_LENGTH;
            // Records have room for a next hop of the flow's own family only.
            if let Some(next_hop) = route.next_hop.filter(|hop| hop.is_ipv6() == flow.destination.is_ipv6()) {
                flow.next_hop = next_hop;
                flow.fields |= FlowFields::NEXT_HOP;
            }
        }
        let found = source.is_some() && destination.is_some();
        self.counts.found += u64::from(found);
        self.counts.missing += u64::from(!found);
    }

    /// What came of loading the table in use.
    #[must_use]
    pub fn report(&self) -> &LoadReport {
        &self.loaded.report
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> AttributesCounts {
        AttributesCounts { reloads: self.slot.loads.load(Ordering::Acquire), ..self.counts }
    }

    const fn number(&self, route: &Route) -> u32 {
        match self.kind {
            AutonomousSystemType::Origin => route.origin_as,
            AutonomousSystemType::Peer => route.peer_as,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    fn flow() -> FlowRecord {
        let mut flow = FlowRecord::default();
        (flow.source, flow.destination) = ([192, 0, 2, 1].into(), [198, 51, 100, 1].into());
        flow
    }

    #[test]
    fn flows_get_what_the_table_says_of_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("as.csv");
        fs::write(&path, "192.0.2.0/24,64500,64496\n198.51.0.0/16,64501,64497,203.0.113.1\n").unwrap();
        for (kind, expected) in
            [(AutonomousSystemType::Origin, (64_500, 64_501)), (AutonomousSystemType::Peer, (64_496, 64_497))]
        {
            let mut attributes = Attributes::load(vec![path.clone()], kind).unwrap();
            let mut known = flow();
            attributes.fill(&mut known);
            assert_eq!((known.source_as, known.destination_as), expected);
            assert_eq!((known.source_prefix_length, known.destination_prefix_length), (24, 16));
            assert_eq!(known.next_hop.to_string(), "203.0.113.1");
            assert!(
                known.has(
                    FlowFields::SOURCE_AS | FlowFields::NEXT_HOP | FlowFields::DESTINATION_PREFIX_LENGTH
                )
            );
            let mut half = flow();
            half.source = [10, 0, 0, 1].into();
            attributes.fill(&mut half);
            assert_eq!((half.source_as, half.source_prefix_length), (0, 0));
            assert_eq!((attributes.counts().found, attributes.counts().missing), (1, 1));
        }
    }

    #[test]
    fn a_table_is_loaded_anew_for_all_clones_and_one_that_cannot_be_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("as.csv");
        fs::write(&path, "192.0.2.0/24,1\n").unwrap();
        let mut attributes = Attributes::load(vec![path.clone()], AutonomousSystemType::Origin).unwrap();
        let mut clone = attributes.clone();
        let number = |attributes: &mut Attributes| {
            let mut flow = flow();
            attributes.fill(&mut flow);
            flow.source_as
        };
        fs::write(&path, "192.0.2.0/24,2\n10.0.0.0/8,x\n").unwrap();
        assert_eq!(number(&mut attributes), 1);
        let report = clone.reload().unwrap();
        assert_eq!((report.prefixes, report.malformed), (1, 1));
        assert_eq!((number(&mut attributes), number(&mut clone)), (2, 2));
        fs::remove_file(&path).unwrap();
        assert!(clone.reload().unwrap_err().to_string().contains("as.csv"));
        assert_eq!((number(&mut attributes), number(&mut clone)), (2, 2));
        // Whether a flow has come since or not.
        assert_eq!((attributes.counts().reloads, clone.counts().reloads), (1, 1));
    }

    #[test]
    fn no_flow_waits_for_a_table_that_is_loaded_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("as.csv");
        fs::write(&path, "192.0.2.0/24,1\n").unwrap();
        let mut attributes = Attributes::load(vec![path.clone()], AutonomousSystemType::Origin).unwrap();
        let reloading = attributes.clone();
        fs::write(&path, "192.0.2.0/24,2\n").unwrap();
        let thread = thread::spawn(move || (0..20).for_each(|_| drop(reloading.reload().unwrap())));
        let mut last = 1;
        while !thread.is_finished() || last == 1 {
            let mut flow = flow();
            attributes.fill(&mut flow);
            assert!(flow.source_as == last || (last, flow.source_as) == (1, 2), "one table or the other");
            last = flow.source_as;
        }
        thread.join().unwrap();
    }
}
