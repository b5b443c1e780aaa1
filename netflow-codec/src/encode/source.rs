//! Where the values of a record come from: any type that answers by element.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    element::ElementId,
    flow::{FlowRecord, MplsLabel},
    member::{Member, Target},
    record::DataRecord,
    template::ScopeType,
    value::FieldValue,
};

/// A record that can be encoded: says the value of each element that a template asks for.
///
/// [`FlowRecord`], decoded [`DataRecord`]s and lists of pairs are sources; users' own types become one like this:
///
/// ```
/// use netflow_codec::{ElementId, FieldSource, FieldValue};
///
/// struct DnsLookup {
///     name: String,
///     answers: u32,
/// }
///
/// /// Element 7 of an enterprise.
/// const ANSWERS: ElementId = ElementId::new(32_473, 7);
///
/// impl FieldSource for DnsLookup {
///     fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
///         match element {
///             // dnsName would be 179; here the application's name.
///             element if element == ElementId::iana(96) => Some(FieldValue::String(&self.name)),
///             ANSWERS => Some(FieldValue::Unsigned(self.answers.into())),
///             _ => None,
///         }
///     }
/// }
///
/// let lookup = DnsLookup { name: "example.net".to_owned(), answers: 3 };
/// assert_eq!(lookup.field(ANSWERS), Some(FieldValue::Unsigned(3)));
/// ```
pub trait FieldSource {
    /// The value of an element; `None` when the record has none.
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>>;

    /// The value of the field number `occurrence`, from 0, of an element that a template has several times.
    ///
    /// Unless it is overridden, only the first one has a value.
    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        if occurrence == 0 { self.field(element) } else { None }
    }

    /// The value of a scope of a v9 options record (RFC 3954 section 6.1). Unless it is overridden: 0 for
    /// [`ScopeType::SYSTEM`], which needs none, and nothing for the others.
    fn scope(&self, scope: ScopeType) -> Option<FieldValue<'_>> {
        (scope == ScopeType::SYSTEM).then_some(FieldValue::Unsigned(0))
    }
}

impl<S: FieldSource + ?Sized> FieldSource for &S {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        (**self).field(element)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        (**self).repeated_field(element, occurrence)
    }

    fn scope(&self, scope: ScopeType) -> Option<FieldValue<'_>> {
        (**self).scope(scope)
    }
}

/// Pairs of element and value; elements may repeat.
impl FieldSource for [(ElementId, FieldValue<'_>)] {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        self.repeated_field(element, 0)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        self.iter().filter(|(known, _)| *known == element).nth(occurrence).map(|(_, value)| *value)
    }
}

/// Pairs of element and value; elements may repeat.
impl<const N: usize> FieldSource for [(ElementId, FieldValue<'_>); N] {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        self.as_slice().field(element)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        self.as_slice().repeated_field(element, occurrence)
    }
}

/// A record that was decoded is encoded again, by the same template or another one.
impl FieldSource for DataRecord<'_, '_> {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        self.repeated_field(element, 0)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        let mut fields =
            self.fields().filter(|field| field.scope_type().is_none() && field.element() == element);
        fields.nth(occurrence).map(|field| field.value())
    }

    fn scope(&self, scope: ScopeType) -> Option<FieldValue<'_>> {
        self.fields().find(|field| field.scope_type() == Some(scope)).map(|field| field.value())
    }
}

/// All elements that a member stands for, whether the record carried it or not: absent members are zero.
///
/// Addresses of the other family have no value, next hops of the other family are unspecified. Times come as
/// [`FieldValue::DateTime`], also for elements 21 and 22, which count from the exporter's boot.
impl FieldSource for FlowRecord {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        if element == ElementId::IP_VERSION {
            return Some(FieldValue::Unsigned(if self.is_ipv6() { 6 } else { 4 }));
        }
        let number = |value: u32| FieldValue::Unsigned(value.into());
        Some(match Target::of(element)?.member {
            Member::Octets => FieldValue::Unsigned(self.octets),
            Member::Packets => FieldValue::Unsigned(self.packets),
            Member::Start => FieldValue::DateTime(self.start),
            Member::End => FieldValue::DateTime(self.end),
            Member::IngressInterface => number(self.ingress_interface),
            Member::EgressInterface => number(self.egress_interface),
            Member::SourceAs => number(self.source_as),
            Member::DestinationAs => number(self.destination_as),
            Member::SourcePort => number(self.source_port.into()),
            Member::DestinationPort => number(self.destination_port.into()),
            Member::TcpFlags => number(self.tcp_flags.into()),
            Member::Protocol => number(self.protocol.into()),
            Member::Tos => number(self.tos.into()),
            Member::SourcePrefixLength | Member::SourcePrefixLength6 => {
                number(self.source_prefix_length.into())
            }
            Member::DestinationPrefixLength | Member::DestinationPrefixLength6 => {
                number(self.destination_prefix_length.into())
            }
            Member::Direction => number(self.direction.into()),
            Member::Ipv6FlowLabel => number(self.ipv6_flow_label),
            Member::SamplerId => number(self.sampler_id),
            Member::SamplingInterval => number(self.sampling_interval),
            Member::FragmentIdentification => number(self.fragment_identification),
            Member::Vlan => number(self.vlan.into()),
            Member::PostVlan => number(self.post_vlan.into()),
            Member::IcmpTypeCode => number(self.icmp_type_code.into()),
            Member::FlowEndReason => number(self.flow_end_reason.into()),
            Member::MinimumTtl => number(self.minimum_ttl.into()),
            Member::MaximumTtl => number(self.maximum_ttl.into()),
            Member::ForwardingStatus => number(self.forwarding_status.into()),
            Member::SourceMac => FieldValue::MacAddress(self.source_mac),
            Member::DestinationMac => FieldValue::MacAddress(self.destination_mac),
            Member::Source4 => ipv4(self.source)?,
            Member::Destination4 => ipv4(self.destination)?,
            Member::Source6 => ipv6(self.source)?,
            Member::Destination6 => ipv6(self.destination)?,
            Member::NextHop4 => ipv4(self.next_hop).unwrap_or(NO_IPV4),
            Member::NextHop6 => ipv6(self.next_hop).unwrap_or(NO_IPV6),
            Member::BgpNextHop4 => ipv4(self.bgp_next_hop).unwrap_or(NO_IPV4),
            Member::BgpNextHop6 => ipv6(self.bgp_next_hop).unwrap_or(NO_IPV6),
            Member::MplsLabel(position) => {
                let [a, b, c] = self.mpls_labels.get(position.into()).map_or([0; 3], MplsLabel::octets);
                number(u32::from_be_bytes([0, a, b, c]))
            }
        })
    }
}

const NO_IPV4: FieldValue<'static> = FieldValue::Ipv4Address(Ipv4Addr::UNSPECIFIED);
const NO_IPV6: FieldValue<'static> = FieldValue::Ipv6Address(Ipv6Addr::UNSPECIFIED);

const fn ipv4(address: IpAddr) -> Option<FieldValue<'static>> {
    match address {
        IpAddr::V4(address) => Some(FieldValue::Ipv4Address(address)),
        IpAddr::V6(_) => None,
    }
}

const fn ipv6(address: IpAddr) -> Option<FieldValue<'static>> {
    match address {
        IpAddr::V6(address) => Some(FieldValue::Ipv6Address(address)),
        IpAddr::V4(_) => None,
    }
}
