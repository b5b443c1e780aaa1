//! The deadlines of a record, in the form the packet path wants: nanoseconds, with `u64::MAX` for never.

use core::time::Duration;

use crate::{
    CacheKind, Config, ExpireReason, Inactive, ObservedPacket, StoredKey, Timestamp,
    record::{CLASSES, ICMP, MAX_PACKETS, Record, TCP, UDP, class},
};

const FIN: u16 = 0x01;
const SYN: u16 = 0x02;
const RST: u16 = 0x04;

/// Never.
const NEVER: u64 = u64::MAX;

/// When records end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    active: u64,
    lifetime: u64,
    /// The silence that ends a flow, by class of protocol.
    inactive: [u64; CLASSES],
    /// Flows with fewer packets than this end after this silence.
    few_packets: u64,
    few_packets_inactive: u64,
    /// The shortest of all these, for a flow of one packet.
    first_silence: [u64; CLASSES],
    /// The silence that ends a flow once it has seen a FIN, or an RST.
    after_fin: u64,
    after_reset: u64,
    /// The flags that mean something.
    closing: u16,
    /// No silence shorter than this ends a flow that is not closing.
    shortest_silence: u64,
    /// No record that lasted less than this has to end for it.
    shortest_record: u64,
    most_octets: u64,
    most_packets: u64,
    /// Whether a record may be due with the very packet that began it.
    pub(crate) immediate: bool,
}

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        let timeouts = match config.kind {
            CacheKind::Normal => config.timeouts,
            CacheKind::Immediate => {
                let mut timeouts = crate::Timeouts::NEVER;
                timeouts.inactive = Some(Duration::ZERO);
                timeouts
            }
            CacheKind::Permanent => {
                let mut timeouts = crate::Timeouts::NEVER;
                timeouts.active = config.timeouts.active;
                timeouts
            }
        };
        let general = nanos(timeouts.inactive);
        let of_class = |inactive| match inactive {
            Inactive::AsOthers => general,
            Inactive::Never => NEVER,
            Inactive::After(duration) => nanos(Some(duration)),
        };
        let mut inactive = [general; CLASSES];
        for (class, other) in
            [(TCP, timeouts.inactive_tcp), (UDP, timeouts.inactive_udp), (ICMP, timeouts.inactive_icmp)]
        {
            if let Some(entry) = inactive.get_mut(usize::from(class)) {
                *entry = of_class(other);
            }
        }
        let few_packets = timeouts.short_flows.map_or(0, |short| short.fewer_than);
        let few_packets_inactive = nanos(timeouts.short_flows.map(|short| short.inactive));
        let shortest_silence = inactive.iter().copied().min().unwrap_or(0);
        let shortest_silence =
            if few_packets > 1 { shortest_silence.min(few_packets_inactive) } else { shortest_silence };
        let (active, lifetime) = (nanos(timeouts.active), nanos(timeouts.lifetime));
        let few = if few_packets > 1 { few_packets_inactive } else { NEVER };
        let most = config.counter_limit.unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1);
        Self {
            active,
            lifetime,
            inactive,
            few_packets,
            few_packets_inactive,
            first_silence: inactive.map(|silence| silence.min(few).min(active).min(lifetime)),
            after_fin: nanos(timeouts.tcp_end),
            after_reset: nanos(timeouts.tcp_reset),
            closing: if timeouts.tcp_end.is_some() { FIN } else { 0 }
                | if timeouts.tcp_reset.is_some() { RST } else { 0 },
            shortest_silence,
            // With a lifetime, the start of the flow must be looked at.
            shortest_record: if lifetime == NEVER { active } else { 0 },
            most_octets: most,
            most_packets: most.min(MAX_PACKETS),
            immediate: shortest_silence == 0 || active == 0 || lifetime == 0,
        }
    }

    /// Whether the start of each flow has to be known.
    pub(crate) const fn has_lifetime(&self) -> bool {
        self.lifetime != NEVER
    }

    /// Whether a packet, which neither closes its flow nor is a fragment, just goes into a record: by a look that may say no
    /// without need.
    #[inline]
    pub(crate) fn goes_on<S: StoredKey>(
        &self,
        record: &Record<S>,
        packet: &ObservedPacket,
        now: Timestamp,
    ) -> bool {
        let silence = now.as_nanos().wrapping_sub(record.last.as_nanos());
        let age = now.as_nanos().wrapping_sub(record.first.as_nanos());
        // A time before that of the record makes a huge difference.
        silence < self.shortest_silence
            && age < self.shortest_record
            && record.packets_without(self.closing) < self.most_packets
            && record.octets + u64::from(packet.octets) <= self.most_octets
    }

    /// Whether the counters of a record have room for a packet.
    #[inline]
    pub(crate) fn has_room<S: StoredKey>(&self, record: &Record<S>, packet: &ObservedPacket) -> bool {
        record.octets + u64::from(packet.octets) <= self.most_octets && record.packets() < self.most_packets
    }

    /// Whether a packet begins a connection where the one of the record is closing.
    pub(crate) fn is_new_connection<S: StoredKey>(
        &self,
        record: &Record<S>,
        packet: &ObservedPacket,
    ) -> bool {
        packet.tcp_flags & SYN != 0 && record.tcp_flags() & self.closing != 0
    }

    /// Whether a packet changes when its record ends.
    #[inline]
    pub(crate) const fn closes(&self, packet: &ObservedPacket) -> bool {
        packet.tcp_flags & self.closing != 0
    }

    /// When the record ends if no packet comes: never is `u64::MAX`. `start` is when the flow began.
    ///
    /// Where two deadlines fall on the same nanosecond, silence is the reason.
    #[inline]
    pub(crate) fn deadline<S: StoredKey>(&self, record: &Record<S>, start: Timestamp) -> (u64, ExpireReason) {
        let (mut silence, mut reason) = (self.silence(record), ExpireReason::IDLE_TIMEOUT);
        if record.is_empty() {
            return (record.last.as_nanos().saturating_add(silence), reason);
        }
        if record.packets() < self.few_packets {
            silence = silence.min(self.few_packets_inactive);
        }
        let flags = record.tcp_flags() & self.closing;
        if flags != 0 {
            let fin = if flags & FIN != 0 { self.after_fin } else { NEVER };
            let linger = if flags & RST != 0 { fin.min(self.after_reset) } else { fin };
            if linger <= silence {
                (silence, reason) = (linger, ExpireReason::END_OF_FLOW);
            }
        }
        let silent = record.last.as_nanos().saturating_add(silence);
        let active = record.first.as_nanos().saturating_add(self.active);
        let active = active.min(self.end_of_life(start));
        if active < silent { (active, ExpireReason::ACTIVE_TIMEOUT) } else { (silent, reason) }
    }

    /// How long a record lasts that has one packet, which does not close its flow.
    #[inline]
    pub(crate) fn first_silence(&self, protocol: u8) -> u64 {
        self.first_silence.get(usize::from(class(protocol))).copied().unwrap_or(NEVER)
    }

    /// The reason why a record has ended by `now`, if it has.
    #[inline]
    pub(crate) fn passed<S: StoredKey>(
        &self,
        record: &Record<S>,
        start: Timestamp,
        now: Timestamp,
    ) -> Option<ExpireReason> {
        let (deadline, reason) = self.deadline(record, start);
        (deadline != NEVER && deadline <= now.as_nanos()).then_some(reason)
    }

    /// Whether a flow was not silent, and did not last, for so long that what comes now is another one.
    pub(crate) fn is_known<S: StoredKey>(
        &self,
        record: &Record<S>,
        start: Timestamp,
        now: Timestamp,
    ) -> bool {
        let silent = record.last.as_nanos().saturating_add(self.silence(record));
        now.as_nanos() < silent.min(self.end_of_life(start))
    }

    #[inline]
    fn silence<S: StoredKey>(&self, record: &Record<S>) -> u64 {
        self.inactive.get(record.class()).copied().unwrap_or(NEVER)
    }

    #[inline]
    const fn end_of_life(&self, start: Timestamp) -> u64 {
        start.as_nanos().saturating_add(self.lifetime)
    }
}

pub(crate) fn nanos(duration: Option<Duration>) -> u64 {
    duration.map_or(NEVER, |duration| u64::try_from(duration.as_nanos()).unwrap_or(NEVER))
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{HashSeed, Ipv4SevenTuple, Timeouts};

    const START: Timestamp = Timestamp::ZERO;

    fn record(first: u64, last: u64, flags: u16) -> Record<Ipv4SevenTuple> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut packet = ObservedPacket::new(address, address, 6, 40);
        packet.tcp_flags = flags;
        let mut record = Record::new(Ipv4SevenTuple::default(), &packet, Timestamp::from_secs(first), 0);
        record.add(&packet, Timestamp::from_secs(last));
        record
    }

    fn rules(timeouts: Timeouts) -> Rules {
        let mut config = Config::new(1, HashSeed::from_u64(1));
        config.timeouts = timeouts;
        Rules::new(&config)
    }

    const fn at(secs: u64) -> u64 {
        Timestamp::from_secs(secs).as_nanos()
    }

    #[test]
    fn the_earliest_deadline_gives_the_reason() {
        let rules = rules(Timeouts::default());
        let of = |first, last, flags| rules.deadline(&record(first, last, flags), START);
        assert_eq!(of(0, 100, 0), (at(115), ExpireReason::IDLE_TIMEOUT));
        assert_eq!(of(0, 1790, 0), (at(1800), ExpireReason::ACTIVE_TIMEOUT));
        assert_eq!(of(0, 1785, 0), (at(1800), ExpireReason::IDLE_TIMEOUT));
        assert_eq!(of(0, 100, FIN), (at(102), ExpireReason::END_OF_FLOW));
        assert_eq!(of(0, 1799, FIN), (at(1800), ExpireReason::ACTIVE_TIMEOUT));
        assert_eq!(of(0, 100, FIN | RST), (at(100), ExpireReason::END_OF_FLOW));
    }

    #[test]
    fn never_is_never_even_at_the_end_of_time() {
        let rules = rules(Timeouts::NEVER);
        assert_eq!(rules.deadline(&record(0, 100, FIN | RST), START).0, NEVER);
        assert_eq!(rules.passed(&record(0, 100, FIN | RST), START, Timestamp::MAX), None);
    }

    #[test]
    fn an_inactive_timeout_below_the_linger_time_wins() {
        let mut timeouts = Timeouts { inactive: Some(Duration::from_secs(1)), ..Timeouts::default() };
        let fin = record(0, 100, FIN);
        assert_eq!(rules(timeouts).deadline(&fin, START), (at(101), ExpireReason::IDLE_TIMEOUT));
        timeouts.tcp_end = Some(Duration::from_secs(1));
        assert_eq!(rules(timeouts).deadline(&fin, START), (at(101), ExpireReason::END_OF_FLOW));
    }

    #[test]
    fn a_packet_that_goes_on_by_the_quick_look_goes_on_by_the_deadline() {
        let inactive_udp = Inactive::After(Duration::from_secs(3));
        let timeouts = Timeouts { inactive_udp, ..Timeouts::default() };
        let rules = rules(timeouts);
        let packet = ObservedPacket::new([127, 0, 0, 1].into(), [127, 0, 0, 1].into(), 6, 40);
        for second in 100..200 {
            let (record, now) = (record(0, 100, 0), Timestamp::from_secs(second));
            let quick = rules.goes_on(&record, &packet, now);
            assert_eq!(quick, second < 103);
            assert!(!quick || rules.passed(&record, START, now).is_none());
        }
        assert!(!rules.goes_on(&record(50, 100, 0), &packet, Timestamp::from_secs(99)));
    }
}
