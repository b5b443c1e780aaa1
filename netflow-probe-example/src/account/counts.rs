//! What datagrams carried, counted.

use core::ops::AddAssign;

use netflow_codec::{FlowFields, FlowRecord, SamplingInfo};

use crate::flow::FlowSet;

/// What datagrams carried.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Datagrams whose header was sound.
    pub datagrams: u64,
    /// Octets of these datagrams.
    pub octets: u64,
    /// Template records, repeated ones included.
    pub template_records: u64,
    /// Options template records, repeated ones included.
    pub options_template_records: u64,
    /// Templates withdrawn (IPFIX), obeyed or not.
    pub withdrawals: u64,
    /// Data records of flows, those that waited for their template included.
    pub data_records: u64,
    /// Data records of options, those that waited for their template included.
    pub options_records: u64,
    /// Data sets whose template was not known when they came.
    pub sets_without_template: u64,
    /// Those of them that were decoded when their template came.
    pub sets_recovered: u64,
    /// Records of flows and of options in these.
    pub records_recovered: u64,
    /// Sets of a reserved id, which are skipped.
    pub reserved_sets: u64,
    /// Packets of flows, as exporters counted them.
    pub flow_packets: u64,
    /// Octets of flows, as exporters counted them.
    pub flow_octets: u64,
    /// The same packets, multiplied by the sampling rates where they are known.
    pub scaled_packets: u64,
    /// The same octets, multiplied by the sampling rates where they are known.
    pub scaled_octets: u64,
    /// Flows of which nobody said at what rate they were sampled.
    pub flows_of_unknown_rate: u64,
}

impl Counts {
    /// Adds the counters of the flows of a set.
    pub(crate) fn flows(&mut self, set: &FlowSet<'_>) {
        let packets = set.column(FlowFields::PACKETS, set.columns.packets());
        let octets = set.column(FlowFields::OCTETS, set.columns.octets());
        let sampling = set.sampling.as_ref();
        self.flows_of_unknown_rate += if sampling.is_none() { set.len() as u64 } else { 0 };
        if sampling.is_none_or(|info| info.interval <= 1) {
            let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
            return self.add(sum(packets), sum(octets), None);
        }
        for packets in packets {
            self.add(*packets, 0, sampling);
        }
        for octets in octets {
            self.add(0, *octets, sampling);
        }
    }

    /// Adds the counters of a flow.
    pub(crate) fn flow(&mut self, flow: &FlowRecord, sampling: Option<&SamplingInfo>) {
        self.add(flow.packets, flow.octets, sampling);
        self.flows_of_unknown_rate += u64::from(sampling.is_none());
    }

    fn add(&mut self, packets: u64, octets: u64, sampling: Option<&SamplingInfo>) {
        let scale = |count: u64| match sampling {
            Some(info) if info.interval > 1 => info.rate.scale(count),
            _ => count,
        };
        self.flow_packets = self.flow_packets.saturating_add(packets);
        self.flow_octets = self.flow_octets.saturating_add(octets);
        self.scaled_packets = self.scaled_packets.saturating_add(scale(packets));
        self.scaled_octets = self.scaled_octets.saturating_add(scale(octets));
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.octets += other.octets;
        self.template_records += other.template_records;
        self.options_template_records += other.options_template_records;
        self.withdrawals += other.withdrawals;
        self.data_records += other.data_records;
        self.options_records += other.options_records;
        self.sets_without_template += other.sets_without_template;
        self.sets_recovered += other.sets_recovered;
        self.records_recovered += other.records_recovered;
        self.reserved_sets += other.reserved_sets;
        // Exporters may claim any number of them.
        self.flow_packets = self.flow_packets.saturating_add(other.flow_packets);
        self.flow_octets = self.flow_octets.saturating_add(other.flow_octets);
        self.scaled_packets = self.scaled_packets.saturating_add(other.scaled_packets);
        self.scaled_octets = self.scaled_octets.saturating_add(other.scaled_octets);
        self.flows_of_unknown_rate += other.flows_of_unknown_rate;
    }
}
