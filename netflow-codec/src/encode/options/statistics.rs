//! What the metering and exporting processes count of themselves (RFC 7011 section 4).

use core::net::IpAddr;

use super::{OptionsData, Shape, ipfix_only, unsigned};
use crate::{
    element::ElementId,
    error::EncodeError,
    template::{Protocol, ScopeType},
    time::Timestamp,
    value::FieldValue,
};

const OBSERVATION_DOMAIN_ID: u16 = 149;
/// observationTimeMilliseconds, twice in a record: from and until, in any order.
const OBSERVATION_TIME: u16 = 323;

/// The time that counters are of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: two points in time")]
pub struct Interval {
    /// The first packet that was not treated as it should.
    pub from: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

/// What an exporting process did not send.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: the elements of the options record")]
pub struct NotSent {
    /// notSentFlowTotalCount (166).
    pub flows: u64,
    /// notSentPacketTotalCount (167).
    pub packets: u64,
    /// notSentOctetTotalCount (168).
    pub octets: u64,
}

impl OptionsData {
    /// The template of the metering process statistics, without a record: messages, octets and flow records exported.
    /// [`Self::replace_statistics`] fills it, again and again.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256.
    pub fn statistics(protocol: Protocol, template_id: u16) -> Result<Self, EncodeError> {
        let fields = &[(41, 8), (42, 8), (40, 8)];
        let shape = Shape {
            v9_scope: (ScopeType::SYSTEM, 4),
            ipfix_scopes: &[(OBSERVATION_DOMAIN_ID, 4)],
            v9_fields: fields,
            ipfix_fields: fields,
        };
        Self::new(shape.build(protocol, template_id)?)
    }

    /// Replaces the records of [`Self::statistics`] by one that says these totals: exportedMessageTotalCount,
    /// exportedFlowRecordTotalCount and exportedOctetTotalCount.
    ///
    /// # Errors
    ///
    /// [`EncodeError::FieldMissing`] when the template is another one; there is no record then.
    pub fn replace_statistics(
        &mut self,
        observation_domain: u32,
        messages: u64,
        flow_records: u64,
        octets: u64,
    ) -> Result<(), EncodeError> {
        self.clear();
        self.push(&[
            unsigned(OBSERVATION_DOMAIN_ID, observation_domain.into()),
            unsigned(41, messages),
            unsigned(42, flow_records),
            unsigned(40, octets),
        ])
    }

    /// The metering process reliability: packets and octets ignored, and when (RFC 7011 section 4.2). IPFIX only.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NotInV9`]; [`EncodeError::TemplateId`] below 256.
    pub fn metering_reliability(
        protocol: Protocol,
        template_id: u16,
        observation_domain: u32,
        (packets, octets): (u64, u64),
        interval: Interval,
    ) -> Result<Self, EncodeError> {
        let template = ipfix_only(
            protocol,
            template_id,
            &[(OBSERVATION_DOMAIN_ID, 4)],
            &[(164, 8), (165, 8), (OBSERVATION_TIME, 8), (OBSERVATION_TIME, 8)],
        )?;
        let [from, until] = interval.values();
        let domain = unsigned(OBSERVATION_DOMAIN_ID, observation_domain.into());
        Self::of_records(template, [[domain, unsigned(164, packets), unsigned(165, octets), from, until]])
    }

    /// The exporting process reliability: what `exporter` could not send, and when (RFC 7011 section 4.3). IPFIX only.
    ///
    /// # Errors
    ///
    /// As [`Self::metering_reliability`].
    pub fn exporting_reliability(
        protocol: Protocol,
        template_id: u16,
        exporter: IpAddr,
        not_sent: NotSent,
        interval: Interval,
    ) -> Result<Self, EncodeError> {
        let (scope, value) = match exporter {
            IpAddr::V4(address) => ((130, 4), FieldValue::Ipv4Address(address)),
            IpAddr::V6(address) => ((131, 16), FieldValue::Ipv6Address(address)),
        };
        let template = ipfix_only(
            protocol,
            template_id,
            &[scope],
            &[(166, 8), (167, 8), (168, 8), (OBSERVATION_TIME, 8), (OBSERVATION_TIME, 8)],
        )?;
        let [from, until] = interval.values();
        let record = [
            (ElementId::iana(scope.0), value),
            unsigned(166, not_sent.flows),
            unsigned(167, not_sent.packets),
            unsigned(168, not_sent.octets),
            from,
            until,
        ];
        Self::of_records(template, [record])
    }

    /// When the exporter booted (systemInitTimeMilliseconds, 160), for records whose times are uptimes (RFC 5153 section
    /// 4.7). IPFIX only: v9 headers say it.
    ///
    /// # Errors
    ///
    /// As [`Self::metering_reliability`].
    pub fn system_init_time(
        protocol: Protocol,
        template_id: u16,
        observation_domain: u32,
        boot: Timestamp,
    ) -> Result<Self, EncodeError> {
        let element = ElementId::SYSTEM_INIT_TIME_MILLISECONDS;
        let fields = [(element.number(), 8)];
        let template = ipfix_only(protocol, template_id, &[(OBSERVATION_DOMAIN_ID, 4)], &fields)?;
        let domain = unsigned(OBSERVATION_DOMAIN_ID, observation_domain.into());
        Self::of_records(template, [[domain, (element, FieldValue::DateTime(boot))]])
    }
}

impl Interval {
    const fn values(self) -> [(ElementId, FieldValue<'static>); 2] {
        let element = ElementId::iana(OBSERVATION_TIME);
        [(element, FieldValue::DateTime(self.from)), (element, FieldValue::DateTime(self.until))]
    }
}
