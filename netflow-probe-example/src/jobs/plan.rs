//! How much disk and bandwidth flows will take: an estimate from routers, rates, packets and sampling, with all it
//! assumes.

use core::fmt;

use serde::Serialize;

use crate::query::{Align, Table, scaled};

/// What the estimate is made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Assumptions {
    /// Routers that export.
    pub routers: u32,
    /// Bits a second that all of them together forward at most, each packet counted once for each router that meters it.
    pub line_rate: f64,
    /// The part of that which is used on average, from 0 to 1.
    pub utilisation: f64,
    /// Octets of a packet on average.
    pub octets_per_packet: f64,
    /// Packets of a flow on average, before sampling.
    pub packets_per_flow: f64,
    /// One packet in so many is metered.
    pub sampling: u32,
    /// Seconds that flows are kept.
    pub retention_seconds: f64,
    /// Octets of a record as it is exported.
    pub octets_per_record: f64,
    /// Octets of a stored flow in a store of the user's, if one was measured.
    pub measured_octets_per_flow: Option<f64>,
}

impl Assumptions {
    /// Octets of a stored flow: in our store (Parquet, zstd level 3), and in files of nfcapd.
    ///
    /// Measured on 600,000 generated flows of an hour, exported as NetFlow v9; real traffic repeats itself more.
    pub const OCTETS_PER_FLOW: [(&'static str, f64); 3] =
        [("this store (Parquet, zstd)", 24.5), ("nfdump (LZ4)", 34.7), ("nfdump (bzip2)", 17.2)];
    /// Packets of flows are distributed as a power of this exponent (Pareto): few flows have most of the packets.
    const EXPONENT: f64 = 1.1;
    /// Packets of the largest flow.
    const LARGEST: f64 = 1e6;
    /// Octets of headers of IPv4, UDP and NetFlow v9, and of Ethernet, a datagram.
    const HEADERS: f64 = 20.0 + 8.0 + 20.0 + 4.0 + 18.0;
    /// Octets of records in a datagram.
    const ROOM: f64 = 1_472.0 - 24.0;
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            routers: 1,
            line_rate: 10e9,
            utilisation: 0.4,
            octets_per_packet: 800.0,
            packets_per_flow: 25.0,
            sampling: 1,
            retention_seconds: 90.0 * 86_400.0,
            octets_per_record: 66.0,
            measured_octets_per_flow: None,
        }
    }
}

/// What a store takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storage {
    /// Whose files.
    pub store: String,
    /// Octets of a flow.
    pub octets_per_flow: f64,
    /// Octets a day.
    pub octets_per_day: f64,
    /// Octets for as long as flows are kept.
    pub octets: f64,
}

/// The estimate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What it is made from.
    pub assumptions: Assumptions,
    /// Packets a second on average.
    pub packets_per_second: f64,
    /// Flows a second on average, before sampling.
    pub flows_per_second: f64,
    /// The part of flows of which a packet is sampled.
    pub part_of_flows_seen: f64,
    /// Sampled packets of a record.
    pub sampled_packets_per_record: f64,
    /// Records a second on average, all routers together.
    pub records_per_second: f64,
    /// Records a second when all lines are full.
    pub peak_records_per_second: f64,
    /// Records for as long as flows are kept.
    pub records: f64,
    /// Bits a second that exporting takes on average, headers included, all routers together.
    pub export_bits_per_second: f64,
    /// Bits a second when all lines are full.
    pub peak_export_bits_per_second: f64,
    /// Bits a second of one router on average.
    pub export_bits_per_second_and_router: f64,
    /// Exported octets as a part of the forwarded ones.
    pub export_share: f64,
    /// What stores take.
    pub storage: Vec<Storage>,
}

impl Plan {
    /// The estimate.
    #[must_use]
    pub fn of(assumptions: Assumptions) -> Self {
        let Assumptions {
            routers,
            line_rate,
            utilisation,
            octets_per_packet,
            packets_per_flow,
            sampling,
            retention_seconds,
            octets_per_record,
            measured_octets_per_flow,
        } = assumptions;
        let bits_per_second = line_rate * utilisation;
        let packets_per_second = bits_per_second / 8.0 / octets_per_packet;
        let flows_per_second = packets_per_second / packets_per_flow;
        let part_of_flows_seen = seen(packets_per_flow, f64::from(sampling));
        let records_per_second = flows_per_second * part_of_flows_seen;
        let peak = if utilisation > 0.0 { 1.0 / utilisation } else { 1.0 };
        let per_datagram = (Assumptions::ROOM / octets_per_record).floor().max(1.0);
        let octets = octets_per_record + Assumptions::HEADERS / per_datagram;
        let export_bits_per_second = records_per_second * octets * 8.0;
        let records = records_per_second * retention_seconds;
        let own = measured_octets_per_flow.map(|octets| ("your store, as measured", octets));
        let storage = own.into_iter().chain(Assumptions::OCTETS_PER_FLOW).map(|(store, octets)| Storage {
            store: store.to_owned(),
            octets_per_flow: octets,
            octets_per_day: records_per_second * 86_400.0 * octets,
            octets: records * octets,
        });
        Self {
            assumptions,
            packets_per_second,
            flows_per_second,
            part_of_flows_seen,
            sampled_packets_per_record: packets_per_flow / f64::from(sampling) / part_of_flows_seen,
            records_per_second,
            peak_records_per_second: records_per_second * peak,
            records,
            export_bits_per_second,
            peak_export_bits_per_second: export_bits_per_second * peak,
            export_bits_per_second_and_router: export_bits_per_second / f64::from(routers.max(1)),
            export_share: if bits_per_second > 0.0 { export_bits_per_second / bits_per_second } else { 0.0 },
            storage: storage.collect(),
        }
    }
}

/// The part of flows of which at least one packet is sampled, when one in `every` is and flows have so many packets on
/// average.
fn seen(mean: f64, every: f64) -> f64 {
    const STEPS: u32 = 2_000;
    if every <= 1.0 {
        return 1.0;
    }
    let (exponent, largest) = (Assumptions::EXPONENT, Assumptions::LARGEST);
    let smallest = smallest(mean);
    let step = (largest / smallest).powf(1.0 / f64::from(STEPS));
    let whole = 1.0 - (smallest / largest).powf(exponent);
    let above = |packets: f64| (smallest / packets).powf(exponent);
    let mut low = smallest;
    let mut sum = 0.0;
    for _ in 0..STEPS {
        let high = low * step;
        let part = (above(low) - above(high)) / whole;
        // No flow has less than one packet.
        let packets = (low * high).sqrt().max(1.0);
        sum += part * (1.0 - (1.0 - 1.0 / every).powf(packets));
        low = high;
    }
    // More flows than packets cannot be seen.
    sum.min(mean / every)
}

/// Where the distribution begins that has this mean.
fn smallest(mean: f64) -> f64 {
    let (exponent, largest) = (Assumptions::EXPONENT, Assumptions::LARGEST);
    let mean_from = |smallest: f64| {
        let scale = exponent * smallest.powf(exponent) / (1.0 - (smallest / largest).powf(exponent));
        scale * (smallest.powf(1.0 - exponent) - largest.powf(1.0 - exponent)) / (exponent - 1.0)
    };
    let (mut low, mut high) = (1e-3, mean.clamp(1.0, largest / 2.0));
    for _ in 0..100 {
        let middle = (low * high).sqrt();
        if mean_from(middle) < mean { low = middle } else { high = middle }
    }
    low
}

/// A number with a unit behind it.
fn unit(number: f64, unit: &str) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number that is shown with four digits"
    )]
    let text = scaled(number.round().max(0.0) as u64);
    if text.contains(' ') { format!("{text}{unit}") } else { format!("{text} {unit}") }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assumed = &self.assumptions;
        writeln!(f, "Assumptions")?;
        let days = assumed.retention_seconds / 86_400.0;
        for (what, value) in [
            ("routers", assumed.routers.to_string()),
            ("line rate, all routers", unit(assumed.line_rate, "bit/s")),
            ("used on average", format!("{:.0}%", assumed.utilisation * 100.0)),
            ("octets of a packet", format!("{:.0}", assumed.octets_per_packet)),
            (
                "packets of a flow",
                format!("{:.0}, few flows having most (Pareto, exponent 1.1)", assumed.packets_per_flow),
            ),
            ("sampling", format!("1 in {}", assumed.sampling)),
            ("kept for", format!("{days:.1} days")),
            (
                "octets of a record",
                format!("{:.0} exported, in datagrams of 1472 octets", assumed.octets_per_record),
            ),
        ] {
            writeln!(f, "  {what:<24}{value}")?;
        }
        writeln!(f, "\nTraffic and export")?;
        for (what, value) in [
            ("packets", unit(self.packets_per_second, "/s")),
            ("flows before sampling", unit(self.flows_per_second, "/s")),
            (
                "of which are seen",
                format!(
                    "{:.1}%, with {:.1} sampled packets a record",
                    self.part_of_flows_seen * 100.0,
                    self.sampled_packets_per_record
                ),
            ),
            (
                "records",
                format!(
                    "{}, {} when all lines are full",
                    unit(self.records_per_second, "/s"),
                    unit(self.peak_records_per_second, "/s")
                ),
            ),
            (
                "export",
                format!(
                    "{}, {} when all lines are full, {} a router ({:.3}% of the traffic)",
                    unit(self.export_bits_per_second, "bit/s"),
                    unit(self.peak_export_bits_per_second, "bit/s"),
                    unit(self.export_bits_per_second_and_router, "bit/s"),
                    self.export_share * 100.0
                ),
            ),
            ("records kept", unit(self.records, "")),
        ] {
            writeln!(f, "  {what:<24}{}", value.trim_end())?;
        }
        writeln!(f, "\nStorage")?;
        let mut table = Table::new();
        table.column("  Store", Align::Left);
        for heading in ["octets a flow", "a day", &format!("{days:.0} days")] {
            table.column(heading, Align::Right);
        }
        for storage in &self.storage {
            table.row(vec![
                format!("  {}", storage.store),
                format!("{:.1}", storage.octets_per_flow),
                unit(storage.octets_per_day, "B"),
                unit(storage.octets, "B"),
            ]);
        }
        f.write_str(&table.render())?;
        writeln!(
            f,
            "\nPackets of a flow and octets of a packet differ most between networks: twice as many packets a flow \
             are {:.0}% of these records.",
            100.0 * self.with_longer_flows() / self.records_per_second.max(f64::MIN_POSITIVE)
        )
    }
}

impl Plan {
    /// Records a second, if flows had twice as many packets.
    fn with_longer_flows(&self) -> f64 {
        let twice = self.assumptions.packets_per_flow * 2.0;
        self.packets_per_second / twice * seen(twice, f64::from(self.assumptions.sampling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sampling_every_flow_is_a_record() {
        let plan = Plan::of(Assumptions::default());
        assert!((plan.records_per_second - 10e9 * 0.4 / 8.0 / 800.0 / 25.0).abs() < 1e-6);
        assert!((plan.sampled_packets_per_record - 25.0).abs() < 1e-9);
    }

    #[test]
    fn sampling_sees_fewer_flows_but_never_more_than_packets() {
        let mut before = 1.0;
        for every in [2.0, 10.0, 100.0, 1_000.0, 10_000.0] {
            let part = seen(25.0, every);
            assert!(part < before && part <= 25.0 / every, "{every}: {part}");
            before = part;
        }
        // Of flows of one packet, as many as packets.
        assert!((seen(1.0, 100.0) - 0.01).abs() < 0.002, "{}", seen(1.0, 100.0));
    }
}
