//! After its creation, a table asks for no memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without")]

mod common;

use core::{
    alloc::{GlobalAlloc, Layout},
    sync::atomic::{AtomicUsize, Ordering},
};
use std::alloc::System;

use common::{FIN, RST, SYN, at_millis, config, table};
use netflow_flowcache::{
    ExpireReason,
    sample::{RandomOneInN, Sampler, SystematicCount},
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

// The only test of this file: others would be counted, too.
#[test]
fn packets_expiry_eviction_and_flush_allocate_nothing() {
    let mut table = table(&config(500));
    let mut random = RandomOneInN::new(3, 1).unwrap();
    let mut systematic = SystematicCount::one_in(2, 1).unwrap();
    let (mut polled, mut selected) = (0_u64, 0_u64);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for number in 0..60_000_u32 {
        let mut packet = common::packet(number.wrapping_mul(7919) % 3_000);
        packet.tcp_flags = [0x10, SYN, 0x10, FIN, 0x10, RST][number as usize % 6];
        let now = at_millis(u64::from(number) * 5);
        selected += u64::from(random.select(&packet, now)) + u64::from(systematic.select(&packet, now));
        // Now and then nobody polls, until packets have to be ignored.
        table.handle_packet(&packet, now);
        if number / 2_000 % 2 == 0 {
            while table.poll_expired().is_some() {
                polled += 1;
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
    let after = ALLOCATIONS.load(Ordering::Relaxed);
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
