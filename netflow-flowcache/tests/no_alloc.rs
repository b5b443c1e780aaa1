//! After its creation, a table asks for no memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;
#[path = "../../netflow-codec/tests/common/counting.rs"]
mod counting;

use common::{FIN, RST, SYN, at_millis, config, table};
use netflow_flowcache::{
    ExpireReason,
    sample::{
        AnySampler, FlowHashFilter, FlowSampler, FlowsBy, HashFunction, HashParameters, JunosParameters,
        PacketContent, Probability, Property, RandomOneInN, Sampler, Sampling, SelectedRanges, SmartSampling,
        SystematicCount,
    },
};

/// One of each sampler, and all of them in a row.
fn samplers() -> Vec<AnySampler> {
    let ranges = SelectedRanges::one_in(3, HashFunction::Bob, 1).unwrap();
    let parts = [
        Sampling::SystematicTime { interval: 5_000, space: 5_000 },
        Sampling::RandomOutOf { size: 2, population: 3 },
        Sampling::Probabilistic(Probability::new(0.01).unwrap()),
        Sampling::Probabilistic(Probability::new(0.5).unwrap()),
        Sampling::Junos(JunosParameters::new(10)),
        Sampling::PropertyMatch([Property::Protocol(6)].into()),
        Sampling::Hash(HashParameters::new(HashFunction::Bob, ranges)),
        Sampling::PacketsPerSecond { limit: 100 },
    ];
    let whole = Sampling::Composite(parts.clone().into());
    parts.iter().chain([&whole]).map(|sampling| sampling.sampler(1).unwrap()).collect()
}

#[test]
fn packets_expiry_eviction_and_flush_allocate_nothing() {
    let mut table = table(&config(500));
    let mut random = RandomOneInN::new(3, 1).unwrap();
    let mut systematic = SystematicCount::one_in(2, 1).unwrap();
    let mut samplers = samplers();
    let octets = [[0x45, 0, 0, 60, 0, 1, 0, 0].as_slice(), &[7; 52]].concat();
    let content = PacketContent::parse(&octets).unwrap();
    let ranges = SelectedRanges::one_in(2, HashFunction::Bob, 1).unwrap();
    let mut by_key = FlowHashFilter::new(HashFunction::Bob, None, ranges).unwrap();
    let mut by_size = SmartSampling::new(500, 1).unwrap();
    let mut by_chance = FlowsBy::new(RandomOneInN::new(3, 1).unwrap());
    let (mut polled, mut selected) = (0_u64, 0_u64);
    let before = counting::so_far();
    for number in 0..60_000_u32 {
        let mut packet = common::packet(number.wrapping_mul(7919) % 3_000);
        packet.tcp_flags = [0x10, SYN, 0x10, FIN, 0x10, RST][number as usize % 6];
        let now = at_millis(u64::from(number) * 5);
        selected += u64::from(random.select(&packet, now)) + u64::from(systematic.select(&packet, now));
        for sampler in &mut samplers {
            selected += u64::from(sampler.select_with(&packet, &content, now));
        }
        // Now and then nobody polls, until packets have to be ignored.
        table.handle_packet(&packet, now);
        if number / 2_000 % 2 == 0 {
            while let Some(flow) = table.poll_expired() {
                polled += 1;
                let chosen =
                    [by_key.select_flow(&flow), by_size.select_flow(&flow), by_chance.select_flow(&flow)];
                selected += u64::from(chosen.iter().all(Option::is_some));
            }
        }
        if number % 20_000 == 10_000 {
            table.flush(ExpireReason::FORCED_END);
        }
    }
    table.handle_timeout(at_millis(10_000_000));
    while table.poll_timeout().is_some() {
        polled += u64::from(table.poll_expired().is_some());
    }
    let after = counting::so_far();
    assert_eq!(after - before, 0);

    let stats = table.stats();
    assert_eq!(stats.expired_total(), polled);
    assert!(stats.ignored_packets > 0 && selected > 0);
    for reason in [
        ExpireReason::IDLE_TIMEOUT,
        ExpireReason::END_OF_FLOW,
        ExpireReason::FORCED_END,
        ExpireReason::LACK_OF_RESOURCES,
    ] {
        assert!(stats.expired(reason) > 0, "{reason:?} was not part of the test");
    }
}
