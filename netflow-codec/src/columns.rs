//! Flows as columns: one vector a member, reused from set to set.
//!
//! A set whose template has its members at fixed places is read column by column, without making a [`FlowRecord`] of
//! any of its records; other sets are decoded row by row and then spread.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    flow::{FlowFields, FlowRecord, MplsLabels},
    member::{Member, TimeCoding},
    record::DataRecords,
    template::{LEAD, RecordPlan, Slot, Straight},
    time::{ExportClock, SysUptime, Timestamp},
};

/// Declares the columns: member, type, name of the presence bit.
macro_rules! columns {
    ($($member:ident: $type:ty = $field:ident,)*) => {
        /// Columns of flows: one vector for each member that is wanted, all of the same length.
        ///
        /// Members that are not wanted have empty columns. [`Self::clear`] keeps the memory, so that filling the
        /// columns again does not allocate.
        ///
        /// ```
        /// # use netflow_codec::{Batch, Decoder, FlowColumns, FlowFields, Timestamp};
        /// # let datagram: &[u8] = &[
        /// #     0, 9, 0, 2, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1,
        /// #     0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2,
        /// #     1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0,
        /// # ];
        /// let mut columns = FlowColumns::new(FlowFields::PROTOCOL | FlowFields::SOURCE_PORT);
        /// let mut decoder = Decoder::new();
        /// for batch in decoder.decode(&"192.0.2.1", datagram, Timestamp::ZERO).unwrap() {
        ///     if let Batch::Data(records) = batch {
        ///         columns.extend(&records);
        ///     }
        /// }
        /// assert_eq!(columns.len(), 2);
        /// assert_eq!(columns.protocol(), [6, 17]);
        /// assert_eq!(columns.source_port(), [80, 53]);
        /// assert!(columns.octets().is_empty());
        /// columns.clear();
        /// ```
        #[derive(Clone, Debug, Default)]
        pub struct FlowColumns {
            wanted: FlowFields,
            fields: Vec<FlowFields>,
            $($member: Vec<$type>,)*
        }

        impl FlowColumns {
            /// Every member that a flow can have.
            pub const ALL: FlowFields = FlowFields::NONE$(.union(FlowFields::$field))*;

            /// Forgets the rows and keeps the memory.
            pub fn clear(&mut self) {
                self.fields.clear();
                $(self.$member.clear();)*
            }

            /// Appends a row.
            pub fn push(&mut self, flow: &FlowRecord) {
                self.fields.push(flow.fields);
                $(if self.wanted.contains(FlowFields::$field) {
                    self.$member.push(flow.$member);
                })*
            }

            /// A row as a record, whose members are zero where they are not wanted; `None` behind the last row.
            #[must_use]
            pub fn row(&self, index: usize) -> Option<FlowRecord> {
                let mut flow = FlowRecord::EMPTY;
                flow.fields = *self.fields.get(index)?;
                $(if let Some(value) = self.$member.get(index) {
                    flow.$member = *value;
                })*
                Some(flow)
            }

            $(
                #[doc = concat!("[`FlowRecord::", stringify!($member), "`] of each row; empty when it is not wanted.")]
                #[must_use]
                pub fn $member(&self) -> &[$type] {
                    &self.$member
                }
            )*
        }
    };
}

columns! {
    octets: u64 = OCTETS,
    packets: u64 = PACKETS,
    start: Timestamp = START,
    end: Timestamp = END,
    ingress_interface: u32 = INGRESS_INTERFACE,
    egress_interface: u32 = EGRESS_INTERFACE,
    source_as: u32 = SOURCE_AS,
    destination_as: u32 = DESTINATION_AS,
    ipv6_flow_label: u32 = IPV6_FLOW_LABEL,
    sampler_id: u32 = SAMPLER_ID,
    sampling_interval: u32 = SAMPLING_INTERVAL,
    fragment_identification: u32 = FRAGMENT_IDENTIFICATION,
    source_port: u16 = SOURCE_PORT,
    destination_port: u16 = DESTINATION_PORT,
    tcp_flags: u16 = TCP_FLAGS,
    vlan: u16 = VLAN,
    post_vlan: u16 = POST_VLAN,
    icmp_type_code: u16 = ICMP_TYPE_CODE,
    protocol: u8 = PROTOCOL,
    tos: u8 = TOS,
    source_prefix_length: u8 = SOURCE_PREFIX_LENGTH,
    destination_prefix_length: u8 = DESTINATION_PREFIX_LENGTH,
    direction: u8 = DIRECTION,
    flow_end_reason: u8 = FLOW_END_REASON,
    minimum_ttl: u8 = MINIMUM_TTL,
    maximum_ttl: u8 = MAXIMUM_TTL,
    forwarding_status: u8 = FORWARDING_STATUS,
    source: IpAddr = SOURCE,
    destination: IpAddr = DESTINATION,
    next_hop: IpAddr = NEXT_HOP,
    bgp_next_hop: IpAddr = BGP_NEXT_HOP,
    source_mac: [u8; 6] = SOURCE_MAC,
    destination_mac: [u8; 6] = DESTINATION_MAC,
    mpls_labels: MplsLabels = MPLS_LABELS,
}

impl FlowColumns {
    /// Empty columns for these members; `FlowColumns::ALL` are all of them.
    #[must_use]
    pub fn new(wanted: FlowFields) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// The members that have columns.
    #[must_use]
    pub const fn wanted(&self) -> FlowFields {
        self.wanted
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Which members each row's record carried, wanted or not.
    #[must_use]
    pub fn fields(&self) -> &[FlowFields] {
        &self.fields
    }

    /// Appends the records of a set: the rows are what [`DataRecords::flows`] gives.
    pub fn extend(&mut self, records: &DataRecords<'_>) {
        match (records.template().plan(), Stride::of(records)) {
            (RecordPlan::Straight(plan), Some(stride)) if plan.is_columnar() => {
                self.extend_columns(plan, stride, records.clock());
            }
            _ => records.for_each_flow(|flow| self.push(flow)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "slots are masked to the width of their member")]
    fn extend_columns(&mut self, plan: &Straight, stride: Stride<'_>, clock: &ExportClock) {
        use Member as M;
        let wanted = self.wanted;
        let wants = |member: Member| wanted.contains(member.field());
        let slot = |member: Member| plan.slot_of(member);

        let fields = self.extend_times(plan, stride, clock);
        self.fields.resize(self.fields.len() + stride.count, fields);

        /// Reads a column of integers that one member feeds.
        macro_rules! integers {
            ($($column:ident: $type:ty = $member:ident,)*) => {
                $(if wants(M::$member) {
                    let slot = slot(M::$member).unwrap_or_default();
                    stride.read(slot, &mut self.$column, |raw| raw as $type);
                })*
            };
        }
        integers! {
            octets: u64 = Octets,
            packets: u64 = Packets,
            ingress_interface: u32 = IngressInterface,
            egress_interface: u32 = EgressInterface,
            source_as: u32 = SourceAs,
            destination_as: u32 = DestinationAs,
            ipv6_flow_label: u32 = Ipv6FlowLabel,
            sampler_id: u32 = SamplerId,
            sampling_interval: u32 = SamplingInterval,
            fragment_identification: u32 = FragmentIdentification,
            source_port: u16 = SourcePort,
            destination_port: u16 = DestinationPort,
            tcp_flags: u16 = TcpFlags,
            vlan: u16 = Vlan,
            post_vlan: u16 = PostVlan,
            icmp_type_code: u16 = IcmpTypeCode,
            protocol: u8 = Protocol,
            tos: u8 = Tos,
            source_prefix_length: u8 = SourcePrefixLength,
            destination_prefix_length: u8 = DestinationPrefixLength,
            direction: u8 = Direction,
            flow_end_reason: u8 = FlowEndReason,
            minimum_ttl: u8 = MinimumTtl,
            maximum_ttl: u8 = MaximumTtl,
            forwarding_status: u8 = ForwardingStatus,
        }
        for (four, six, column) in [
            (M::Source4, M::Source6, &mut self.source),
            (M::Destination4, M::Destination6, &mut self.destination),
            (M::NextHop4, M::NextHop6, &mut self.next_hop),
            (M::BgpNextHop4, M::BgpNextHop6, &mut self.bgp_next_hop),
        ] {
            if !wants(four) {
                continue;
            }
            match slot(six) {
                Some(low) => stride.read6(low, column),
                None => stride.read(slot(four).unwrap_or_default(), column, |raw| {
                    IpAddr::V4(Ipv4Addr::from_bits(raw as u32))
                }),
            }
        }
        for (member, column) in
            [(M::SourceMac, &mut self.source_mac), (M::DestinationMac, &mut self.destination_mac)]
        {
            if wants(member) {
                stride.read(slot(member).unwrap_or_default(), column, |raw| {
                    let [_, _, mac @ ..] = raw.to_be_bytes();
                    mac
                });
            }
        }
        if wants(M::MplsLabel(0)) {
            let labels = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|position| slot(M::MplsLabel(position)));
            self.extend_labels(stride, &labels);
        }
    }

    /// Reads start and end; the members that each record of the set has: all of the plan's but times that nothing dates.
    fn extend_times(&mut self, plan: &Straight, stride: Stride<'_>, clock: &ExportClock) -> FlowFields {
        let mut fields = plan.fields();
        for (member, column) in [(Member::Start, &mut self.start), (Member::End, &mut self.end)] {
            let slot = plan.slot_of(member).unwrap_or_default();
            let coding = plan.coding_of(member);
            let is_undated = coding == Some(TimeCoding::Uptime) && !clock.has_uptime();
            if is_undated {
                fields = fields.without(member.field());
            }
            if !self.wanted.contains(member.field()) {
                continue;
            }
            match (coding, clock.epoch()) {
                (None, _) => stride.fill(column, Timestamp::ZERO),
                _ if is_undated => stride.fill(column, Timestamp::ZERO),
                (Some(TimeCoding::Uptime), Some(epoch)) => stride.read(slot, column, |raw| {
                    #[expect(clippy::cast_possible_truncation, reason = "uptime is modulo 2^32")]
                    let uptime = SysUptime::from_millis(raw as u32);
                    epoch.to_timestamp(uptime)
                }),
                (Some(TimeCoding::Milliseconds), _) => stride.read(slot, column, Timestamp::from_millis),
                (Some(coding), _) => {
                    stride.read(slot, column, |raw| coding.decode(raw, clock).unwrap_or_default());
                }
            }
        }
        fields
    }

    fn extend_labels(&mut self, stride: Stride<'_>, slots: &[Option<Slot>; MplsLabels::MAX_LEN]) {
        if slots.iter().all(Option::is_none) {
            return stride.fill(&mut self.mpls_labels, MplsLabels::EMPTY);
        }
        for record in stride.records() {
            let mut labels = MplsLabels::EMPTY;
            for (position, slot) in slots.iter().enumerate() {
                if let Some(slot) = slot {
                    let [.., a, b, c] = slot.read(record).to_be_bytes();
                    labels.set(position, [a, b, c]);
                }
            }
            self.mpls_labels.push(labels);
        }
    }
}

/// Records one behind the other, all of the same length.
#[derive(Clone, Copy)]
struct Stride<'a> {
    /// From [`LEAD`] octets before the first record to the end of the last one.
    octets: &'a [u8],
    length: usize,
    count: usize,
}

impl<'a> Stride<'a> {
    /// The records of a set; `None` when they are too short, or not all of one length.
    fn of(records: &DataRecords<'a>) -> Option<Self> {
        let length = records.template().minimum_length();
        if records.template().is_variable_length() || length < size_of::<u64>() {
            return None;
        }
        let (start, count) = (records.start().checked_sub(LEAD)?, records.count());
        let octets = records.datagram().get(start..start + LEAD + count * length)?;
        (count > 0).then_some(Self { octets, length, count })
    }

    /// The records, each with [`LEAD`] octets before it.
    fn records(self) -> impl Iterator<Item = &'a [u8]> {
        let at = move |index: usize| self.octets.get(index * self.length..).unwrap_or(&[]);
        (0..self.count).map(at)
    }

    fn fill<T: Clone>(self, column: &mut Vec<T>, value: T) {
        column.resize(column.len() + self.count, value);
    }

    /// The field that the slot reads, of each record; zeros for a slot that is not set.
    #[inline]
    fn read<T>(self, slot: Slot, column: &mut Vec<T>, value: impl Fn(u64) -> T) {
        if !slot.is_set() {
            column.extend((0..self.count).map(|_| value(0)));
            return;
        }
        let word = |octets: &[u8]| octets.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets));
        let (rest, last) = self.split(slot.start(), size_of::<u64>());
        column.extend(rest.chunks_exact(self.length).map(|octets| value(slot.masked(word(octets)))));
        column.push(value(slot.masked(word(last))));
    }

    /// The IPv6 address whose last 8 octets the slot reads, of each record.
    fn read6(self, low: Slot, column: &mut Vec<IpAddr>) {
        let address = |octets: &[u8]| {
            let octets = octets.first_chunk().copied().unwrap_or([0; 16]);
            IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(octets)))
        };
        let (rest, last) = self.split(low.start().saturating_sub(8), size_of::<u128>());
        column.extend(rest.chunks_exact(self.length).map(address));
        column.push(address(last));
    }

    /// What begins at the same place in each record: as many octets as a record has for all but the last one, and
    /// `width` octets of the last one.
    fn split(self, start: u8, width: usize) -> (&'a [u8], &'a [u8]) {
        let (start, others) = (usize::from(start), (self.count - 1) * self.length);
        let rest = self.octets.get(start..start + others).unwrap_or(&[]);
        let last = self.octets.get(start + others..start + others + width).unwrap_or(&[]);
        (rest, last)
    }
}
