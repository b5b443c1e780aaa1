//! Frames to the packets that are metered: taken apart, looked into, put together with their fragments, selected.

use netflow_flowcache::{
    Fragment, ObservedPacket,
    sample::{PacketContent, Sampler, SelectionSequence},
};

use super::{Fragments, MeterRules, fragments::FragmentPorts};
use crate::{
    capture::ObservationPoint,
    dissect::{DissectCounts, Outcome, Tunnel, dissect_carried, dissect_into, identification, ip_octets},
    pcap::Frame,
};

/// Takes frames apart and selects packets.
#[derive(Debug)]
pub(super) struct Intake {
    tunnel: Tunnel,
    /// The ports of fragments, if later ones are to have them.
    fragments: Option<FragmentPorts>,
    pub(super) sampler: SelectionSequence,
    /// Whether the sampler looks at the octets of packets.
    needs_content: bool,
    pub(super) frames: DissectCounts,
    /// Packets metered besides those that carried them.
    pub(super) carried: u64,
    pub(super) sampled_out: u64,
}

/// What of a frame is to be metered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Whether the packet is.
    pub(super) packet: bool,
    /// What it carries, when both count.
    pub(super) carried: Option<ObservedPacket>,
}

impl Intake {
    pub(super) fn new(rules: &MeterRules, sampler: SelectionSequence) -> Self {
        Self {
            tunnel: rules.tunnel,
            fragments: (rules.fragments == Fragments::Follow).then(FragmentPorts::new),
            needs_content: sampler.needs_content(),
            sampler,
            frames: DissectCounts::default(),
            carried: 0,
            sampled_out: 0,
        }
    }

    /// Whether nothing behind the headers of frames is looked at.
    pub(super) fn headers_suffice(&self) -> bool {
        self.tunnel == Tunnel::Outer && !self.needs_content
    }

    /// Selects otherwise from now on.
    pub(super) fn set_sampler(&mut self, sampler: SelectionSequence) {
        self.needs_content = sampler.needs_content();
        self.sampler = sampler;
    }

    /// Looks into packets, and follows fragments, as these rules say.
    pub(super) fn set_rules(&mut self, rules: &MeterRules) {
        self.tunnel = rules.tunnel;
        if rules.fragments == Fragments::Apart {
            self.fragments = None;
        } else {
            self.fragments.get_or_insert_with(FragmentPorts::new);
        }
    }

    /// Takes a frame apart, writes its packet into its place, and says what of it is to be metered.
    #[inline]
    pub(super) fn take(
        &mut self,
        frame: &Frame<'_>,
        point: ObservationPoint,
        packet: &mut ObservedPacket,
    ) -> Taken {
        let outcome = dissect_into(frame.link_type, frame.data, frame.original_length, packet);
        if outcome != Outcome::Packet(()) || self.tunnel != Tunnel::Outer {
            return self.take_other(outcome, frame, point, packet);
        }
        self.frames.count_with(&Outcome::Packet(()), packet.octets);
        place(packet, point);
        if packet.fragment != Fragment::Unfragmented {
            self.follow(packet, frame);
        }
        Taken { packet: self.is_selected(packet, frame), carried: None }
    }

    /// What is no packet, or may carry others.
    #[inline(never)]
    fn take_other(
        &mut self,
        outcome: Outcome<()>,
        frame: &Frame<'_>,
        point: ObservationPoint,
        packet: &mut ObservedPacket,
    ) -> Taken {
        if self.tunnel == Tunnel::Outer {
            self.frames.count_with(&outcome, 0);
            return Taken::default();
        }
        self.take_inside(outcome, frame, point, packet)
    }

    /// What a frame carries in tunnels takes the place of its packet, or is metered, too.
    fn take_inside(
        &mut self,
        outcome: Outcome<()>,
        frame: &Frame<'_>,
        point: ObservationPoint,
        packet: &mut ObservedPacket,
    ) -> Taken {
        let mut outcome = outcome.map(|()| *packet);
        let mut carried = self.look_inside(&mut outcome, frame);
        self.frames.count(&outcome);
        let mut taken = Taken::default();
        if let Outcome::Packet(found) = outcome {
            *packet = found;
            place(packet, point);
            // Those of carried packets have been followed.
            if packet.fragment != Fragment::Unfragmented && self.tunnel != Tunnel::Inner {
                self.follow(packet, frame);
            }
            taken.packet = self.is_selected(packet, frame);
        }
        if let Some(carried) = &mut carried {
            place(carried, point);
        }
        taken.carried = carried.filter(|carried| self.is_selected(carried, frame));
        taken
    }

    /// What a frame carries in tunnels takes the place of the outcome, or is returned if both count.
    fn look_inside(&mut self, outcome: &mut Outcome, frame: &Frame<'_>) -> Option<ObservedPacket> {
        let mut carried = dissect_carried(outcome, frame.link_type, frame.data);
        if self.tunnel == Tunnel::Inner
            && carried.is_none()
            && let Outcome::Packet(packet) = outcome
        {
            carried = Some((*packet, identification(frame.link_type, frame.data)));
        }
        let (mut packet, identification) = carried?;
        if let Some(fragments) = &mut self.fragments {
            fragments.follow(&mut packet, identification, frame.timestamp);
        }
        // A pseudowire carries a packet but is none.
        if self.tunnel == Tunnel::Inner || *outcome == Outcome::NotIp {
            *outcome = Outcome::Packet(packet);
            return None;
        }
        self.carried += 1;
        Some(packet)
    }

    #[inline(never)]
    fn follow(&mut self, packet: &mut ObservedPacket, frame: &Frame<'_>) {
        if let Some(fragments) = &mut self.fragments {
            fragments.follow(packet, identification(frame.link_type, frame.data), frame.timestamp);
        }
    }

    /// Whether a packet is selected; counts it if it is not.
    #[inline]
    fn is_selected(&mut self, packet: &ObservedPacket, frame: &Frame<'_>) -> bool {
        let selected = if self.needs_content {
            self.select_by_content(packet, frame)
        } else {
            self.sampler.select(packet, frame.timestamp)
        };
        self.sampled_out += u64::from(!selected);
        selected
    }

    #[inline(never)]
    fn select_by_content(&mut self, packet: &ObservedPacket, frame: &Frame<'_>) -> bool {
        match ip_octets(frame.link_type, frame.data).and_then(PacketContent::parse) {
            Some(content) => self.sampler.select_with(packet, &content, frame.timestamp),
            None => self.sampler.select(packet, frame.timestamp),
        }
    }
}

/// Says where a packet was observed. What the frame itself says of it goes before.
#[inline]
fn place(packet: &mut ObservedPacket, point: ObservationPoint) {
    if packet.ingress_interface == 0 && packet.egress_interface == 0 {
        packet.ingress_interface = point.ingress_interface;
        packet.egress_interface = point.egress_interface;
    }
    packet.direction |= point.direction;
}
