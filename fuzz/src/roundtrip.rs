//! Any flows through an export session with any settings, and back: nothing is lost, nothing added.
//!
//! v9 and IPFIX give back equal records, as far as the default layouts have a field for a member. v5 gives back equal
//! sums and equal addresses, ports and times.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use arbitrary::{Arbitrary, Unstructured};
use netflow_codec::{
    Batch, Decoder, EncodeError, ExportSession, ExportVersion, FlowFields, FlowRecord, MplsLabels,
    SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig, Timestamp, v5,
};

/// What the fuzzer chooses.
#[derive(Arbitrary, Debug)]
struct Input {
    /// Odd: v5. Even: v9 and IPFIX in turn.
    version: u8,
    max_datagram: u16,
    refresh_packets: Option<u8>,
    refresh_seconds: Option<u8>,
    max_delay_millis: u16,
    sampling: Option<(u32, u8)>,
    source_id: u32,
    first_sequence: u32,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Flow(Flow),
    /// So many flows that differ in their counters only.
    Flows(u8, Flow),
    Wait(u16),
    Flush,
}

#[derive(Arbitrary, Clone, Debug)]
struct Flow {
    ipv6: bool,
    addresses: [u64; 3],
    octets: u64,
    packets: u64,
    /// Milliseconds before now.
    ages: [u32; 2],
    interfaces: [u32; 2],
    as_numbers: [u32; 2],
    ports: [u16; 2],
    vlan: u16,
    icmp: u16,
    label: u32,
    small: [u8; 6],
    labels: Option<[[u8; 3]; 3]>,
}

const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
const DAY: u64 = 24 * 3_600 * 1_000;
/// Flows lie within the 49.7 days that uptimes tell apart, and begin after boot.
const OLDEST: u64 = 40 * DAY;

/// Makes a session and a list of steps from the input and runs them.
pub fn run(input: &[u8]) {
    if let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) {
        Exchange::run(&input);
    }
}

struct Exchange {
    session: ExportSession,
    v5: bool,
    ipfix: bool,
    max_datagram: usize,
    decoder: Decoder<u8>,
    now: Timestamp,
    sequence: u32,
    sampling: Option<SamplingInfo>,
    sent: Vec<FlowRecord>,
    received: Vec<FlowRecord>,
    records: u64,
}

impl Exchange {
    fn run(input: &Input) {
        let version = match input.version % 4 {
            0 => ExportVersion::V9,
            2 => ExportVersion::Ipfix,
            _ => ExportVersion::V5,
        };
        let v5 = version == ExportVersion::V5;
        let mut config = SessionConfig::new(version, BOOT);
        config.max_datagram = input.max_datagram.into();
        config.template_refresh_packets = input.refresh_packets.map(Into::into);
        config.template_refresh = input.refresh_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        config.max_delay = Duration::from_millis(input.max_delay_millis.into());
        config.source_id = input.source_id;
        config.first_sequence = input.first_sequence;
        config.sampling = input.sampling.and_then(|(interval, algorithm)| {
            let algorithm = SamplingAlgorithm::from_number(algorithm & 3);
            SamplingInfo::new(interval, algorithm, SamplingSource::Domain)
        });
        let sampling = config.sampling;
        let Ok(session) = ExportSession::new(config) else {
            // Refused are datagrams too small for a template or a record, and intervals beyond 14 bits in v5.
            let too_wide = v5 && sampling.is_some_and(|sampling| sampling.interval > 0x3fff);
            assert!(input.max_datagram < 200 || too_wide);
            return;
        };
        let mut exchange = Self {
            session,
            v5,
            ipfix: version == ExportVersion::Ipfix,
            max_datagram: input.max_datagram.into(),
            decoder: Decoder::new(),
            now: BOOT.saturating_add(Duration::from_millis(OLDEST)),
            sequence: input.first_sequence,
            sampling,
            sent: Vec::new(),
            received: Vec::new(),
            records: 0,
        };
        input.steps.iter().for_each(|step| exchange.step(step));
        exchange.session.flush(exchange.now);
        exchange.drain();
        exchange.check();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Flow(flow) => self.flow(flow.record(self.now, self.v5)),
            Step::Flows(count, flow) => {
                let mut record = flow.record(self.now, self.v5);
                for _ in 0..*count {
                    record.octets = record.octets.wrapping_add(1) & 0xf_ffff_ffff;
                    self.flow(record);
                }
            }
            Step::Wait(millis) => {
                self.now = self.now.saturating_add(Duration::from_millis((*millis).into()));
                // Templates that fill several datagrams take several turns; each makes progress.
                for _ in 0..8 {
                    self.session.handle_timeout(self.now);
                    self.drain();
                    if self.session.poll_timeout().is_none_or(|next| next > self.now) {
                        return;
                    }
                }
                panic!("work was left: {:?} at {:?}", self.session.poll_timeout(), self.now);
            }
            Step::Flush => {
                self.session.flush(self.now);
                self.drain();
            }
        }
    }

    fn flow(&mut self, flow: FlowRecord) {
        match self.session.handle_flow(&flow, self.now) {
            Ok(()) => self.sent.push(flow),
            Err(error) => {
                let expected = match error {
                    EncodeError::NotIpv4 => self.v5,
                    // IPFIX exports no prefix lengths that there are none of.
                    EncodeError::ValueRange { .. } => self.ipfix,
                    _ => false,
                };
                assert!(expected, "{error}: {flow:?}");
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        let mut datagram = Vec::new();
        while let Some(octets) = self.session.poll_transmit(&mut datagram) {
            assert_eq!(octets, datagram.len());
            assert!(octets <= self.max_datagram);
            self.receive(&datagram);
            datagram.clear();
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        let mut decoded = self.decoder.decode(&0, datagram, self.now).expect("it was encoded");
        assert_eq!(decoded.header().sequence, Some(self.sequence));
        let (announced, mut records, mut data) = (decoded.header().count, 0, 0);
        let mut options_records = 0;
        let mut flows = Vec::new();
        while let Some(batch) = decoded.next() {
            flows.clear();
            match batch {
                Batch::Fixed(records) => flows.extend(records.flows()),
                Batch::Data(records) => flows.extend(records.flows()),
                Batch::Options(options) => {
                    options_records += options.count();
                    records += options.count();
                }
                Batch::Template(..) => records += 1,
                other => panic!("{other:?}"),
            }
            for flow in &flows {
                let told = decoded.sampling(flow).map(|told| (told.interval, told.algorithm));
                // An interval of 1 is not announced by v5.
                let set = self.sampling.filter(|set| !self.v5 || set.interval > 1);
                let algorithm = |set: SamplingInfo| match set.algorithm {
                    known @ (SamplingAlgorithm::DETERMINISTIC | SamplingAlgorithm::RANDOM) => known,
                    // Methods without a name are not known; v5 gives back its two bits.
                    _ if !self.v5 => SamplingAlgorithm::UNKNOWN,
                    other => other,
                };
                assert_eq!(told, set.map(|set| (set.interval, algorithm(set))));
            }
            records += flows.len();
            data += flows.len();
            self.received.append(&mut flows);
        }
        if !self.ipfix {
            assert_eq!(usize::from(announced), records);
        }
        let units = match (self.v5, self.ipfix) {
            (true, _) => data,
            (_, true) => data + options_records,
            _ => 1,
        };
        self.sequence = self.sequence.wrapping_add(u32::try_from(units).expect("at most 65535"));
        self.records += data as u64;
    }

    fn check(&self) {
        let stats = self.session.stats();
        assert_eq!(stats.flows, self.sent.len() as u64);
        assert_eq!(stats.records, self.records);
        if !self.v5 {
            assert_eq!(self.received.len(), self.sent.len());
            for (received, sent) in self.received.iter().zip(&self.sent) {
                let mut received = *received;
                received.fields = FlowFields::NONE;
                if self.ipfix && self.sampling.is_some() {
                    // The session's selector, which the flow did not name.
                    assert_eq!(core::mem::take(&mut received.sampler_id), 1);
                }
                assert_eq!(received, *sent);
            }
            return;
        }
        let mut received = self.received.iter();
        for sent in &self.sent {
            let (mut octets, mut packets) = (0, 0);
            for _ in 0..v5::PacketBuilder::records_for(sent) {
                let part = received.next().expect("a record for each part");
                let key = |flow: &FlowRecord| {
                    (flow.source, flow.destination, flow.next_hop, flow.start, flow.end, flow.source_port)
                };
                assert_eq!(key(part), key(sent));
                octets += part.octets;
                packets += part.packets;
            }
            assert_eq!((octets, packets), (sent.octets, sent.packets));
        }
        assert!(received.next().is_none(), "a record that nobody sent");
    }
}

impl Flow {
    /// A record of which every member has a field in the default layouts.
    fn record(&self, now: Timestamp, v5: bool) -> FlowRecord {
        let mut flow = FlowRecord::default();
        let address = |bits: u64| {
            if self.ipv6 {
                IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 64 | u128::from(!bits)))
            } else {
                let [.., a, b, c, d] = bits.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
        };
        [flow.source, flow.destination, flow.next_hop] = self.addresses.map(address);
        // v5 has 32 bits: larger counters take several records, here at most seventeen.
        let widest = if v5 { 0xf_ffff_ffff } else { u64::MAX };
        (flow.octets, flow.packets) = (self.octets & widest, self.packets & widest);
        let now = now.as_millis();
        let before = |age: u32| Timestamp::from_millis(now - u64::from(age) % OLDEST);
        [flow.start, flow.end] = self.ages.map(before);
        [flow.ingress_interface, flow.egress_interface] = self.interfaces;
        [flow.source_as, flow.destination_as] = self.as_numbers;
        [flow.source_port, flow.destination_port] = self.ports;
        flow.vlan = self.vlan;
        flow.icmp_type_code = self.icmp;
        flow.tcp_flags = self.small[0].into();
        [
            _,
            flow.protocol,
            flow.tos,
            flow.source_prefix_length,
            flow.destination_prefix_length,
            flow.flow_end_reason,
        ] = self.small;
        if self.ipv6 {
            flow.ipv6_flow_label = self.label & 0xf_ffff;
        }
        if let Some(labels) = self.labels {
            let mut stack = MplsLabels::EMPTY;
            labels.into_iter().enumerate().for_each(|(position, label)| stack.set(position, label));
            flow.mpls_labels = stack;
        }
        flow
    }
}
