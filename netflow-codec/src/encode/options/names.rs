//! Names of what flow records know by number: interfaces, VRFs, applications.

use super::{OptionsData, Scoped, Shape, text, unsigned};
use crate::{
    element::ElementId,
    error::EncodeError,
    template::{Protocol, ScopeType},
    value::FieldValue,
};

const VARIABLE: u16 = u16::MAX;
/// Octets of names in v9, which has no variable length.
const V9_NAME: u16 = 32;
const V9_DESCRIPTION: u16 = 64;
/// Octets of an applicationId of any engine but those that carry an enterprise number.
const V9_APPLICATION: u16 = 4;
const V9_APPLICATION_NAME: u16 = 24;
const V9_APPLICATION_DESCRIPTION: u16 = 55;

/// An interface's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: the elements of the options record")]
pub struct InterfaceName<'a> {
    /// The SNMP index that flow records carry (elements 10 and 14).
    pub index: u32,
    /// interfaceName (82).
    pub name: &'a str,
    /// interfaceDescription (83).
    pub description: &'a str,
}

/// An application's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: the elements of the options record")]
pub struct ApplicationName<'a> {
    /// applicationId (95): the octet of the classification engine, then the selector (RFC 6759 section 4).
    pub id: &'a [u8],
    /// applicationName (96).
    pub name: &'a str,
    /// applicationDescription (94).
    pub description: &'a str,
}

impl OptionsData {
    /// Interface names and descriptions, one record an interface. In v9 names have at most 32 octets and descriptions 64.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256; [`EncodeError::ValueTooLarge`] for longer texts in v9, and above 65535
    /// octets.
    pub fn interface_names(
        protocol: Protocol,
        template_id: u16,
        names: &[InterfaceName<'_>],
    ) -> Result<Self, EncodeError> {
        let shape = Shape {
            v9_scope: (ScopeType::INTERFACE, 4),
            ipfix_scopes: &[(10, 4)],
            v9_fields: &[(82, V9_NAME), (83, V9_DESCRIPTION)],
            ipfix_fields: &[(82, VARIABLE), (83, VARIABLE)],
        };
        let records = names.iter().map(|interface| Scoped {
            scope: interface.index.into(),
            fields: [
                unsigned(10, interface.index.into()),
                text(82, interface.name),
                text(83, interface.description),
            ],
        });
        Self::of_records(shape.build(protocol, template_id)?, records)
    }

    /// VRF names by the id that ingressVRFID (234) and egressVRFID (235) carry. In v9 names have at most 32 octets.
    ///
    /// # Errors
    ///
    /// As [`Self::interface_names`].
    pub fn vrf_names(
        protocol: Protocol,
        template_id: u16,
        names: &[(u32, &str)],
    ) -> Result<Self, EncodeError> {
        let shape = Shape {
            v9_scope: (ScopeType::SYSTEM, 4),
            ipfix_scopes: &[(234, 4)],
            v9_fields: &[(234, 4), (236, V9_NAME)],
            ipfix_fields: &[(236, VARIABLE)],
        };
        let records = names.iter().map(|(id, name)| [unsigned(234, u64::from(*id)), text(236, name)]);
        Self::of_records(shape.build(protocol, template_id)?, records)
    }

    /// The application table, one record an application. Ids have 4 octets, in which selectors are right-aligned (RFC 6759
    /// section 4.2); in IPFIX they have variable length when one of them is longer. v9: names of 24 octets,
    /// descriptions of 55.
    ///
    /// # Errors
    ///
    /// As [`Self::interface_names`]; [`EncodeError::ValueType`] for an id without octets.
    pub fn applications(
        protocol: Protocol,
        template_id: u16,
        applications: &[ApplicationName<'_>],
    ) -> Result<Self, EncodeError> {
        // Wireshark 4.0 reads no template of which all fields have variable length.
        let is_short = |application: &ApplicationName<'_>| application.id.len() <= V9_APPLICATION.into();
        let length = if applications.iter().all(is_short) { V9_APPLICATION } else { VARIABLE };
        let shape = Shape {
            v9_scope: (ScopeType::SYSTEM, 4),
            ipfix_scopes: &[(95, length)],
            v9_fields: &[(95, V9_APPLICATION), (96, V9_APPLICATION_NAME), (94, V9_APPLICATION_DESCRIPTION)],
            ipfix_fields: &[(96, VARIABLE), (94, VARIABLE)],
        };
        let records = applications.iter().map(|application| {
            [
                (ElementId::iana(95), FieldValue::Octets(application.id)),
                text(96, application.name),
                text(94, application.description),
            ]
        });
        Self::of_records(shape.build(protocol, template_id)?, records)
    }
}
