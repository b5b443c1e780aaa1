//! One sampler of a specification.

use core::str::FromStr;

use netflow_flowcache::sample::{
    HashFunction, HashParameters, JunosParameters, Probability, RandomSource, SamplerSeed, Sampling,
    SelectedRanges, StrongGenerator,
};

use super::property::parse_property;

/// A sampler, with secrets given or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Fixed(Sampling),
    Hash(HashSpec),
}

/// A hash whose secrets come from the seed unless they are given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HashSpec {
    function: HashFunction,
    one_in: u32,
    range: Option<(u32, u32)>,
    initialiser: Option<u32>,
    offset: u16,
    size: u16,
}

impl Stage {
    pub(super) fn sampling(&self, seed: SamplerSeed) -> Sampling {
        match self {
            Self::Fixed(sampling) => sampling.clone(),
            Self::Hash(hash) => hash.sampling(&mut StrongGenerator::new(seed)),
        }
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (method, rest) = text.split_once(':').ok_or("a method and `:` expected")?;
        Ok(Self::Fixed(match method {
            "1" => {
                let n: u32 = number(rest)?;
                match n.checked_sub(1).ok_or("one in 0 packets selects nothing")? {
                    0 => Sampling::Unsampled,
                    space => Sampling::SystematicCount { interval: 1, space },
                }
            }
            "random" => {
                let (size, population) = pair(rest, ':')?;
                Sampling::RandomOutOf { size: number(size)?, population: number(population)? }
            }
            "count" => {
                let (interval, space) = pair(rest, '/')?;
                Sampling::SystematicCount { interval: number(interval)?, space: number(space)? }
            }
            "time" => {
                let (interval, space) = pair(rest, '/')?;
                Sampling::SystematicTime { interval: micros(interval)?, space: micros(space)? }
            }
            "probability" => {
                let value: f64 = rest.parse().map_err(|_| format!("`{rest}` is no number"))?;
                Sampling::Probabilistic(Probability::new(value).map_err(|error| error.to_string())?)
            }
            "junos" => Sampling::Junos(junos(rest)?),
            "limit" => Sampling::PacketsPerSecond { limit: number(rest)? },
            "match" => {
                let properties: Result<Vec<_>, String> = rest.split(',').map(parse_property).collect();
                Sampling::PropertyMatch(properties?.into())
            }
            "hash" => return HashSpec::parse(rest).map(Self::Hash),
            _ => return Err(format!("`{method}` is no method")),
        }))
    }
}

/// A number, decimal or hexadecimal behind `0x`.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let refused = || format!("`{text}` is no number in the range");
    T::try_from(parsed.map_err(|_| refused())?).map_err(|_| refused())
}

fn pair(text: &str, separator: char) -> Result<(&str, &str), String> {
    text.split_once(separator).ok_or_else(|| format!("two numbers with `{separator}` between them expected"))
}

/// A time in microseconds, at most 2^32 of them.
fn micros(text: &str) -> Result<u32, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return Err("a whole number and a unit expected, one of us, ms, s, m".to_owned()),
    };
    let micros = number::<u64>(digits)?.checked_mul(factor).and_then(|micros| u32::try_from(micros).ok());
    micros.ok_or_else(|| "a time of at most 4294s expected".to_owned())
}

fn junos(text: &str) -> Result<JunosParameters, String> {
    let mut options = text.split(',');
    let mut parameters = JunosParameters::new(number(options.next().unwrap_or(""))?);
    for option in options {
        match option.split_once('=') {
            Some(("run-length", value)) => parameters.run_length = number(value)?,
            Some(("max-packets-per-second", value)) => {
                parameters.max_packets_per_second = Some(number(value)?);
            }
            None if option == "systematic" => parameters.systematic = true,
            _ => return Err(format!("`{option}` is no option of junos")),
        }
    }
    Ok(parameters)
}

impl HashSpec {
    fn parse(text: &str) -> Result<Self, String> {
        let mut spec = Self {
            function: HashFunction::Bob,
            one_in: 0,
            range: None,
            initialiser: None,
            offset: 0,
            size: 8,
        };
        for option in text.split(',') {
            match option.split_once('=') {
                Some(("offset", value)) => spec.offset = number(value)?,
                Some(("size", value)) => spec.size = number(value)?,
                Some(("initialiser", value)) => spec.initialiser = Some(number(value)?),
                Some(("range", value)) => {
                    let (from, to) = pair(value, '-')?;
                    spec.range = Some((number(from)?, number(to)?));
                }
                None if option == "bob" => spec.function = HashFunction::Bob,
                None if option == "ipsx" => spec.function = HashFunction::Ipsx,
                None if option == "crc" => spec.function = HashFunction::Crc,
                None if option.starts_with("1:") => spec.one_in = number(&option[2..])?,
                _ => return Err(format!("`{option}` is no option of hash")),
            }
        }
        // Whether there is a range at all depends on the function, which may come behind the rate.
        match spec.range {
            Some(_) => Ok(spec),
            None => match SelectedRanges::one_in(spec.one_in, spec.function, 0) {
                Ok(_) => Ok(spec),
                Err(error) => Err(format!("1:N or range=A-B expected ({error})")),
            },
        }
    }

    fn sampling(&self, secrets: &mut StrongGenerator) -> Sampling {
        let initialiser = secrets.next_u32();
        let ranges = match self.range {
            Some(range) => SelectedRanges::new(&[range]),
            None => SelectedRanges::one_in(self.one_in, self.function, secrets.next_u64()),
        };
        // Neither is refused: one range does not overlap, and the rate was tried when it was read.
        let Ok(ranges) = ranges else { return Sampling::Unsampled };
        let mut parameters = HashParameters::new(self.function, ranges);
        parameters.initialiser = Some(self.initialiser.unwrap_or(initialiser));
        parameters.offset = self.offset;
        parameters.size = self.size;
        Sampling::Hash(parameters)
    }
}
