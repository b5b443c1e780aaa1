//! Ordinary traffic.

use core::net::Ipv4Addr;

use super::{ACK, FIN, Leg, OUR_AS, PSH, RST, SECOND, SYN, Scenario, client, outside};

impl Scenario {
    /// Ordinary traffic: about so many flows in an hour, before sampling.
    pub(crate) fn background(mut self, flows: usize) -> Self {
        while self.flows.len() < flows {
            match self.chance.between(0, 99) {
                0..50 => self.web(),
                50..75 => self.lookup(),
                75..82 => self.served(),
                82..86 => self.quic(),
                86..89 => self.resolver(),
                89..92 => self.refused(),
                92..94 => self.ping(),
                94..96 => self.clock(),
                96..98 => self.mail(),
                98 => self.wide(),
                _ => self.backup(),
            }
        }
        self.sample();
        self
    }

    /// A client of ours fetches something over TCP.
    fn web(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = 5 + self.chance.heavy(20_000);
        let start = self.moment();
        let length = self.chance.heavy(60_000) * 1_000_000;
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 6,
            ports: (self.ephemeral(), if self.chance.between(0, 9) == 0 { 80 } else { 443 }),
            packets,
            octets: packets * self.chance.between(52, 200),
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + length,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, packets * 2, packets * 2 * 1_300, SYN | ACK | PSH | FIN, 20_000_000);
    }

    /// Somebody outside uses a server of ours: the first of them mostly.
    fn served(&mut self) {
        let (source, number) = outside(&mut self.chance);
        let packets = 6 + self.chance.heavy(2_000);
        let start = self.moment();
        let server = 10 + self.chance.heavy(30) as u8;
        let there = Leg {
            source: source.into(),
            destination: Ipv4Addr::new(203, 0, 113, server).into(),
            protocol: 6,
            ports: (self.ephemeral(), 443),
            packets,
            octets: packets * 120,
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + self.chance.heavy(30_000) * 1_000_000,
            numbers: (number, OUR_AS),
        };
        self.exchange(there, packets * 2, packets * 2_400, SYN | ACK | PSH | FIN, 1_000_000);
    }

    /// A client asks one of two resolvers outside.
    fn lookup(&mut self) {
        let start = self.moment();
        let resolver = if self.chance.between(0, 1) == 0 { [8, 8, 8, 8] } else { [9, 9, 9, 9] };
        let octets = self.chance.between(56, 90);
        let answer = self.chance.between(80, 500);
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: resolver.into(),
            protocol: 17,
            ports: (self.ephemeral(), 53),
            packets: 1,
            octets,
            flags: 0,
            start,
            end: start,
            numbers: (OUR_AS, 15_169),
        };
        self.exchange(there, 1, answer, 0, 15_000_000);
    }

    /// Our own resolver asks servers everywhere.
    fn resolver(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let start = self.moment();
        let answer = self.chance.between(120, 1_232);
        let there = Leg {
            source: Ipv4Addr::new(203, 0, 113, 53).into(),
            destination: server.into(),
            protocol: 17,
            ports: (self.ephemeral(), 53),
            packets: 1,
            octets: 70,
            flags: 0,
            start,
            end: start,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, 1, answer, 0, 30_000_000);
    }

    fn quic(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = 10 + self.chance.heavy(50_000);
        let start = self.moment();
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 17,
            ports: (self.ephemeral(), 443),
            packets,
            octets: packets * 90,
            flags: 0,
            start,
            end: start + self.chance.heavy(90_000) * 1_000_000,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, packets * 3, packets * 3 * 1_200, 0, 20_000_000);
    }

    /// Nobody answers, or with a reset.
    fn refused(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let start = self.moment();
        let packets = self.chance.between(1, 3);
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 6,
            ports: (self.ephemeral(), [443, 80, 25, 8_080][self.chance.between(0, 3) as usize]),
            packets,
            octets: packets * 60,
            flags: SYN,
            start,
            end: start + (packets - 1) * SECOND,
            numbers: (OUR_AS, number),
        };
        if self.chance.between(0, 1) == 0 {
            self.leg(&there);
        } else {
            self.exchange(there, 1, 40, RST | ACK, 9_000_000);
        }
    }

    fn ping(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = self.chance.between(1, 300);
        let start = self.moment();
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 1,
            ports: (0, 0x0800),
            packets,
            octets: packets * 84,
            flags: 0,
            start,
            end: start + (packets - 1) * SECOND / 5,
            numbers: (OUR_AS, number),
        };
        self.leg(&there);
        let back = Leg {
            source: there.destination,
            destination: there.source,
            ports: (0, 0),
            numbers: (number, OUR_AS),
            ..there
        };
        self.leg(&back);
    }

    fn clock(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let start = self.moment();
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 17,
            ports: (123, 123),
            packets: 1,
            octets: 76,
            flags: 0,
            start,
            end: start,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, 1, 76, 0, 25_000_000);
    }

    /// Our mail server delivers everywhere.
    fn mail(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = 12 + self.chance.heavy(400);
        let start = self.moment();
        let there = Leg {
            source: Ipv4Addr::new(203, 0, 113, 25).into(),
            destination: server.into(),
            protocol: 6,
            ports: (self.ephemeral(), 25),
            packets,
            octets: packets * 900,
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + self.chance.heavy(20_000) * 1_000_000,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, packets, packets * 70, SYN | ACK | PSH | FIN, 30_000_000);
    }

    /// IPv6.
    fn wide(&mut self) {
        let packets = 8 + self.chance.heavy(3_000);
        let start = self.moment();
        let host = self.chance.between(1, 400) as u16;
        let server = self.chance.heavy(2_000) as u16;
        let there = Leg {
            source: [0x2001, 0xdb8, 1, 0, 0, 0, 0, host].into(),
            destination: [0x2001, 0xdb8, 0xffff, server, 0, 0, 0, 1].into(),
            protocol: 6,
            ports: (self.ephemeral(), 443),
            packets,
            octets: packets * 100,
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + self.chance.heavy(60_000) * 1_000_000,
            numbers: (OUR_AS, 64_999),
        };
        self.exchange(there, packets * 2, packets * 2_600, SYN | ACK | PSH | FIN, 12_000_000);
    }

    /// Much from few, for long: exported every minute.
    fn backup(&mut self) {
        let host = self.chance.between(1, 20) as u8;
        let start = self.moment() / (60 * SECOND) * 60 * SECOND;
        let packets = self.chance.between(10_000, 60_000);
        let there = Leg {
            source: Ipv4Addr::new(203, 0, 113, 100 + host).into(),
            destination: Ipv4Addr::new(198, 51, 100, 7).into(),
            protocol: 6,
            ports: (40_000 + u16::from(host), 873),
            packets,
            octets: packets * 1_400,
            flags: ACK | PSH,
            start,
            end: start + 60 * SECOND - 1,
            numbers: (OUR_AS, 64_501),
        };
        self.exchange(there, packets / 2, packets * 26, ACK, 1_000_000);
    }
}
