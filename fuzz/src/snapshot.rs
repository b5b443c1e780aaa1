//! Snapshots of a template cache that were written by somebody else, as JSON: restored whole, or not at all.

use netflow_codec::{CacheSnapshot, Decoder, Protocol, Restored, Strictness, Timestamp};

use crate::check::{Account, check_batch, limits};

/// When the snapshot is restored.
pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Reads a snapshot and restores it.
pub fn run(input: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<CacheSnapshot<u8>>(input) else { return };
    let mut decoder = Decoder::with_limits(limits(), Strictness::Lenient);
    decoder.decode(&1, TEMPLATE, NOW).expect("it is sound").for_each(drop);
    let before = decoder.cache().snapshot();
    match decoder.cache_mut().restore(&snapshot, NOW) {
        Err(_) => assert_eq!(decoder.cache().snapshot(), before, "nothing has changed"),
        Ok(restored) => {
            check(&snapshot, restored, &decoder);
            let account = Account::default();
            account.check(decoder.cache(), Strictness::Lenient);
            decode_all(&mut decoder);
            again(&mut decoder);
        }
    }
}

fn check(snapshot: &CacheSnapshot<u8>, restored: Restored, decoder: &Decoder<u8>) {
    let all = restored.templates + restored.expired + restored.evicted;
    assert_eq!(all, snapshot.template_count(), "{restored:?}");
    assert_eq!(decoder.cache().template_count(), restored.templates);
    assert_eq!(decoder.cache().scope_count(), restored.scopes);
}

/// What a cache holds can be stored and restored.
pub(crate) fn again(decoder: &mut Decoder<u8>) {
    again_at(decoder, NOW);
}

/// The same at another time.
pub(crate) fn again_at(decoder: &mut Decoder<u8>, now: Timestamp) {
    let snapshot = decoder.cache().snapshot();
    let text = serde_json::to_string(&snapshot).expect("it can be written");
    let read = serde_json::from_str(&text).expect("and read");
    assert_eq!(snapshot, read);
    let restored = decoder.cache_mut().restore(&read, now).expect("it is its own");
    check(&snapshot, restored, decoder);
}

/// Records of every template that was restored.
fn decode_all(decoder: &mut Decoder<u8>) {
    let mut text = String::new();
    let all: Vec<_> =
        decoder.cache().iter().map(|entry| (entry.scope.clone(), entry.template.id())).collect();
    for (scope, id) in all {
        let is_v9 = scope.protocol == Protocol::NetFlow9;
        let mut datagram = if is_v9 { vec![0, 9, 0, 1, 0, 0, 0, 1] } else { vec![0, 10, 0, 120] };
        datagram.extend([0x65, 0x53, 0xf1, 0, 0, 0, 0, 1]);
        datagram.extend(scope.observation_domain.to_be_bytes());
        datagram.extend(id.to_be_bytes());
        datagram.extend([0, 104]);
        datagram.extend(1..=100);
        let mut batches = decoder.decode(&scope.exporter, &datagram, NOW).expect("the header is sound");
        while let Some(batch) = batches.next() {
            check_batch(&batch, &mut batches, &datagram, &mut text);
        }
    }
}

/// A v9 packet with one template.
const TEMPLATE: &[u8] = &[
    0, 9, 0, 1, 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1,
];
