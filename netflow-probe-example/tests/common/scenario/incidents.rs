//! What is to be found among ordinary traffic.

use core::net::{IpAddr, Ipv4Addr};

use super::{ACK, FIN, Leg, OUR_AS, PSH, RST, SECOND, SYN, Scenario, outside};

impl Scenario {
    /// A host of ours talks to a command server every so often: a question and an answer each.
    pub(crate) fn contact(&mut self, host: IpAddr, server: IpAddr, port: u16, every: u64, times: u64) {
        for number in 0..times {
            let start = 30 * SECOND + number * every;
            let there = Leg {
                source: host,
                destination: server,
                protocol: 6,
                ports: (50_000 + number as u16, port),
                packets: 8,
                octets: 1_200,
                flags: SYN | ACK | PSH | FIN,
                start,
                end: start + SECOND,
                numbers: (OUR_AS, 65_551),
            };
            self.exchange(there, 6, 900, SYN | ACK | PSH | FIN, 10_000_000);
        }
    }

    /// A host of ours sends much to one outside, in a single connection that is exported every minute.
    pub(crate) fn exfiltration(
        &mut self,
        host: IpAddr,
        server: IpAddr,
        start: u64,
        minutes: u64,
        octets: u64,
    ) {
        for minute in 0..minutes {
            let first = minute == 0;
            let last = minute + 1 == minutes;
            let flags = ACK | PSH | if first { SYN } else { 0 } | if last { FIN } else { 0 };
            let each = octets / minutes;
            let start = start + minute * 60 * SECOND;
            let there = Leg {
                source: host,
                destination: server,
                protocol: 6,
                ports: (51_515, 22),
                packets: each / 1_400,
                octets: each,
                flags,
                start,
                end: start + 59 * SECOND,
                numbers: (OUR_AS, 65_552),
            };
            self.exchange(there, each / 2_800, each / 50, flags, 10_000_000);
        }
    }

    /// Packets of 40 octets with SYN from forged addresses.
    pub(crate) fn syn_flood(&mut self, target: IpAddr, port: u16, start: u64, seconds: u64, rate: u64) {
        for _ in 0..self.seen(rate * seconds) {
            let moment = start + self.chance.between(0, seconds * SECOND - 1);
            let source = Ipv4Addr::from_bits(self.chance.next() as u32);
            let number = 1 + self.chance.between(0, 60_000) as u32;
            let ports = (self.chance.between(1_024, 65_535) as u16, port);
            self.leg(&Leg {
                source: source.into(),
                destination: target,
                protocol: 6,
                ports,
                packets: 1,
                octets: 40,
                flags: SYN,
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
            });
        }
    }

    /// Large answers of resolvers that nobody of ours asked.
    pub(crate) fn amplification(
        &mut self,
        target: IpAddr,
        service: u16,
        reflectors: u64,
        start: u64,
        seconds: u64,
        rate: u64,
    ) {
        let hosts: Vec<(Ipv4Addr, u32)> = (0..reflectors).map(|_| outside(&mut self.chance)).collect();
        for _ in 0..self.seen(rate * seconds) {
            let moment = start + self.chance.between(0, seconds * SECOND - 1);
            let (source, number) = hosts[self.chance.between(0, reflectors - 1) as usize];
            let ports = (service, self.chance.between(1_024, 65_535) as u16);
            let octets = self.chance.between(1_200, 1_450);
            self.leg(&Leg {
                source: source.into(),
                destination: target,
                protocol: 17,
                ports,
                packets: 1,
                octets,
                flags: 0,
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
            });
        }
    }

    /// Packets of one kind to one host, from so many sources.
    fn flood(&mut self, leg: &Leg, sources: u64, seconds: u64, rate: u64) {
        let hosts: Vec<(Ipv4Addr, u32)> = (0..sources).map(|_| outside(&mut self.chance)).collect();
        for _ in 0..self.seen(rate * seconds) {
            let moment = leg.start + self.chance.between(0, seconds * SECOND - 1);
            let (source, number) = hosts[self.chance.between(0, sources - 1) as usize];
            self.leg(&Leg {
                source: source.into(),
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
                ..*leg
            });
        }
    }

    /// Echo requests of 1,028 octets.
    pub(crate) fn icmp_flood(&mut self, target: IpAddr, start: u64, seconds: u64, rate: u64) {
        self.flood(&Leg::packet(target, 1, (0, 0x0800), 1_028, start), 50, seconds, rate);
    }

    /// Fragments behind the first, which have no ports.
    pub(crate) fn fragment_flood(&mut self, target: IpAddr, start: u64, seconds: u64, rate: u64) {
        self.flood(&Leg::packet(target, 17, (0, 0), 1_500, start), 200, seconds, rate);
    }

    /// Packets of 540 octets to a port that nobody answers at.
    pub(crate) fn udp_flood(&mut self, target: IpAddr, start: u64, seconds: u64, rate: u64) {
        self.flood(&Leg::packet(target, 17, (33_333, 27_015), 540, start), 30, seconds, rate);
    }

    /// Answers of time servers to every address of 203.0.113.0/24, or whichever /24.
    pub(crate) fn carpet(&mut self, network: [u8; 3], start: u64, seconds: u64, rate: u64) {
        let hosts: Vec<(Ipv4Addr, u32)> = (0..300).map(|_| outside(&mut self.chance)).collect();
        for _ in 0..self.seen(rate * seconds) {
            let moment = start + self.chance.between(0, seconds * SECOND - 1);
            let (source, number) = hosts[self.chance.between(0, 299) as usize];
            let target = [network[0], network[1], network[2], self.chance.between(0, 255) as u8];
            let ports = (123, self.chance.between(1_024, 65_535) as u16);
            self.leg(&Leg {
                source: source.into(),
                destination: target.into(),
                protocol: 17,
                ports,
                packets: 1,
                octets: 468,
                flags: 0,
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
            });
        }
    }

    /// One port of many hosts.
    pub(crate) fn horizontal(&mut self, source: IpAddr, port: u16, hosts: u16, start: u64, seconds: u64) {
        for host in 0..hosts {
            let moment = start + u64::from(host) * seconds * SECOND / u64::from(hosts);
            let [high, low] = host.to_be_bytes();
            let ports = (self.ephemeral(), port);
            let there = Leg {
                source,
                destination: [10, 1, high, low].into(),
                protocol: 6,
                ports,
                packets: 1,
                octets: 44,
                flags: SYN,
                start: moment,
                end: moment,
                numbers: (64_777, OUR_AS),
            };
            if host % 3 == 0 {
                self.exchange(there, 1, 40, RST | ACK, 1_000_000);
            } else {
                self.leg(&there);
            }
        }
    }

    /// Many ports of one host.
    pub(crate) fn vertical(&mut self, source: IpAddr, target: IpAddr, ports: u16, start: u64, seconds: u64) {
        for port in 1..=ports {
            let moment = start + u64::from(port) * seconds * SECOND / u64::from(ports);
            let there = Leg {
                source,
                destination: target,
                protocol: 6,
                ports: (44_444, port),
                packets: 1,
                octets: 44,
                flags: SYN,
                start: moment,
                end: moment,
                numbers: (64_778, OUR_AS),
            };
            self.exchange(there, 1, 40, RST | ACK, 1_000_000);
        }
    }
}
