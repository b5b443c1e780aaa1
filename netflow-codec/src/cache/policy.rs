//! Where template ids are unique: a policy that the caller chooses.
//!
//! RFC 3954 section 5.1 tells exporters apart by their address, RFC 7011 section 8.4 by address and port, and devices
//! keep to neither: some send from another port after each restart, some send the options from another port or in
//! another domain than the data they are meant for. So there is no right answer, only one per network.

use core::net::SocketAddr;

use crate::template::Protocol;

/// Where template ids are unique: one observation domain of one exporter (RFC 3954 section 5.1).
///
/// What an exporter is decides the caller: an address, or an address and a port. A [`ScopePolicy`] makes the
/// scope from it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct TemplateScope<E> {
    /// The exporter, as far as the policy tells exporters apart.
    pub exporter: E,
    /// The protocol.
    pub protocol: Protocol,
    /// The observation domain; v9 calls it source ID. 0 when the policy does not tell domains apart.
    pub observation_domain: u32,
}

impl<E> TemplateScope<E> {
    /// A scope.
    #[must_use]
    pub const fn new(exporter: E, protocol: Protocol, observation_domain: u32) -> Self {
        Self { exporter, protocol, observation_domain }
    }
}

/// Whose templates are whose: what of the caller's `E`, and of the protocol and the observation domain, makes a
/// [`TemplateScope`].
///
/// Three things follow from a policy:
///
/// - *scopes*: a template is used for data of the same scope;
/// - *exporters*: the quotas of [`CacheLimits`](crate::CacheLimits) are theirs. All scopes of an exporter share them,
///   so that who makes up ports or domains takes room from nobody else;
/// - *the fallback of sampling*: a flow whose own scope knows no rate has the one that another scope of its exporter
///   announced.
///
/// The default takes all of `E` for the exporter, and tells protocols and domains apart. For [`SocketAddr`] there are
/// policies that differ in what they do with the port.
///
/// ```
/// use core::net::SocketAddr;
/// use netflow_codec::{Decoder, Protocol, ScopePolicy};
///
/// let policy = ScopePolicy::by_address_and_port();
/// let [data, options]: [SocketAddr; 2] = ["192.0.2.1:2055".parse()?, "192.0.2.1:2056".parse()?];
/// assert_ne!(policy.scope(&data, Protocol::Ipfix, 1), policy.scope(&options, Protocol::Ipfix, 1));
/// assert_eq!(policy.exporter(&data), policy.exporter(&options));
/// let decoder = Decoder::new().with_scopes(policy);
/// # drop::<Decoder<SocketAddr>>(decoder);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct ScopePolicy<E> {
    /// `None`: all of it, without a call.
    parts: Option<Parts<E>>,
    domains: bool,
    fallback: bool,
}

/// What tells senders apart, and what exporters.
type Parts<E> = (fn(&E, Protocol) -> E, fn(&E) -> E);

impl<E> Clone for ScopePolicy<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for ScopePolicy<E> {}

impl<E> Default for ScopePolicy<E> {
    fn default() -> Self {
        Self { parts: None, domains: true, fallback: true }
    }
}

impl<E> ScopePolicy<E> {
    /// A policy of the caller's own. `sender` gives what of `E` tells senders of templates of a protocol apart,
    /// `exporter` what of that tells exporters apart, which is the same or less.
    ///
    /// The same `E` must always give the same results.
    #[must_use]
    pub const fn new(sender: fn(&E, Protocol) -> E, exporter: fn(&E) -> E) -> Self {
        Self { parts: Some((sender, exporter)), domains: true, fallback: true }
    }

    /// This policy, but one template id means the same in all observation domains of a sender.
    ///
    /// Both RFCs forbid it; it is for devices that announce their templates in one domain only.
    #[must_use]
    pub const fn without_domains(self) -> Self {
        Self { domains: false, ..self }
    }

    /// This policy, but a rate of sampling holds in the scope only in which it was announced.
    #[must_use]
    pub const fn without_fallback(self) -> Self {
        Self { fallback: false, ..self }
    }

    /// Whether domains are told apart.
    #[must_use]
    pub const fn tells_domains_apart(&self) -> bool {
        self.domains
    }

    /// Whether a rate of sampling may come from another scope of the exporter.
    #[must_use]
    pub const fn has_fallback(&self) -> bool {
        self.fallback
    }
}

impl<E: Clone> ScopePolicy<E> {
    /// The scope of a sender's templates.
    #[must_use]
    pub fn scope(&self, sender: &E, protocol: Protocol, observation_domain: u32) -> TemplateScope<E> {
        let observation_domain = if self.domains { observation_domain } else { 0 };
        let exporter =
            self.parts.map_or_else(|| sender.clone(), |(of_sender, _)| of_sender(sender, protocol));
        TemplateScope::new(exporter, protocol, observation_domain)
    }

    /// The exporter that a sender belongs to.
    #[must_use]
    pub fn exporter(&self, sender: &E) -> E {
        self.parts.map_or_else(|| sender.clone(), |(_, of_exporter)| of_exporter(sender))
    }
}

impl ScopePolicy<SocketAddr> {
    /// The address tells exporters apart; ports do not matter (RFC 3954 section 5.1). What nearly all collectors do.
    #[must_use]
    pub const fn by_address() -> Self {
        Self::new(|sender, _| without_port(sender), without_port)
    }

    /// Address and port tell senders apart, and the address exporters: quotas are per address, and so is the fallback
    /// of sampling (RFC 7011 section 8.4).
    #[must_use]
    pub const fn by_address_and_port() -> Self {
        Self::new(|sender, _| *sender, without_port)
    }

    /// To the letter of both RFCs: [`Self::by_address`] for v9, [`Self::by_address_and_port`] for IPFIX.
    #[must_use]
    pub const fn by_protocol() -> Self {
        let sender = |sender: &SocketAddr, protocol| match protocol {
            Protocol::NetFlow9 => without_port(sender),
            Protocol::Ipfix => *sender,
        };
        Self::new(sender, without_port)
    }
}

fn without_port(sender: &SocketAddr) -> SocketAddr {
    SocketAddr::new(sender.ip(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_socket_addresses_differ_in_the_port() {
        let [first, second] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let same = |policy: &ScopePolicy<SocketAddr>, protocol| {
            policy.scope(&first, protocol, 0) == policy.scope(&second, protocol, 0)
        };
        let [v9, ipfix] = [Protocol::NetFlow9, Protocol::Ipfix];
        for (policy, expected) in [
            (ScopePolicy::by_address(), (true, true)),
            (ScopePolicy::by_address_and_port(), (false, false)),
            (ScopePolicy::by_protocol(), (true, false)),
            (ScopePolicy::default(), (false, false)),
        ] {
            assert_eq!((same(&policy, v9), same(&policy, ipfix)), expected);
        }
        assert_eq!(ScopePolicy::by_protocol().exporter(&first), ScopePolicy::by_address().exporter(&second));
        assert_ne!(ScopePolicy::default().exporter(&first), ScopePolicy::default().exporter(&second));
    }

    #[test]
    fn domains_are_one_scope_when_the_policy_says_so() {
        let policy = ScopePolicy::<u8>::default();
        let scope = |policy: &ScopePolicy<u8>, domain| policy.scope(&1, Protocol::Ipfix, domain);
        assert_ne!(scope(&policy, 1), scope(&policy, 2));
        assert_eq!(scope(&policy.without_domains(), 1), scope(&policy.without_domains(), 2));
    }
}
