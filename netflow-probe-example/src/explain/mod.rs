//! Configurations of other exporters, said as one of ours.
//!
//! A parser goes through the lines of a configuration. What stands in a line becomes a setting, needs nothing here, or
//! is left out for a reason. Lines that no rule has an opinion of are left out as well, so that every line is accounted
//! for. Text is never trusted: whatever it is, it is read once or twice and nothing grows beyond it.

#[allow(clippy::match_same_arms, reason = "an arm for each command, in the order of the documentation")]
mod cisco;
#[allow(clippy::match_same_arms, reason = "an arm for each statement, in the order of the documentation")]
mod junos;
#[allow(clippy::match_same_arms, reason = "an arm for each key, in the order of the documentation")]
mod pmacct;
mod statements;
mod translation;

pub use translation::{Key, Translation};

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Dialect {
    /// Cisco IOS, IOS XE, IOS XR and NX-OS: classic commands and Flexible NetFlow
    Cisco,
    /// Juniper JunOS, in braces or as set commands
    Junos,
    /// pmacctd.conf with the plugin nfprobe
    Pmacct,
}

/// Translates a configuration.
///
/// ```
/// use netflow_probe_example::explain::{Dialect, translate};
///
/// let text = "ip flow-export destination 192.0.2.10 9996\nip flow-export version 5\nip flow-cache timeout active 1\n";
/// let toml = translate(Dialect::Cisco, text).to_toml("router.conf");
/// assert!(toml.contains("collector = [\"192.0.2.10:9996\"]"));
/// assert!(toml.contains("active-timeout = \"1m\""));
/// ```
#[must_use]
pub fn translate(dialect: Dialect, text: &str) -> Translation {
    let mut translation = Translation::new(text);
    match dialect {
        Dialect::Cisco => cisco::translate(text, &mut translation),
        Dialect::Junos => junos::translate(text, &mut translation),
        Dialect::Pmacct => pmacct::translate(text, &mut translation),
    }
    translation
}
