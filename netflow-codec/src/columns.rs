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
    template::{RecordPlan, Slot, Straight, WINDOW},
    time::{ExportClock, SysUptime, Timestamp},
};

/// The windows of some records, all of the same template.
type Tile<'w> = &'w [&'w [u8; WINDOW]];

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
        match records.template().plan() {
            RecordPlan::Straight(plan) if plan.is_columnar() => {
                records.for_each_tile(|tile| self.extend_columns(plan, tile, records.clock()));
            }
            _ => records.for_each_flow(|flow| self.push(flow)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "slots are masked to the width of their member")]
    fn extend_columns(&mut self, plan: &Straight, tile: Tile<'_>, clock: &ExportClock) {
        use Member as M;
        let wanted = self.wanted;
        let wants = |member: Member| wanted.contains(member.field());
        let slot = |member: Member| plan.slot_of(member);

        let fields = self.extend_times(plan, tile, clock);
        fill(tile, &mut self.fields, fields);

        /// Reads a column of integers that one member feeds.
        macro_rules! integers {
            ($($column:ident: $type:ty = $member:ident,)*) => {
                $(if wants(M::$member) {
                    let slot = slot(M::$member).unwrap_or_default();
                    read(tile, slot, &mut self.$column, |raw| raw as $type);
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
                Some(low) => read6(tile, low, column),
                None => read(tile, slot(four).unwrap_or_default(), column, |raw| {
                    IpAddr::V4(Ipv4Addr::from_bits(raw as u32))
                }),
            }
        }
        for (member, column) in
            [(M::SourceMac, &mut self.source_mac), (M::DestinationMac, &mut self.destination_mac)]
        {
            if wants(member) {
                read(tile, slot(member).unwrap_or_default(), column, |raw| {
                    let [_, _, mac @ ..] = raw.to_be_bytes();
                    mac
                });
            }
        }
        if wants(M::MplsLabel(0)) {
            let labels = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|position| slot(M::MplsLabel(position)));
            self.extend_labels(tile, &labels);
        }
    }

    /// Reads start and end; the members that each record of the set has: all of the plan's but times that nothing dates.
    fn extend_times(&mut self, plan: &Straight, tile: Tile<'_>, clock: &ExportClock) -> FlowFields {
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
                (None, _) => fill(tile, column, Timestamp::ZERO),
                _ if is_undated => fill(tile, column, Timestamp::ZERO),
                (Some(TimeCoding::Uptime), Some(epoch)) => read(tile, slot, column, |raw| {
                    #[expect(clippy::cast_possible_truncation, reason = "uptime is modulo 2^32")]
                    let uptime = SysUptime::from_millis(raw as u32);
                    epoch.to_timestamp(uptime)
                }),
                (Some(TimeCoding::Milliseconds), _) => read(tile, slot, column, Timestamp::from_millis),
                (Some(coding), _) => {
                    read(tile, slot, column, |raw| coding.decode(raw, clock).unwrap_or_default());
                }
            }
        }
        fields
    }

    fn extend_labels(&mut self, tile: Tile<'_>, slots: &[Option<Slot>; MplsLabels::MAX_LEN]) {
        if slots.iter().all(Option::is_none) {
            return fill(tile, &mut self.mpls_labels, MplsLabels::EMPTY);
        }
        for window in tile {
            let mut labels = MplsLabels::EMPTY;
            for (position, slot) in slots.iter().enumerate() {
                if let Some(slot) = slot {
                    let [.., a, b, c] = slot.read(*window).to_be_bytes();
                    labels.set(position, [a, b, c]);
                }
            }
            self.mpls_labels.push(labels);
        }
    }
}

fn fill<T: Clone>(tile: Tile<'_>, column: &mut Vec<T>, value: T) {
    column.resize(column.len() + tile.len(), value);
}

/// The field that the slot reads, of each record; zeros for a slot that is not set.
#[inline]
fn read<T>(tile: Tile<'_>, slot: Slot, column: &mut Vec<T>, value: impl Fn(u64) -> T) {
    /// Records whose loop is unrolled.
    const STEP: usize = 8;
    column.reserve(tile.len());
    if !slot.is_set() {
        column.extend(tile.iter().map(|_| value(0)));
        return;
    }
    let read = |window: &&[u8; WINDOW]| value(slot.read(*window));
    let (steps, rest) = tile.as_chunks::<STEP>();
    for step in steps {
        column.extend(step.iter().map(read));
    }
    column.extend(rest.iter().map(read));
}

/// The IPv6 address whose last 8 octets the slot reads, of each record.
fn read6(tile: Tile<'_>, low: Slot, column: &mut Vec<IpAddr>) {
    let high = low.before();
    column.extend(tile.iter().map(|window| {
        let bits = u128::from(high.read(*window)) << 64 | u128::from(low.read(*window));
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }));
}
