//! All destinations: which of them gets which flow.

use std::time::Instant;

use netflow_codec::{ExportVersion, FlowRecord, OptionsData, SessionConfig, Timestamp};

use super::{
    Destination, DestinationAccount, Distribution, RecordContent, SendConfig, SendError, Target,
    destination::validate,
};
use crate::meter::{Key, MeteredFlow};

/// The destinations of an exporter.
#[derive(Debug)]
pub struct Delivery {
    config: SendConfig,
    content: RecordContent,
    destinations: Vec<Destination>,
    /// Those that get no more flows, and still send what they have.
    retired: Vec<Destination>,
    /// What others before them got.
    past: Vec<DestinationAccount>,
    /// Failover: the one that gets the flows.
    active: Option<usize>,
    /// Times that another one got them from then on.
    switches: u64,
}

impl Delivery {
    /// No destinations yet.
    #[must_use]
    pub const fn new(config: SendConfig) -> Self {
        let content = RecordContent::new(&Key::SevenTuple, None, false);
        Self {
            config,
            content,
            destinations: Vec::new(),
            retired: Vec::new(),
            past: Vec::new(),
            active: None,
            switches: 0,
        }
    }

    /// Whether a destination would be possible.
    ///
    /// # Errors
    ///
    /// When the session cannot be as it is configured.
    pub fn validate(&self, target: &Target, config: SessionConfig) -> Result<(), SendError> {
        validate(target, config, &self.config)
    }

    /// Says what records of the destinations that are added are to have; without it they have the usual.
    pub const fn set_content(&mut self, content: RecordContent) {
        self.content = content;
    }

    /// Adds a destination.
    ///
    /// # Errors
    ///
    /// As [`Destination::open`].
    pub fn open(&mut self, target: Target, config: SessionConfig) -> Result<(), SendError> {
        self.destinations.push(Destination::open(target, config, self.content, &self.config)?);
        Ok(())
    }

    /// Goes on with these destinations: those that are there, and reached in the same way as before, go on with new sessions;
    /// others are opened; those that are not among them send what they have, no longer than at the end. Options have to be
    /// set again.
    ///
    /// # Errors
    ///
    /// As [`Destination::open`]: then all stays as it was. When a file cannot be written.
    pub fn reconfigure(
        &mut self,
        targets: &[Target],
        send: &SendConfig,
        session: &SessionConfig,
        now: Timestamp,
    ) -> Result<(), SendError> {
        let mut alike = self.config.clone();
        alike.distribution = send.distribution;
        let is_reached_alike = alike == *send;
        let mut others: Vec<usize> = (0..self.destinations.len()).collect();
        let mut kept = Vec::with_capacity(targets.len());
        for target in targets {
            let known = others.iter().position(|place| {
                self.destinations
                    .get(*place)
                    .is_some_and(|to| to.target() == target && (is_file(to) || is_reached_alike))
            });
            kept.push(known.map(|known| others.remove(known)));
        }
        let mut opened = Vec::new();
        for (target, _) in targets.iter().zip(&kept).filter(|(_, kept)| kept.is_none()) {
            opened.push(Destination::open(target.clone(), session.clone(), self.content, send)?);
        }
        self.config = send.clone();
        self.active = None;
        let mut opened = opened.into_iter();
        let mut before: Vec<Option<Destination>> = self.destinations.drain(..).map(Some).collect();
        for place in kept {
            let destination = match place {
                Some(place) => before.get_mut(place).and_then(Option::take),
                None => opened.next(),
            };
            self.destinations.extend(destination);
        }
        for retired in self.retired.extract_if(.., |retired| retired.is_done()) {
            merge(&mut self.past, retired.account());
        }
        let deadline = Instant::now() + self.config.drain;
        for mut destination in before.into_iter().flatten() {
            destination.retire(now, deadline)?;
            self.retired.push(destination);
        }
        self.destinations.iter_mut().try_for_each(|to| to.restart(session.clone(), true, now))
    }

    /// Sends like this to destinations that are opened from now on.
    pub fn set_config(&mut self, config: SendConfig) {
        self.config = config;
    }

    /// Exports a flow.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    #[inline]
    pub fn handle_flow(&mut self, flow: &MeteredFlow, now: Timestamp) -> Result<(), SendError> {
        let chosen = match self.config.distribution {
            Distribution::All => None,
            Distribution::Balance => self.balance(&flow.record),
            Distribution::Failover => {
                self.switch(now)?;
                self.active
            }
        };
        for (index, destination) in self.destinations.iter_mut().enumerate() {
            if chosen.is_none_or(|chosen| index == chosen || is_file(destination)) {
                destination.handle_flow(flow, now)?;
            } else if destination.is_down() && is_untried(destination) {
                destination.handle_flow(flow, now)?;
                destination.flush(now)?;
            } else {
                destination.look_after(now)?;
            }
        }
        Ok(())
    }

    /// The collector with the highest score for the flow among those that are up: when one goes down only its flows move
    /// (rendezvous hashing). All of them, when none is up.
    fn balance(&self, flow: &FlowRecord) -> Option<usize> {
        let hash = flow_hash(flow);
        let best = |up: bool| {
            let collectors = self.destinations.iter().enumerate();
            collectors
                .filter(|(_, destination)| !is_file(destination) && (!up || !destination.is_down()))
                .max_by_key(|(index, _)| mix(hash ^ mix(*index as u64 + 1)))
                .map(|(index, _)| index)
        };
        best(true).or_else(|| best(false))
    }

    /// Failover: goes over to the first collector that is up. It gets the templates first.
    fn switch(&mut self, now: Timestamp) -> Result<(), SendError> {
        let mut collectors = self.destinations.iter().enumerate().filter(|(_, to)| !is_file(to));
        let first_up = collectors.find(|(_, destination)| !destination.is_down()).map(|(index, _)| index);
        let first = || self.destinations.iter().position(|destination| !is_file(destination));
        let active = first_up.or(self.active).or_else(first);
        if active == self.active {
            return Ok(());
        }
        if let Some(old) = self.active.and_then(|old| self.destinations.get_mut(old)) {
            old.flush(now)?;
            self.switches += 1;
            if let Some(new) = active.and_then(|new| self.destinations.get_mut(new)) {
                new.announce(now)?;
            }
        }
        self.active = active;
        Ok(())
    }

    /// Sends what has waited long enough, and templates that are due by `time`, each as of the time when it was due. The
    /// newest of those times.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn handle_timeouts(&mut self, time: Timestamp) -> Result<Timestamp, SendError> {
        let mut newest = Timestamp::ZERO;
        if self.config.distribution == Distribution::Failover {
            self.switch(time)?;
        }
        for destination in &mut self.destinations {
            destination.look_after(time)?;
            // Templates that are due make a datagram, which is sent a delay later. What was due more often while no
            // frame came is sent once.
            for _ in 0..2 {
                if let Some(due) = destination.poll_timeout().filter(|due| *due <= time) {
                    destination.handle_timeout(due)?;
                    newest = newest.max(due);
                }
            }
            if destination.poll_timeout().is_some_and(|due| due <= time) {
                destination.handle_timeout(time)?;
                newest = time;
            }
        }
        Ok(newest)
    }

    /// Announces options to all.
    ///
    /// # Errors
    ///
    /// As [`Destination::set_options`].
    pub fn set_options(&mut self, options: &OptionsData, now: Timestamp) -> Result<(), SendError> {
        self.destinations.iter_mut().try_for_each(|to| to.set_options(options.clone(), now))
    }

    /// Sends what is left, and waits until all of it has been sent, no longer than configured.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn finish(&mut self, now: Timestamp) -> Result<(), SendError> {
        for destination in &mut self.destinations {
            destination.finish(now)?;
        }
        let deadline = Instant::now() + self.config.drain;
        let all = self.destinations.iter_mut().chain(&mut self.retired);
        all.for_each(|destination| destination.close(deadline));
        Ok(())
    }

    /// When [`Self::handle_timeouts`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.destinations.iter().filter_map(Destination::poll_timeout).min()
    }

    /// Whether flows had better wait where they are, for a moment.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.destinations.iter().any(Destination::is_congested)
    }

    /// The destinations.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The destinations.
    pub fn destinations_mut(&mut self) -> &mut [Destination] {
        &mut self.destinations
    }

    /// Times that flows went to another collector from then on, because the one before was down or up again.
    #[must_use]
    pub const fn switches(&self) -> u64 {
        self.switches
    }

    /// What each destination got, those that were left included.
    #[must_use]
    pub fn accounts(&self) -> Vec<DestinationAccount> {
        let mut accounts: Vec<_> = self.destinations.iter().map(Destination::account).collect();
        let before = self.retired.iter().map(Destination::account).chain(self.past.iter().cloned());
        before.for_each(|account| merge(&mut accounts, account));
        accounts
    }
}

/// Adds an account to the one of the same destination, if there is one.
fn merge(accounts: &mut Vec<DestinationAccount>, account: DestinationAccount) {
    match accounts.iter_mut().find(|known| known.target == account.target) {
        Some(known) => known.add(&account),
        None => accounts.push(account),
    }
}

const fn is_file(destination: &Destination) -> bool {
    matches!(destination.target(), Target::File(_))
}

/// Whether a flow is to find out if the collector is up again: it goes there besides.
fn is_untried(destination: &mut Destination) -> bool {
    destination.config().version == ExportVersion::V5 && destination.may_try()
}

/// The same for both directions of a conversation.
fn flow_hash(flow: &FlowRecord) -> u64 {
    let end = |address: core::net::IpAddr, port: u16| {
        let bits = match address {
            core::net::IpAddr::V4(address) => u128::from(address.to_bits()),
            core::net::IpAddr::V6(address) => address.to_bits(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "the halves of 128 bits")]
        let (high, low) = ((bits >> 64) as u64, bits as u64);
        mix(mix(high) ^ low).wrapping_add(mix(u64::from(port) + 1))
    };
    let source = end(flow.source, flow.source_port);
    let destination = end(flow.destination, flow.destination_port);
    mix(mix(source.min(destination)) ^ source.max(destination) ^ u64::from(flow.protocol))
}

/// Spreads bits (the finaliser of `SplitMix64`).
const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(number: u16) -> FlowRecord {
        let mut flow = FlowRecord::default();
        flow.source = [10, 0, 0, 1].into();
        flow.destination = [10, 0, 0, 2].into();
        flow.source_port = number;
        flow.destination_port = 443;
        flow.protocol = 6;
        flow
    }

    #[test]
    fn both_directions_of_a_conversation_hash_alike_and_conversations_differently() {
        let mut buckets = [0u32; 4];
        for number in 0..4_000 {
            let forward = flow(number);
            let mut back = forward;
            (back.source, back.destination) = (forward.destination, forward.source);
            (back.source_port, back.destination_port) = (forward.destination_port, forward.source_port);
            assert_eq!(flow_hash(&forward), flow_hash(&back));
            let bucket = (0..4).max_by_key(|index| mix(flow_hash(&forward) ^ mix(index + 1))).unwrap();
            buckets[usize::try_from(bucket).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (900..1_100).contains(count)), "{buckets:?}");
    }
}
