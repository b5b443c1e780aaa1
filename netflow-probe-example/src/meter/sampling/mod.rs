//! Which packets are metered, as the command line says it, and how that is announced.

mod property;
mod stage;

use core::{fmt, str::FromStr};

use netflow_codec::{EncodeError, ExportVersion, OptionsData, SamplingInfo};
use netflow_flowcache::sample::{
    Announced, AnySampler, ParameterValue, Sampler, SamplerSeed, Sampling, Secrets, SelectionSequence,
    SelectorStatistics, Unsampled,
};
use stage::Stage;

/// What `--sampling` takes, for its help.
pub const SAMPLING_HELP: &str = "\
Meter a sample of the packets

  1:N                 every N-th packet
  random:N:M          N packets at random of each M; random:1:M is what routers do
  count:I/S           I packets in a row, then S not
  time:I/S            for the time I, then not for the time S, as in time:10ms/90ms
  probability:P       each packet with probability P
  junos:R[,run-length=L][,max-packets-per-second=M][,systematic]
                      one packet of R, and L behind it; at most M a second
  hash:1:N[,bob|ipsx|crc][,offset=O][,size=S][,initialiser=X][,range=A-B]
                      the same packets at every observation point, by a hash of headers and S octets of payload
  match:NAME=VALUE[,NAME=VALUE]
                      packets with all of these properties; names are version, source, destination, protocol,
                      source-port, destination-port, tos, ttl, octets, tcp-flags, icmp, icmpv6, flow-label, ingress,
                      egress, vlan, inner-vlan, source-mac, destination-mac
  limit:M             at most M packets a second

Several are joined by +, each choosing from what the one before it selected: match:protocol=17+random:1:100.
Versions 5 and 9 can tell collectors of 1:N, random, count, probability and junos; version 5 of rates up to 16383.";

/// A sampling specification: one of those in [`SAMPLING_HELP`], or several joined by `+`.
///
/// ```
/// use netflow_flowcache::sample::Sampling;
/// use netflow_probe_example::meter::SamplingSpec;
///
/// let spec: SamplingSpec = "match:protocol=17+random:1:100".parse()?;
/// let Sampling::Composite(parts) = spec.sampling(42) else { panic!("two of them") };
/// assert_eq!(parts[1], Sampling::RandomOutOf { size: 1, population: 100 });
/// assert!("2:100".parse::<SamplingSpec>().is_err());
/// # Ok::<(), netflow_probe_example::meter::SamplingSpecError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SamplingSpec {
    stages: Vec<Stage>,
    text: String,
}

impl Default for SamplingSpec {
    /// Every packet.
    fn default() -> Self {
        Self { stages: vec![Stage::Fixed(Sampling::Unsampled)], text: "1:1".to_owned() }
    }
}

/// A sampling specification that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{text}` is no sampling: {reason}; accepted are 1:N, random:N:M (random:1:N), count:I/S, time:I/S, probability:P, \
     junos:R[,OPTIONS], hash:1:N[,OPTIONS], match:NAME=VALUE[,...], limit:M, and several of them joined by +"
)]
pub struct SamplingSpecError {
    text: String,
    reason: String,
}

impl FromStr for SamplingSpec {
    type Err = SamplingSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |part: &str, reason: String| SamplingSpecError { text: part.to_owned(), reason };
        let mut stages = Vec::new();
        for part in text.split('+') {
            let stage: Stage = part.parse().map_err(|reason| refuse(part, reason))?;
            // What the sampler refuses is refused here, and not when it is made.
            let made = stage.sampling(SamplerSeed::from_u64(0)).sampler(0);
            made.map_err(|error| refuse(part, error.to_string()))?;
            stages.push(stage);
            if stages.len() > MAX_STAGES {
                return Err(refuse(part, format!("more than {MAX_STAGES} samplers")));
            }
        }
        Ok(Self { stages, text: text.to_owned() })
    }
}

impl fmt::Display for SamplingSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl SamplingSpec {
    /// What it asks for. `seed` decides the secrets that were not given: initialiser and range of a hash.
    #[must_use]
    pub fn sampling(&self, seed: u64) -> Sampling {
        let mut parts: Vec<Sampling> = self.parts(seed).collect();
        if parts.len() > 1 {
            Sampling::Composite(parts.into())
        } else {
            parts.pop().unwrap_or(Sampling::Unsampled)
        }
    }

    fn parts(&self, seed: u64) -> impl Iterator<Item = Sampling> {
        let seed = SamplerSeed::from_u64(seed);
        (0..).zip(&self.stages).map(move |(number, stage)| stage.sampling(seed.child(number)))
    }

    /// The samplers, with identifiers from 1 on; `seed` decides where they begin and what chance brings.
    #[must_use]
    pub fn sequence(&self, seed: u64) -> SelectionSequence {
        self.sequence_of_thread(seed, seed)
    }

    /// As [`Self::sequence`], for one thread out of several: `secrets` decides what hashes select, which is the same in all
    /// of them, and `chance` the rest.
    #[must_use]
    pub fn sequence_of_thread(&self, secrets: u64, chance: u64) -> SelectionSequence {
        // Whatever can be refused was refused when the specification was read.
        let sampler = |(number, part): (u64, Sampling)| {
            let seed = SamplerSeed::from_u64(chance).child(!number);
            part.sampler(seed).unwrap_or(AnySampler::Unsampled(Unsampled::new()))
        };
        let samplers: Vec<AnySampler> = (0..).zip(self.parts(secrets)).map(sampler).collect();
        SelectionSequence::new(1, samplers).unwrap_or_else(|_| unsampled())
    }

    /// Whether flows sampled like that may be exported in a version, and what the user should be warned of.
    ///
    /// # Errors
    ///
    /// Why not: collectors could not be told, and would take the flows for all there is.
    pub fn check(&self, version: ExportVersion) -> Result<Option<String>, String> {
        let sampling = self.sampling(0);
        let (announced, number) = match version {
            ExportVersion::V5 => (sampling.v5(), 5),
            ExportVersion::V9 => (sampling.v9(), 9),
            // IPFIX has elements for all of them.
            _ => return Ok(None),
        };
        match (announced, sampling.v9().rate()) {
            (Announced::Unsampled | Announced::Exactly(_), _) => Ok(None),
            (Announced::Rounded(rate), _) => Ok(Some(format!(
                "--sampling {self}: version {number} can only tell collectors of one packet in {}, as an approximation",
                rate.interval
            ))),
            (Announced::Not, Some(rate)) => Err(format!(
                "--sampling {self}: version {number} can tell of one packet in {} at most, not of one in {}",
                Sampling::V5_MAX_INTERVAL,
                rate.interval
            )),
            (Announced::Not, None) => Err(format!(
                "--sampling {self}: version {number} cannot tell collectors of it; IPFIX, version 10, can"
            )),
        }
    }
}

fn unsampled() -> SelectionSequence {
    #[expect(
        clippy::expect_used,
        reason = "a sequence of one selector is not empty, which is all that is refused"
    )]
    SelectionSequence::new(1, [AnySampler::Unsampled(Unsampled::new())]).expect("one selector")
}

/// Whether v9's terms say all of it, so that they can be taken for IPFIX, too.
fn is_plain(sampling: &Sampling) -> bool {
    matches!(
        sampling,
        Sampling::Unsampled
            | Sampling::SystematicCount { interval: 1, .. }
            | Sampling::RandomOutOf { size: 1, .. }
    )
}

/// What is announced as the rate of all flows of a version; in IPFIX only what is one in N, the rest being announced by
/// [`reports`].
pub(super) fn announce_in(sequence: &SelectionSequence, version: ExportVersion) -> Option<SamplingInfo> {
    if version == ExportVersion::Ipfix && !is_plain(&sequence.describe()) {
        return None;
    }
    announce(sequence)
}

/// Options templates of reports, so far behind the first one of a session.
const STATISTICS_TEMPLATE: u16 = 44;
const SEQUENCE_TEMPLATE: u16 = 45;
const SELECTOR_TEMPLATES: u16 = 46;
/// Samplers that can be joined: there are ids for the templates of so many.
const MAX_STAGES: usize = 64;

/// What is announced in IPFIX besides, once: the selection sequence, and each selector that is not announced as a rate
/// (RFC 5476 sections 6.5.1 and 6.5.2). Nothing when all packets are metered.
pub(super) fn reports(
    sequence: &SelectionSequence,
    first_template: u16,
) -> Result<Vec<OptionsData>, EncodeError> {
    let sampling = sequence.describe();
    if sampling == Sampling::Unsampled {
        return Ok(Vec::new());
    }
    let mut reports = vec![sequence.sequence_report().to_options(first_template + SEQUENCE_TEMPLATE)?];
    if !is_plain(&sampling) {
        for (id, report) in
            (first_template + SELECTOR_TEMPLATES..).zip(sequence.selector_reports(Secrets::Keep))
        {
            reports.push(report.to_options(id)?);
        }
    }
    Ok(reports)
}

/// What is announced in IPFIX again and again: how many packets each selector observed and selected (RFC 5476 section
/// 6.5.3). Nothing when all packets are metered.
pub(super) fn statistics(
    sequence: &SelectionSequence,
    first_template: u16,
) -> Option<Result<OptionsData, EncodeError>> {
    let sampled = sequence.describe() != Sampling::Unsampled;
    sampled.then(|| sequence.statistics_report().to_options(first_template + STATISTICS_TEMPLATE))
}

/// As [`statistics`], of samplers that are the same as these and run elsewhere.
pub(super) fn statistics_of(
    sequence: &SelectionSequence,
    first_template: u16,
    counts: impl Iterator<Item = SelectorStatistics>,
) -> Option<Result<OptionsData, EncodeError>> {
    let mut report = sequence.statistics_report();
    let counts = counts.flat_map(|counts| [counts.observed, counts.selected]);
    for (field, count) in report.fields.iter_mut().zip(counts) {
        field.value = ParameterValue::Unsigned64(count);
    }
    let sampled = sequence.describe() != Sampling::Unsampled;
    sampled.then(|| report.to_options(first_template + STATISTICS_TEMPLATE))
}

/// What the collectors are told in the terms of v5 and v9; that every packet is metered is told as one in one.
pub(super) fn announce(sequence: &SelectionSequence) -> Option<SamplingInfo> {
    sequence.describe().v9().rate()?.to_sampling_info()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_are_read_and_printed_and_others_named() {
        for text in [
            "1:1",
            "1:100",
            "random:1:7",
            "random:3:1000",
            "1:4294967295",
            "count:2/8",
            "time:10ms/90ms",
            "time:100us/1s",
            "probability:0.01",
            "junos:1000,run-length=4,max-packets-per-second=7000",
            "junos:10,systematic",
            "hash:1:100",
            "hash:1:100,crc,offset=4,size=32,initialiser=0x9a3f9a3f",
            "hash:ipsx,range=0-99",
            "match:protocol=17,destination-port=53",
            "match:source=2001:db8::1,source-mac=02:00:00:00:00:01,icmpv6=135/0",
            "limit:1000",
            "match:protocol=6+random:1:10+limit:100",
        ] {
            assert_eq!(text.parse::<SamplingSpec>().unwrap().to_string(), text);
        }
        // S28
        for text in [
            "",
            "100",
            "1:0",
            "0:1",
            "2:10",
            "random:100",
            "random:0:5",
            "random:6:5",
            "1:4294967296",
            "1:-1",
            "random",
            "count:0/5",
            "count:1",
            "time:0ms/5ms",
            "time:2h/1s",
            "probability:2",
            "probability:NaN",
            "junos:0",
            "junos:10,run-length=21",
            "junos:10,speed=1",
            "hash:1:0",
            "hash:1:10,md5",
            "hash:1:10,size=9999",
            "hash:ipsx,range=0-65536",
            "hash:range=5",
            "match:",
            "match:colour=red",
            "match:protocol=256",
            "match:protocol=6,protocol=17",
            "limit:x",
            "1:10+",
            "+1:10",
            &["1:2"; MAX_STAGES + 1].join("+"),
        ] {
            let error = text.parse::<SamplingSpec>().unwrap_err().to_string();
            assert!(error.contains("1:N") && error.contains("random:1:N"), "{error}");
        }
    }

    #[test]
    fn specifications_mean_what_they_say() {
        let meaning = |text: &str| text.parse::<SamplingSpec>().unwrap().sequence(1).describe();
        assert_eq!(meaning("1:1"), Sampling::Unsampled);
        assert_eq!(meaning("1:10"), Sampling::SystematicCount { interval: 1, space: 9 });
        assert_eq!(meaning("count:2/8"), Sampling::SystematicCount { interval: 2, space: 8 });
        assert_eq!(meaning("time:10ms/1s"), Sampling::SystematicTime { interval: 10_000, space: 1_000_000 });
        assert_eq!(meaning("random:3:1000"), Sampling::RandomOutOf { size: 3, population: 1000 });
        assert_eq!(meaning("probability:0.25").fraction(), Some(0.25));
        let Sampling::Junos(junos) = meaning("junos:100,run-length=4,max-packets-per-second=7,systematic")
        else {
            panic!("JunOS")
        };
        assert_eq!(
            (junos.rate, junos.run_length, junos.max_packets_per_second, junos.systematic),
            (100, 4, Some(7), true)
        );
        let Sampling::Hash(hash) = meaning("hash:crc,range=10-19,offset=4,size=32,initialiser=0xff") else {
            panic!("a hash")
        };
        assert_eq!((hash.ranges.as_slice(), hash.offset, hash.size), (&[(10, 19)][..], 4, 32));
        assert_eq!(hash.initialiser, Some(255));
    }

    // S11: secrets that were not given are the seed's, and another run's are others.
    #[test]
    fn hashes_have_secrets_of_their_own() {
        let spec: SamplingSpec = "hash:1:1000".parse().unwrap();
        assert_eq!(spec.sampling(1), spec.sampling(1));
        assert_ne!(spec.sampling(1), spec.sampling(2));
        let Sampling::Hash(hash) = spec.sampling(1) else { panic!("a hash") };
        assert!(hash.initialiser.is_some());
    }

    // S22, S23
    #[test]
    fn what_is_announced_says_algorithm_and_interval() {
        let told = |text: &str| {
            let spec: SamplingSpec = text.parse().unwrap();
            announce(&spec.sequence(1)).map(|info| (info.interval, info.algorithm.number()))
        };
        assert_eq!(told("1:1"), Some((1, 1)));
        assert_eq!(told("1:1000"), Some((1_000, 1)));
        assert_eq!(told("random:1:512"), Some((512, 2)));
        assert_eq!(told("random:2:1000"), Some((500, 2)));
        assert_eq!(told("probability:0.01"), Some((100, 2)));
        assert_eq!(told("junos:100,run-length=4"), Some((21, 2)));
        assert_eq!(told("1:10+random:1:10"), Some((100, 2)));
        assert_eq!(told("hash:1:100"), None);
        assert_eq!(told("match:protocol=17+1:10"), None);
    }

    // S22
    #[test]
    fn what_a_version_cannot_tell_is_refused_or_warned_of() {
        let check = |text: &str, version| text.parse::<SamplingSpec>().unwrap().check(version);
        for text in ["1:1", "1:16383", "random:1:100", "probability:0.01", "random:2:1000", "junos:100"] {
            assert_eq!(check(text, ExportVersion::V5), Ok(None), "{text}");
            assert_eq!(check(text, ExportVersion::V9), Ok(None), "{text}");
        }
        for text in
            ["count:2/8", "random:3:1000", "junos:100,run-length=4", "junos:10,max-packets-per-second=5"]
        {
            let warning = check(text, ExportVersion::V9).unwrap().unwrap();
            assert!(warning.contains(text) && warning.contains("one packet in"), "{warning}");
        }
        assert!(check("1:16384", ExportVersion::V5).unwrap_err().contains("16383"));
        assert_eq!(check("1:16384", ExportVersion::V9), Ok(None));
        for text in ["time:10ms/90ms", "hash:1:100", "match:protocol=6", "limit:10", "match:protocol=6+1:10"]
        {
            for version in [ExportVersion::V5, ExportVersion::V9] {
                assert!(check(text, version).unwrap_err().contains("IPFIX"), "{text}");
            }
        }
    }
}
