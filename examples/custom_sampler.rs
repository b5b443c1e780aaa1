//! A sampler of one's own: all of the first packets of each second, then one in a hundred.
//!
//! Quiet links are metered in full, busy ones are sampled. It shows what a sampler must do; a real one would also
//! have to announce which packets were taken at which rate.

use core::net::IpAddr;

use netflow_flowcache::{
    Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, Timestamp,
    sample::{Sampler, Sampling, SystematicCount},
};

/// Takes so many packets of each second as they come; what is beyond goes to another sampler.
struct QuietInFull<S> {
    full: u32,
    beyond: S,
    second: u64,
    seen: u32,
}

impl<S: Sampler> QuietInFull<S> {
    const fn new(full: u32, beyond: S) -> Self {
        Self { full, beyond, second: 0, seen: 0 }
    }
}

impl<S: Sampler> Sampler for QuietInFull<S> {
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool {
        let second = now.as_millis() / 1_000;
        if second != self.second {
            (self.second, self.seen) = (second, 0);
        }
        self.seen = self.seen.saturating_add(1);
        self.seen <= self.full || self.beyond.select(packet, now)
    }

    fn describe(&self) -> Sampling {
        // The coarser of the two: whoever scales by it never counts too little.
        self.beyond.describe()
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut sampler = QuietInFull::new(50, SystematicCount::new(1, 99, 0)?);
    let mut table: FlowTable = FlowTable::new(&Config::new(1_024, HashSeed::from_u64(1)))?;
    let server = IpAddr::from([198, 51, 100, 7]);

    // Ten packets in a quiet second, ten thousand in a busy one.
    for (second, packets) in [(0, 10_u64), (1, 10_000)] {
        let mut selected = 0;
        for index in 0..packets {
            let now = Timestamp::from_nanos(second * 1_000_000_000 + index * 1_000_000_000 / packets);
            let client = IpAddr::from([192, 0, 2, 1]);
            let packet = ObservedPacket::new(client, server, 17, 500);
            if sampler.select(&packet, now) {
                selected += 1;
                table.handle_packet(&packet, now);
            }
        }
        println!("second {second}: {selected} of {packets} packets");
    }
    println!("{:?}", sampler.describe());

    table.flush(ExpireReason::FORCED_END);
    while let Some(flow) = table.poll_expired() {
        println!("{}: {} packets metered", flow.key.source(), flow.counters.packets);
    }
    Ok(())
}
