//! Collectors that are absent, restarted, slow or gone, and what the others get meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use netflow_codec::{
    Batch, Decoder, ExportVersion, FlowFields, FlowRecord, SessionConfig, Timestamp, ipfix, v9,
};
use netflow_probe_example::send::{Delivery, Distribution, SendConfig, Target, WhenFull};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);
/// Longer than anything here takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

fn session(version: ExportVersion) -> SessionConfig {
    SessionConfig::new(version, Timestamp::from_secs(1_700_000_000))
}

/// What packets that do not wait are sent by.
fn live() -> SendConfig {
    let mut send = SendConfig::default();
    send.when_full = WhenFull::Drop;
    send.reconnect = Duration::from_millis(20);
    send
}

fn flow(number: u32) -> FlowRecord {
    let mut flow = FlowRecord::default();
    let [a, b, c, d] = number.to_be_bytes();
    flow.source = [10, b, c, d].into();
    flow.destination = [192, 0, 2, a].into();
    flow.source_port = 50_000;
    flow.destination_port = 443;
    flow.protocol = 6;
    (flow.packets, flow.octets) = (3, 1_000 + u64::from(number));
    (flow.start, flow.end) = (NOW, NOW);
    flow.fields = FlowFields::NONE;
    flow
}

fn number(flow: &FlowRecord) -> u32 {
    u32::try_from(flow.octets - 1_000).unwrap()
}

fn open(config: SendConfig, version: ExportVersion, collectors: &[String]) -> Delivery {
    let mut delivery = Delivery::new(config);
    for collector in collectors {
        delivery.open(Target::Collector(collector.parse().unwrap()), session(version)).unwrap();
    }
    delivery
}

/// The flows of datagrams, or messages, of one session, by somebody who knows nothing before them. Data without a template
/// is an error.
fn decode(datagrams: &[Vec<u8>]) -> Vec<FlowRecord> {
    let mut decoder = Decoder::new();
    let mut flows = Vec::new();
    for datagram in datagrams {
        for batch in decoder.decode(&0, datagram, NOW).unwrap() {
            match batch {
                Batch::Fixed(records) => flows.extend(records.flows()),
                Batch::Data(records) => flows.extend(records.flows()),
                Batch::Options(_) | Batch::Template(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    flows
}

fn has_templates(datagram: &[u8]) -> bool {
    match datagram[1] {
        9 => v9::Packet::parse(datagram).unwrap().flowsets().any(|flowset| flowset.unwrap().id() == 0),
        10 => ipfix::Message::parse(datagram).unwrap().sets().any(|set| set.unwrap().id() == 2),
        _ => false,
    }
}

/// A socket that is read all the time.
struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn bind(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let (received, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (into, until) = (Arc::clone(&received), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 70_000];
            loop {
                match socket.recv(&mut buffer) {
                    Ok(octets) => into.lock().unwrap().push(buffer[..octets].to_vec()),
                    Err(_) if until.load(Ordering::Relaxed) => break,
                    Err(_) => {}
                }
            }
        });
        Self { address, received, stop, thread: Some(thread) }
    }

    fn datagrams(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    fn flows(&self) -> Vec<FlowRecord> {
        decode(&self.datagrams())
    }

    /// Closes the socket; what it received.
    fn close(mut self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.datagrams()
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what} takes too long");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A port of UDP where nobody listens.
fn dead_port() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Reads the messages of a connection until it ends, or `enough`.
fn read_messages(stream: &mut TcpStream, mut enough: impl FnMut(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut messages: Vec<Vec<u8>> = Vec::new();
    while !enough(&messages) {
        let mut header = [0; 4];
        match stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => panic!("{error}"),
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut message = header.to_vec();
        message.resize(length, 0);
        match stream.read_exact(&mut message[4..]) {
            Ok(()) => messages.push(message),
            // The exporter was told to stop within it.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => panic!("{error}"),
        }
    }
    messages
}

#[test]
fn a_collector_where_nobody_listens_does_not_hold_up_the_others() {
    // X32, X17
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        let (v4, v6) = (Receiver::bind("127.0.0.1:0"), Receiver::bind("[::1]:0"));
        let mut config = live();
        config.rate_limit = 400;
        let collectors = [dead_port(), v4.address.to_string(), v6.address.to_string()];
        let mut delivery = open(config, version, &collectors);
        (0..2_000).for_each(|number| delivery.handle_flow(&flow(number).into(), NOW).unwrap());
        delivery.finish(NOW).unwrap();
        let accounts = delivery.accounts();
        for receiver in [&v4, &v6] {
            wait_until("receiving", || receiver.flows().len() >= 2_000);
            assert_eq!(
                receiver.flows().iter().map(number).collect::<Vec<_>>(),
                (0..2_000).collect::<Vec<_>>()
            );
        }
        assert!(accounts[0].send.refused > 0 && accounts[0].is_down, "{:?}", accounts[0]);
        assert!(accounts[1..].iter().all(|account| account.send.refused == 0 && !account.is_down));
        assert!(accounts.iter().all(|account| account.session.flows == 2_000));
    }
}

#[test]
fn a_collector_that_comes_back_gets_templates_at_once() {
    // X1, X32: a refresh every 1000 datagrams would come much too late.
    thread::scope(|scope| {
        for version in [ExportVersion::V9, ExportVersion::Ipfix] {
            scope.spawn(move || come_back(version));
        }
    });
}

fn come_back(version: ExportVersion) {
    let address = dead_port();
    let mut delivery = Delivery::new(live());
    let mut config = session(version);
    config.template_refresh_packets = Some(1_000_000);
    delivery.open(Target::Collector(address.parse().unwrap()), config).unwrap();
    let mut sent = 0;
    let mut export = |delivery: &mut Delivery| {
        delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
        sent += 1;
    };
    wait_until("the refusal", || {
        export(&mut delivery);
        delivery.destinations()[0].is_down()
    });
    let receiver = Receiver::bind(&address);
    wait_until("the templates", || {
        export(&mut delivery);
        receiver.datagrams().iter().any(|datagram| has_templates(datagram))
    });
    wait_until("the recovery", || {
        export(&mut delivery);
        !delivery.destinations()[0].is_down()
    });
    delivery.finish(NOW).unwrap();
    let datagrams = receiver.close();
    let first = datagrams.iter().position(|datagram| has_templates(datagram)).unwrap();
    let flows = decode(&datagrams[first..]);
    assert_eq!(number(flows.last().unwrap()), sent - 1);
}

#[test]
fn flows_fail_over_and_come_back() {
    // X1, X32
    thread::scope(|scope| {
        for version in [ExportVersion::V9, ExportVersion::V5] {
            scope.spawn(move || fail_over(version));
        }
    });
}

fn fail_over(version: ExportVersion) {
    let (first, second) = (Receiver::bind("127.0.0.1:0"), Receiver::bind("127.0.0.1:0"));
    let address = first.address.to_string();
    let mut config = live();
    config.distribution = Distribution::Failover;
    let mut delivery = open(config, version, &[address.clone(), second.address.to_string()]);
    let mut sent = 0;
    let mut export = |delivery: &mut Delivery| {
        delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
        sent += 1;
        delivery.handle_timeouts(NOW.saturating_add(Duration::from_millis(sent.into()))).unwrap();
    };
    wait_until("the first collector", || {
        export(&mut delivery);
        first.datagrams().len() > 10
    });
    assert!(second.flows().is_empty());
    let before = first.close();
    wait_until("the failover", || {
        export(&mut delivery);
        second.datagrams().len() > 10
    });
    assert_eq!(delivery.switches(), 1);
    let first = Receiver::bind(&address);
    wait_until("the way back", || {
        export(&mut delivery);
        thread::sleep(Duration::from_millis(1));
        delivery.switches() == 2 && first.datagrams().len() > 20
    });
    delivery.finish(NOW).unwrap();
    let after = first.close();
    let (first_account, second_account) = (&delivery.accounts()[0], &delivery.accounts()[1]);
    let total = first_account.session.flows + second_account.session.flows;
    let second = second.close();
    let numbers = |flows: Vec<FlowRecord>| flows.iter().map(number).collect::<BTreeSet<_>>();
    let first: BTreeSet<_> = numbers(decode(&before)).union(&numbers(decode(&after))).copied().collect();
    let second = numbers(decode(&second));
    if version == ExportVersion::V9 {
        assert_eq!(first.intersection(&second).count(), 0, "no flow goes to both");
        assert_eq!(total, u64::from(sent));
    }
    // Only what was sent to the first one before it was known to be down is lost.
    let arrived = first.union(&second).count() as u64;
    let lost = u64::from(sent) - arrived;
    assert!(lost <= first_account.send.refused * 30, "{lost} of {sent}: {first_account:?}");
}

#[test]
fn flows_are_divided_among_collectors_and_none_is_lost_or_doubled() {
    let receivers: Vec<_> = (0..3).map(|_| Receiver::bind("127.0.0.1:0")).collect();
    let collectors: Vec<_> = receivers.iter().map(|receiver| receiver.address.to_string()).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut config = live();
    config.distribution = Distribution::Balance;
    config.rate_limit = 400;
    let mut delivery = open(config, ExportVersion::Ipfix, &collectors);
    let file = folder.path().join("all.pcap");
    delivery.open(Target::File(file), session(ExportVersion::Ipfix)).unwrap();
    for index in 0..3_000 {
        let there = flow(2 * index);
        let mut back = flow(2 * index + 1);
        (back.source, back.source_port) = (there.destination, there.destination_port);
        (back.destination, back.destination_port) = (there.source, there.source_port);
        delivery.handle_flow(&there.into(), NOW).unwrap();
        delivery.handle_flow(&back.into(), NOW).unwrap();
    }
    delivery.finish(NOW).unwrap();
    let got = |receiver: &Receiver| receiver.flows().len();
    wait_until("receiving", || receivers.iter().map(got).sum::<usize>() >= 6_000);
    let mut seen = BTreeSet::new();
    for receiver in &receivers {
        let numbers: BTreeSet<u32> = receiver.flows().iter().map(number).collect();
        assert!((1_600..2_400).contains(&numbers.len()), "{}", numbers.len());
        // Both directions are together.
        assert!(numbers.iter().all(|number| numbers.contains(&(number ^ 1))));
        assert!(numbers.iter().all(|number| seen.insert(*number)));
    }
    assert_eq!(seen, (0..6_000).collect());
    // A file gets all of them.
    assert_eq!(delivery.accounts()[3].session.flows, 6_000);
}

#[test]
fn the_flows_of_a_balanced_collector_that_is_down_go_to_the_others() {
    // X32
    let receivers = [Receiver::bind("127.0.0.1:0"), Receiver::bind("127.0.0.1:0")];
    let collectors = [dead_port(), receivers[0].address.to_string(), receivers[1].address.to_string()];
    let mut config = live();
    config.distribution = Distribution::Balance;
    let mut delivery = open(config, ExportVersion::V9, &collectors);
    let mut sent = 0;
    wait_until("the refusal", || {
        delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
        sent += 1;
        delivery.destinations()[0].is_down()
    });
    (sent..sent + 1_000).for_each(|number| delivery.handle_flow(&flow(number).into(), NOW).unwrap());
    delivery.finish(NOW).unwrap();
    wait_until("receiving", || {
        let numbers: BTreeSet<u32> =
            receivers.iter().flat_map(Receiver::flows).map(|flow| number(&flow)).collect();
        (sent..sent + 1_000).all(|number| numbers.contains(&number))
    });
}

#[test]
fn a_collector_over_tcp_that_is_not_there_yet_gets_what_waited_for_it() {
    // X25, X1: the listener comes after the flows.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut delivery = open(live(), ExportVersion::Ipfix, &[format!("tcp://{address}")]);
    (0..1_000).for_each(|number| delivery.handle_flow(&flow(number).into(), NOW).unwrap());
    wait_until("a failed attempt", || delivery.accounts()[0].send.failed_connections > 1);
    assert!(delivery.destinations()[0].is_down() && delivery.destinations()[0].failure().is_some());
    let listener = TcpListener::bind(address).unwrap();
    let thread = thread::spawn(move || read_messages(&mut listener.accept().unwrap().0, |_| false));
    wait_until("the connection", || delivery.accounts()[0].send.connections == 1);
    delivery.finish(NOW).unwrap();
    drop(delivery);
    let messages = thread.join().unwrap();
    assert!(has_templates(&messages[0]));
    assert_eq!(messages.iter().filter(|message| has_templates(message)).count(), 1);
    assert_eq!(decode(&messages).iter().map(number).collect::<Vec<_>>(), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn by_default_a_collector_over_tcp_is_not_tried_again_within_a_minute() {
    // X25
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = SendConfig::default();
    assert_eq!(config.reconnect, Duration::from_secs(60));
    let mut delivery = open(config, ExportVersion::Ipfix, &[format!("tcp://{address}")]);
    delivery.handle_flow(&flow(0).into(), NOW).unwrap();
    wait_until("the attempt", || delivery.accounts()[0].send.failed_connections == 1);
    let start = Instant::now();
    // The end is not waited for either.
    delivery.finish(NOW).unwrap();
    let account = &delivery.accounts()[0];
    assert_eq!((account.send.failed_connections, account.send.lost, account.send.not_sent.flows), (1, 1, 1));
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_connection_that_is_lost_is_made_again_with_templates_first() {
    // X1, X12, X16, X17: a new connection is a new transport session.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (into, connections) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..3 {
            let mut stream = listener.accept().unwrap().0;
            // Two connections are closed in the middle, the third one goes on to its end.
            let number = into.send(None).map_or(3, |()| 0);
            assert_eq!(number, 0);
            let messages = read_messages(&mut stream, |messages| messages.len() >= 5);
            into.send(Some(messages)).unwrap();
        }
    });
    let mut delivery = open(live(), ExportVersion::Ipfix, &[format!("tcp://{address}")]);
    let mut sent = 0;
    let mut ended = Vec::new();
    wait_until("three connections", || {
        (0..40).for_each(|_| {
            delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
            sent += 1;
        });
        ended.extend(connections.try_iter().flatten());
        ended.len() == 3
    });
    for messages in &ended {
        assert!(has_templates(&messages[0]), "templates come first");
        assert_eq!(messages.iter().filter(|message| has_templates(message)).count(), 1, "and once");
        let headers: Vec<u32> = messages
            .iter()
            .map(|message| ipfix::Message::parse(message).unwrap().header().sequence())
            .collect();
        assert_eq!(headers[0], 0);
        assert!(!decode(messages).is_empty());
    }
    assert!(delivery.accounts()[0].send.connections >= 3);
}

#[test]
fn a_connection_that_is_not_read_loses_what_does_not_fit_and_holds_up_nothing() {
    // X16, X33
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let other = Receiver::bind("127.0.0.1:0");
    let mut config = live();
    config.queue_octets = 200_000;
    let mut delivery =
        open(config, ExportVersion::Ipfix, &[format!("tcp://{address}"), other.address.to_string()]);
    let mut stream = listener.accept().unwrap().0;
    let mut sent = 0u32;
    // The kernel keeps some megabytes.
    while delivery.accounts()[0].send.overflow < 50 {
        (0..500).for_each(|_| {
            delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
            sent += 1;
        });
        assert!(sent < 5_000_000, "the queue is bounded");
    }
    // Now it reads, and gets what comes behind the gap.
    let reader = thread::spawn(move || read_messages(&mut stream, |_| false));
    wait_until("room", || {
        let before = delivery.accounts()[0].send.overflow;
        (0..100).for_each(|_| {
            delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
            sent += 1;
        });
        delivery.accounts()[0].send.overflow == before
    });
    delivery.finish(NOW).unwrap();
    let account = delivery.accounts()[0].clone();
    drop(delivery);
    let messages = reader.join().unwrap();
    let flows = decode(&messages);
    assert_eq!(flows.len() as u64 + account.send.not_sent.flows, u64::from(sent), "{account:?}");
    assert_eq!(account.send.not_sent.packets, 3 * account.send.not_sent.flows);
    // The gaps of the sequence numbers are what was lost.
    let (mut expected, mut gaps) = (0u32, 0u64);
    let mut decoder = Decoder::new();
    for message in &messages {
        let sequence = ipfix::Message::parse(message).unwrap().header().sequence();
        gaps += u64::from(sequence.wrapping_sub(expected));
        let records: usize = decoder
            .decode(&0, message, NOW)
            .unwrap()
            .map(|batch| match batch {
                Batch::Data(records) | Batch::Options(records) => records.count(),
                _ => 0,
            })
            .sum();
        expected = sequence.wrapping_add(u32::try_from(records).unwrap());
    }
    assert_eq!(gaps, account.send.not_sent.flows);
    assert_eq!(account.send.connections, 1);
    drop(other);
}

#[test]
fn a_collector_that_reads_nothing_is_disconnected_and_the_end_is_bounded() {
    // X26, X33
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = live();
    config.stall = Duration::from_millis(300);
    config.drain = Duration::from_millis(300);
    config.queue_octets = 1 << 20;
    let mut delivery = open(config, ExportVersion::Ipfix, &[format!("tcp://{address}")]);
    let first = listener.accept().unwrap().0;
    let mut sent = 0;
    wait_until("the disconnection", || {
        (0..5_000).for_each(|_| {
            delivery.handle_flow(&flow(sent).into(), NOW).unwrap();
            sent += 1;
        });
        delivery.accounts()[0].send.connections >= 2
    });
    drop(first);
    delivery.finish(NOW).unwrap();
    let account = &delivery.accounts()[0];
    // Every datagram was sent or is counted.
    let counts = &account.send;
    let all = counts.sent + counts.errors + counts.overflow + counts.lost;
    assert_eq!(account.session.datagrams, all, "{account:?}");
}

#[test]
fn what_cannot_go_over_tcp_is_refused() {
    let mut delivery = Delivery::new(live());
    for version in [ExportVersion::V5, ExportVersion::V9] {
        let target = Target::Collector("tcp://127.0.0.1:4739".parse().unwrap());
        let error = delivery.open(target, session(version)).unwrap_err().to_string();
        assert!(error.contains("tcp://127.0.0.1:4739") && error.contains("IPFIX"), "{error}");
    }
}

#[test]
fn datagrams_are_as_large_as_the_way_carries() {
    // X18, X19
    for (mtu, address, limit) in [
        (Some(700), "127.0.0.1:0", 672),
        (Some(700), "[::1]:0", 652),
        (None, "127.0.0.1:0", 1_472),
        (None, "[::1]:0", 1_452),
    ] {
        let receiver = Receiver::bind(address);
        let mut config = live();
        (config.mtu, config.rate_limit) = (mtu, 500);
        let mut delivery = open(config, ExportVersion::Ipfix, &[receiver.address.to_string()]);
        (0..500).for_each(|number| delivery.handle_flow(&flow(number).into(), NOW).unwrap());
        delivery.finish(NOW).unwrap();
        wait_until("receiving", || receiver.flows().len() >= 500);
        let longest = receiver.close().iter().map(Vec::len).max().unwrap();
        assert!(longest <= limit && longest > limit - 100, "{longest} of {limit}");
    }
}

#[test]
fn the_source_address_is_the_one_that_was_asked_for() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut config = live();
    config.source = Some("127.0.0.2:0".parse().unwrap());
    let mut delivery = open(config.clone(), ExportVersion::V9, &[socket.local_addr().unwrap().to_string()]);
    delivery.handle_flow(&flow(0).into(), NOW).unwrap();
    delivery.finish(NOW).unwrap();
    let (_, from) = socket.recv_from(&mut [0; 2_000]).unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.2");
    // Over TCP as well.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _delivery =
        open(config.clone(), ExportVersion::Ipfix, &[format!("tcp://{}", listener.local_addr().unwrap())]);
    assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.2");
    // One that is not of this host is told, and not fatal.
    config.source = Some("192.0.2.77:0".parse().unwrap());
    let mut delivery = open(config, ExportVersion::V9, &[socket.local_addr().unwrap().to_string()]);
    delivery.handle_flow(&flow(0).into(), NOW).unwrap();
    assert!(delivery.destinations()[0].is_down());
    assert!(delivery.destinations()[0].failure().unwrap().contains("192.0.2.77"));
    delivery.finish(NOW).unwrap();
    assert_eq!(delivery.accounts()[0].send.not_sent.flows, 1);
}
