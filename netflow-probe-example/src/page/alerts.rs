//! Times at which a profile's threshold was passed.

use serde_json::{Value as Json, json};

use super::{
    answers::{Answers, Asked},
    parameters::{Wrong, parse_filter},
    profiles::{Alert, Measure, Profile},
};
use crate::query::{Bins, Sums};

/// Bins in which a threshold is looked for.
const BINS: usize = 500;

/// What the profiles with a threshold found in the window, in the order of the profiles.
pub(super) fn alerts(answers: &Answers, asked: Asked, profiles: &[Profile]) -> Result<Json, Wrong> {
    let bins = Bins::covering(asked.from, asked.to, BINS);
    let mut found = Vec::new();
    for profile in profiles {
        let Some(alert) = profile.alert else { continue };
        let filter = parse_filter(&profile.filter)?;
        let series = answers.whole_series(asked, bins, &filter)?;
        let lines = series.lines();
        let line = lines.first().map_or(&[][..], |(_, line)| line);
        for Passed { from, to, peak } in passed(bins, line, alert) {
            found.push(json!({
                "profile": profile.name, "filter": profile.filter, "measure": alert.measure.name(),
                "above": alert.above, "from": from, "to": to, "peak": peak,
            }));
        }
    }
    Ok(json!({ "alerts": found, "bin": bins.width }))
}

/// A time, in seconds, and the highest rate in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Passed {
    from: u64,
    to: u64,
    peak: u64,
}

/// Neighbouring bins above the threshold are one.
fn passed(bins: Bins, line: &[Sums], alert: Alert) -> Vec<Passed> {
    let mut found: Vec<Passed> = Vec::new();
    for (place, sums) in (0_u64..).zip(line) {
        let amount = match alert.measure {
            Measure::Bits => sums.octets.saturating_mul(8),
            Measure::Packets => sums.packets,
            Measure::Flows => sums.flows,
        };
        let rate = amount / bins.width;
        if rate <= alert.above {
            continue;
        }
        let from = bins.first + place * bins.width;
        match found.last_mut() {
            Some(last) if last.to == from => {
                last.to = from + bins.width;
                last.peak = last.peak.max(rate);
            }
            _ => found.push(Passed { from, to: from + bins.width, peak: rate }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_bins_above_the_threshold_are_one_alert() {
        let bins = Bins { first: 100, width: 10, count: 6 };
        let line: Vec<Sums> =
            [0, 100, 300, 79, 80, 0].map(|octets| Sums { octets, ..Sums::default() }).into();
        let alert = Alert { measure: Measure::Bits, above: 63 };
        let expected = [Passed { from: 110, to: 130, peak: 240 }, Passed { from: 140, to: 150, peak: 64 }];
        assert_eq!(passed(bins, &line, alert), expected);
        assert_eq!(passed(bins, &line, Alert { measure: Measure::Flows, above: 0 }), []);
    }
}
