//! `--quirk`: what is tolerated of exporters.

use core::{fmt::Write as _, net::IpAddr, str::FromStr};

use netflow_codec::{Quirk, QuirkSetting};

/// The help of `--quirk`; the names are told when one is wrong.
pub(super) const HELP: &str = "Switch what is done about a habit of devices that no document describes, as in \
                               long-uptimes=off, or for one exporter only, as in \
                               v5-sampling-of-16-bits=on@192.0.2.1. May be given several times. An unknown name, such as \
                               help=on, lists the known ones";

/// A quirk, whether it is on, and for whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuirkSwitch {
    /// The quirk.
    pub quirk: Quirk,
    /// Whether it is on.
    pub is_on: bool,
    /// The exporter that it is for, or all of them.
    pub exporter: Option<IpAddr>,
}

impl FromStr for QuirkSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (switch, exporter) = match text.split_once('@') {
            None => (text, None),
            Some((switch, exporter)) => {
                let parsed = exporter.parse::<IpAddr>();
                (switch, Some(parsed.map_err(|error| format!("{exporter} is no address: {error}"))?))
            }
        };
        let (name, value) =
            switch.split_once('=').ok_or_else(|| "a quirk is switched by NAME=on or NAME=off".to_owned())?;
        let quirk: Quirk = name.parse().map_err(|error| format!("{error}; known are:\n{}", list()))?;
        let is_on = match value {
            "on" => true,
            "off" if quirk.setting() == QuirkSetting::Always => {
                return Err(format!("{quirk} is always on: {}", quirk.reason()));
            }
            "off" => false,
            other => return Err(format!("`{other}` is neither on nor off")),
        };
        Ok(Self { quirk, is_on, exporter: exporter.map(|address: IpAddr| address.to_canonical()) })
    }
}

/// All quirks, one a line: name, default, devices, symptom.
fn list() -> String {
    let mut text = String::new();
    for quirk in Quirk::ALL {
        let setting = match quirk.setting() {
            QuirkSetting::On => "on",
            QuirkSetting::Off => "off",
            _ => "always",
        };
        let _ = writeln!(text, "  {quirk:<30} {setting:<6} {}: {}", quirk.devices(), quirk.symptom());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_and_wrong_ones_say_what_is_known() {
        let parsed: QuirkSwitch = "long-uptimes=off".parse().unwrap();
        assert_eq!((parsed.quirk, parsed.is_on, parsed.exporter), (Quirk::LongUptimes, false, None));
        let parsed: QuirkSwitch = "lone-sampler=on@::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(parsed.exporter, Some([192, 0, 2, 1].into()));
        let error = "help=on".parse::<QuirkSwitch>().unwrap_err();
        assert!(Quirk::ALL.iter().all(|quirk| error.contains(quirk.name())), "{error}");
        for wrong in ["long-uptimes", "long-uptimes=yes", "long-uptimes=on@here", "odd-widths=off"] {
            assert!(wrong.parse::<QuirkSwitch>().is_err(), "{wrong}");
        }
    }
}
