//! Elements by number and by name: built-in tables, reverse elements, names of NetFlow v9.

use core::fmt;

use super::{DataType, ElementId, ElementInfo, enterprise, iana, names, netflow_v9, reverse, values};

/// The enterprise number of reverse elements (RFC 5103 section 6.1).
pub(super) const REVERSE: u32 = 29_305;
/// The enterprise number of CERT, whose elements have their reverse ones at the number plus [`CERT_REVERSE`].
const CERT: u32 = 6_871;
const CERT_REVERSE: u16 = 0x4000;
/// Cisco's enterprise number, whose elements v9 carries as types from [`NETFLOW_V9_CISCO`] on.
const CISCO: u32 = 9;
const NETFLOW_V9_CISCO: u16 = 0x8000;

impl ElementId {
    /// What the registries say: IANA's, those of enterprises, RFC 5103's of reverse elements; `None` for elements that
    /// none of them knows.
    ///
    /// IPFIX has no IANA elements from 32768 on: these numbers are field types that vendors use in v9.
    #[must_use]
    pub fn info(self) -> Option<&'static ElementInfo> {
        match self.enterprise {
            0 if self.number >= NETFLOW_V9_CISCO => netflow_v9::vendor(self.number).or_else(|| {
                // Cisco numbers its v9 types like its own elements, with the enterprise bit left in.
                enterprise::info(CISCO, self.number - NETFLOW_V9_CISCO)
            }),
            0 => iana::ELEMENTS.get(usize::from(self.number))?.as_ref(),
            REVERSE => reverse::ELEMENTS.get(usize::from(self.number))?.as_ref(),
            enterprise => enterprise::info(enterprise, self.number),
        }
    }

    /// The abstract data type; [`DataType::OctetArray`] for unknown elements.
    #[must_use]
    pub fn data_type(self) -> DataType {
        self.info().map_or(DataType::OctetArray, |info| info.data_type)
    }

    /// The name of the enterprise in the built-in tables, such as `Cisco`; `None` for IANA's elements and for unknown
    /// enterprises.
    #[must_use]
    pub fn enterprise_name(self) -> Option<&'static str> {
        enterprise::table(self.enterprise).map(|(_, name, _)| *name)
    }

    /// The element of a name: a registered one (`sourceIPv4Address`), a reverse one (`reverseOctetDeltaCount`) or one of
    /// an enterprise; also what [`Display`](fmt::Display) writes for elements without a name, `12` or `9/12`.
    ///
    /// IANA's names go first. `None` for a name that several enterprises use, see [`Self::from_enterprise_name`].
    ///
    /// ```
    /// use netflow_codec::ElementId;
    ///
    /// assert_eq!(ElementId::from_name("sourceIPv4Address"), Some(ElementId::SOURCE_IPV4_ADDRESS));
    /// assert_eq!(ElementId::from_name("reverseOctetDeltaCount"), ElementId::OCTET_DELTA_COUNT.reverse());
    /// assert_eq!(ElementId::from_name("32473/12"), Some(ElementId::new(32_473, 12)));
    /// assert_eq!(ElementId::from_name("noSuchElement"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut named = named(name);
        match (named.next(), named.next()) {
            (None, _) => from_digits(name),
            // Of equal names IANA's comes first.
            (Some(first), second) => (first.enterprise == 0 || second.is_none()).then_some(first),
        }
    }

    /// The element of a name among those of one enterprise, the one with the lowest number if there are several.
    #[must_use]
    pub fn from_enterprise_name(enterprise: u32, name: &str) -> Option<Self> {
        named(name).find(|element| element.enterprise == enterprise)
    }

    /// The name of a field type in NetFlow v9, such as `IN_BYTES` for octetDeltaCount.
    ///
    /// RFC 3954 section 8 names the types up to 64 and 70 to 79, Cisco's documents others.
    #[must_use]
    pub fn netflow_v9_name(self) -> Option<&'static str> {
        netflow_v9::type_of(self).map(|(_, name, _)| *name)
    }

    /// The octets that a field type has in NetFlow v9 unless a template says otherwise (RFC 3954 section 8).
    ///
    /// `None` for types that v9 does not name and for those whose length only templates say.
    #[must_use]
    pub fn netflow_v9_length(self) -> Option<u16> {
        netflow_v9::type_of(self).map(|(.., length)| *length).filter(|length| *length > 0)
    }

    /// The field type of a name in NetFlow v9; of several with the same name the one with the lowest number.
    ///
    /// ```
    /// use netflow_codec::ElementId;
    ///
    /// let octets = ElementId::from_netflow_v9_name("IN_BYTES").unwrap();
    /// assert_eq!((octets, octets.netflow_v9_length()), (ElementId::OCTET_DELTA_COUNT, Some(4)));
    /// ```
    #[must_use]
    pub fn from_netflow_v9_name(name: &str) -> Option<Self> {
        netflow_v9::TYPES.iter().find(|(_, known, _)| *known == name).map(|(number, ..)| Self::iana(*number))
    }

    /// Whether the element has a reverse one: RFC 5103 section 6.1 excludes those of configuration, of statistics,
    /// identifiers of flows and templates, padding and biflowDirection. Unknown elements are not reversible.
    #[must_use]
    pub fn is_reversible(self) -> bool {
        self.reverse().is_some()
    }

    /// The element for the other direction of a biflow, `None` for those that are not reversible or reverse already.
    ///
    /// IANA's elements have it under enterprise number 29305 (RFC 5103), some of CERT's at their number plus 16384.
    ///
    /// ```
    /// use netflow_codec::ElementId;
    ///
    /// let reverse = ElementId::OCTET_DELTA_COUNT.reverse().unwrap();
    /// assert_eq!((reverse.enterprise(), reverse.number()), (29_305, 1));
    /// assert_eq!(reverse.info().unwrap().name, "reverseOctetDeltaCount");
    /// assert_eq!(reverse.forward(), Some(ElementId::OCTET_DELTA_COUNT));
    /// // flowId
    /// assert!(!ElementId::iana(148).is_reversible());
    /// ```
    #[must_use]
    pub fn reverse(self) -> Option<Self> {
        match self.enterprise {
            0 => self.info()?.is_reversible.then_some(Self::new(REVERSE, self.number)),
            CERT if self.number < CERT_REVERSE => {
                let reverse = Self::new(CERT, self.number + CERT_REVERSE);
                reverse.info().map(|_| reverse)
            }
            _ => None,
        }
    }

    /// Whether this is an element for the reverse direction of a biflow, whatever the direction of its forward one.
    #[must_use]
    pub const fn is_reverse(self) -> bool {
        matches!((self.enterprise, self.number), (REVERSE, _) | (CERT, CERT_REVERSE..0x8000))
    }

    /// The element that this is the reverse one of; `None` when this is none, or the reverse of an element that has no
    /// reverse (RFC 5103 section 6.1).
    #[must_use]
    pub fn forward(self) -> Option<Self> {
        let forward = match self.enterprise {
            REVERSE => Self::iana(self.number),
            CERT => Self::new(CERT, self.number.checked_sub(CERT_REVERSE)?),
            _ => return None,
        };
        (forward.reverse() == Some(self)).then_some(forward)
    }

    /// Whether this is one of IANA's elements, defined or not, or the reverse one of such an element.
    pub(super) const fn is_standard(self) -> bool {
        matches!((self.enterprise, self.number), (0, ..NETFLOW_V9_CISCO) | (REVERSE, _))
    }

    /// Whether the element tells one end of a flow from the other, so that it makes a direction as a flow key (RFC 5103
    /// section 2): addresses, prefixes, ports, AS numbers and interfaces of source or destination.
    #[must_use]
    pub const fn is_directional_key(self) -> bool {
        self.enterprise == 0
            && matches!(
                self.number,
                7..=14 | 16 | 17 | 27..=30 | 44 | 45 | 56 | 57 | 80 | 81 | 169 | 170 | 180..=183 | 225..=228 | 281 | 282
            )
    }

    /// Stands for a time of microseconds (154, 155) or nanoseconds (156, 157) whose fraction is a count of these. No
    /// exporter has it: the enterprise number is reserved.
    pub(crate) const fn decimal_time(number: u16) -> Self {
        Self { enterprise: u32::MAX, number }
    }

    /// Which time it stands for, when it is one of [`Self::decimal_time`].
    pub(crate) const fn as_decimal_time(self) -> Option<u16> {
        if self.enterprise == u32::MAX { Some(self.number) } else { None }
    }

    /// Whether fields of the element say something of sampling: of a rate, of an algorithm, or which selectors a chain
    /// has.
    pub(crate) const fn announces_sampling(self) -> bool {
        self.enterprise == 0 && matches!(self.number, 34 | 35 | 49 | 50 | 301 | 304..=311 | 390 | 396..=399)
    }

    /// What a value of the element means, where IANA has a registry of them: `idle timeout` for flowEndReason 1.
    ///
    /// ```
    /// use netflow_codec::ElementId;
    ///
    /// assert_eq!(ElementId::iana(239).value_name(2), Some("reverseInitiator"));
    /// assert_eq!(ElementId::iana(239).value_name(200), None);
    /// ```
    #[must_use]
    pub fn value_name(self, value: u64) -> Option<&'static str> {
        let element = if self.enterprise == REVERSE { self.forward()? } else { self };
        if element.enterprise != 0 {
            return None;
        }
        let value = u32::try_from(value).ok()?;
        let found =
            values::NAMES.binary_search_by_key(&(element.number, value), |(e, v, _)| (*e, *v)).ok()?;
        values::NAMES.get(found).map(|(.., name)| *name)
    }
}

/// All elements of a name.
fn named(name: &str) -> impl Iterator<Item = ElementId> {
    let name_of = |element: &ElementId| element.info().map_or("", |info| info.name);
    let first = names::BY_NAME.partition_point(|element| name_of(element) < name);
    let rest = names::BY_NAME.get(first..).unwrap_or(&[]);
    rest.iter().copied().take_while(move |element| name_of(element) == name)
}

/// `12` or `9/12`.
fn from_digits(text: &str) -> Option<ElementId> {
    let (enterprise, number) = text.split_once('/').unwrap_or(("0", text));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(enterprise) || !is_number(number) {
        return None;
    }
    Some(ElementId::new(enterprise.parse().ok()?, number.parse().ok()?))
}

/// The registered name, else the number, with the enterprise's before it when there is one: `9/12`.
impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info() {
            Some(info) => f.write_str(info.name),
            None if self.enterprise == 0 => write!(f, "{}", self.number),
            None => write!(f, "{}/{}", self.enterprise, self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn every_element_is_found_by_its_name() {
        for element in &names::BY_NAME {
            let name = element.info().unwrap().name;
            let of_enterprise = ElementId::from_enterprise_name(element.enterprise, name).unwrap();
            assert_eq!(of_enterprise.info().unwrap().name, name);
            assert!(of_enterprise <= *element, "{name}");
            let first = ElementId::from_name(name);
            let others = named(name).count();
            if element.enterprise == 0 || others == 1 {
                assert_eq!(first, Some(*element), "{name}");
            } else {
                assert!(first.is_none_or(|first| first.enterprise == 0), "{name}");
            }
        }
        assert_eq!(ElementId::from_name(""), None);
        for text in ["1/", "/1", "1/2/3", "+1", "65536", "4294967296/1", "-1", "zzz", "!"] {
            assert_eq!(ElementId::from_name(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_displayed_is_read_again() {
        for element in
            [ElementId::iana(1), ElementId::iana(533), ElementId::iana(9_999), ElementId::new(7, 8)]
        {
            assert_eq!(ElementId::from_name(&element.to_string()), Some(element));
        }
    }

    #[test]
    fn reverse_and_forward_undo_each_other() {
        let mut reversible = 0;
        for number in 0..=u16::MAX {
            let element = ElementId::iana(number);
            let reverse = ElementId::new(REVERSE, number);
            assert!(!element.is_reverse() && reverse.is_reverse());
            assert_eq!(element.forward(), None);
            match element.reverse() {
                Some(found) => {
                    assert_eq!((found, found.forward()), (reverse, Some(element)));
                    assert_eq!(reverse.data_type(), element.data_type());
                    reversible += 1;
                }
                // C30: what is not reversible has no reverse element either.
                None => assert_eq!((reverse.info(), reverse.forward()), (None, None), "{number}"),
            }
        }
        assert_eq!(reversible, 477);
        let entropy = ElementId::from_name("reversePayloadEntropy").unwrap();
        assert_eq!(entropy.forward(), ElementId::from_name("payloadEntropy"));
        assert!(entropy.is_reverse() && !entropy.is_reversible());
        let mut of_cert = 0;
        for (reverse, forward) in (0..=u16::MAX)
            .map(|number| ElementId::new(CERT, number))
            .filter_map(|id| Some((id, id.forward()?)))
        {
            assert_eq!(reverse.data_type(), forward.data_type(), "{reverse}");
            of_cert += 1;
        }
        assert_eq!(of_cert, 20);
    }

    #[test]
    fn types_of_v9_from_32768_on_are_those_of_vendors() {
        // D29
        let acl = ElementId::iana(33_000).info().unwrap();
        assert_eq!((acl.name, acl.data_type), ("NF_F_INGRESS_ACL_ID", DataType::OctetArray));
        // Cisco's 4315, with the enterprise bit left in.
        assert_eq!(ElementId::iana(0x8000 + 4_315).info().unwrap().name, "tcpWindowSizeMin");
        assert_eq!(ElementId::iana(65_535).info(), None);
        assert_eq!(ElementId::from_netflow_v9_name("NF_F_USERNAME"), Some(ElementId::iana(40_000)));
    }

    #[test]
    fn values_have_names_where_iana_has_a_registry() {
        assert_eq!(ElementId::iana(136).value_name(1), Some("idle timeout"));
        assert_eq!(ElementId::new(REVERSE, 136).value_name(1), Some("idle timeout"));
        assert_eq!(ElementId::iana(89).value_name(0x89), Some("bad TTL"));
        assert_eq!(ElementId::iana(1).value_name(1), None);
        assert_eq!(ElementId::iana(136).value_name(u64::MAX), None);
    }
}
