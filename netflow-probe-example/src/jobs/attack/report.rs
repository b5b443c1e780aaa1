//! Attacks as a text to read.

use core::fmt;

use super::{Distribution, Event, Kind, Report, Sizes};
use crate::{
    jobs::{duration, time},
    query::scaled,
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} attacks in {}", self.events.len(), self.seen)?;
        for event in &self.events {
            writeln!(f)?;
            event.fmt(f)?;
        }
        let dropped = &self.dropped;
        for (count, what) in [
            (
                dropped.flows_without_time,
                "flows without a time, or with one far from their arrival, are left out",
            ),
            (dropped.counters, "counters far below a threshold were dropped to keep memory bounded"),
            (dropped.suspicions, "suspicions, the least of them, were not looked into"),
        ] {
            if count > 0 {
                writeln!(f, "\n{count} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        match (&self.service, &self.vector) {
            (Some(service), _) => write!(f, " ({service})")?,
            (None, Some(vector)) if self.kind == Kind::CarpetBombing => write!(f, " ({vector})")?,
            _ => {}
        }
        match self.scanner {
            Some(scanner) => writeln!(f, " of {} by {scanner}", self.target)?,
            None => writeln!(f, " against {}", self.target)?,
        }
        let length = self.end_ns.saturating_sub(self.start_ns);
        line(f, "time", &format!("{} to {} ({})", time(self.start_ns), time(self.end_ns), duration(length)))?;
        let error =
            if self.error_percent > 0.0 { format!(", ±{:.0}%", self.error_percent) } else { String::new() };
        line(
            f,
            "peak",
            &format!(
                "{}bit/s, {}packets/s{error}",
                spaced(self.peak_bits_per_second),
                spaced(self.peak_packets_per_second)
            ),
        )?;
        let sampling = match self.sampling {
            Some([1, 1]) => "every packet metered".to_owned(),
            Some([low, high]) if low == high => format!("sampled 1 in {low}"),
            Some([low, high]) => format!("sampled 1 in {low} to 1 in {high}"),
            None => "sampling unknown".to_owned(),
        };
        line(
            f,
            "volume",
            &format!(
                "{}octets, {}packets in {} flows; {sampling}, {} packets metered",
                spaced(self.octets),
                spaced(self.packets),
                self.flows,
                self.metered_packets
            ),
        )?;
        list(f, "sources", &self.sources)?;
        list(f, "source AS", &self.source_as)?;
        if self.targets.distinct > 1 {
            list(f, "targets", &self.targets)?;
        }
        list(f, "source ports", &self.source_ports)?;
        list(f, "ports", &self.ports)?;
        list(f, "protocols", &self.protocols)?;
        list(f, "TCP flags", &self.tcp_flags)?;
        list(f, "came in by", &self.interfaces)?;
        line(f, "packet sizes", &sizes(&self.packet_sizes))?;
        for hint in &self.hints {
            line(f, "spoofing", hint)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {name:<12}  {text}")
}

/// A number with its unit, so that a unit can follow.
fn spaced(number: u64) -> String {
    let text = scaled(number);
    if text.contains(' ') { text } else { format!("{text} ") }
}

fn list(f: &mut fmt::Formatter<'_>, name: &str, distribution: &Distribution) -> fmt::Result {
    if distribution.distinct == 0 {
        return Ok(());
    }
    let about = if distribution.is_estimated { "about " } else { "" };
    let evenness = if distribution.distinct > 1 {
        format!(", evenness {:.2}", distribution.evenness)
    } else {
        String::new()
    };
    let parts = distribution.top.iter().take(5);
    let parts: Vec<String> = parts.map(|part| format!("{} {:.1}%", part.value, part.share * 100.0)).collect();
    line(f, name, &format!("{about}{}{evenness}: {}", distribution.distinct, parts.join(", ")))
}

fn sizes(sizes: &Sizes) -> String {
    let all: u64 = sizes.packets.iter().sum();
    let bounds = Sizes::BOUNDS.iter().map(|bound| format!("≤{bound}"));
    let names = bounds.chain([">1500".to_owned()]);
    let parts = names.zip(&sizes.packets).filter(|(_, packets)| **packets > 0);
    let parts: Vec<String> = parts
        .map(|(name, packets)| format!("{name} {:.0}%", *packets as f64 * 100.0 / all.max(1) as f64))
        .collect();
    format!("{:.0} octets on average: {}", sizes.mean, parts.join(", "))
}
