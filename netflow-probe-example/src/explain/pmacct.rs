//! Configurations of pmacctd: `key: value` and `key[plugin]: value`, comments behind `!` or `#`.

use super::translation::{Key, NEEDS_TABLE, Translation, Value, host_port, number};

/// A line with something in it.
struct Line<'a> {
    number: usize,
    key: &'a str,
    /// The plugin it is for; `None` for all.
    plugin: Option<&'a str>,
    value: &'a str,
}

/// Translates such a configuration.
pub(super) fn translate(text: &str, out: &mut Translation) {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['!', '#']) {
            continue;
        }
        match parsed(number, line) {
            Some(line) => lines.push(line),
            None => out.leave(number, "not `key: value`"),
        }
    }
    let plugins: Vec<(&str, &str)> = lines
        .iter()
        .filter(|line| line.key == "plugins")
        .flat_map(|line| plugins(line.value))
        .take(256)
        .collect();
    let kind_of = |name: &str| plugins.iter().find(|plugin| plugin.1 == name).map(|plugin| plugin.0);
    let probes: Vec<&str> =
        plugins.iter().filter(|plugin| plugin.0 == "nfprobe").map(|plugin| plugin.1).collect();
    // There is one exporter here: what is said of the first probe holds for all of them.
    let is_others = |line: &&Line<'_>| {
        line.plugin.is_some_and(|plugin| probes.first() != Some(&plugin) && probes.contains(&plugin))
            && line.key != "nfprobe_receiver"
    };
    for line in lines.iter().filter(|line| !is_others(line)) {
        match line.plugin.map(kind_of) {
            Some(None) => out.leave(line.number, "no plugin has this name"),
            Some(Some(kind)) if kind != "nfprobe" => {
                out.leave(line.number, format!("the plugin {kind} exports no flows"));
            }
            _ => translate_line(line, out),
        }
    }
    for line in lines.iter().filter(is_others) {
        let is_same = |other: &Line<'_>| {
            (other.key, other.value) == (line.key, line.value)
                && other.plugin.is_none_or(|plugin| probes.first() == Some(&plugin))
        };
        if lines.iter().any(is_same) {
            out.accept(line.number);
        } else {
            let name = line.plugin.unwrap_or_default();
            out.leave(
                line.number,
                format!(
                    "is of the plugin {name} alone: that needs an exporter of its own, with another file"
                ),
            );
        }
    }
    if probes.len() > 1 {
        out.note(format!(
            "There were {} probes: the collectors of all of them get what the first one, {}, exported.",
            probes.len(),
            probes.first().unwrap_or(&"nfprobe")
        ));
    }
    if plugins.iter().any(|plugin| plugin.0 == "nfprobe") {
        out.set_default(Key::EXPORT_VERSION, 10);
        // Where it is said, and cannot be understood, nobody else is to get flows.
        if !lines.iter().any(|line| line.key == "nfprobe_receiver") {
            out.set_default(Key::COLLECTOR, "127.0.0.1:2100");
        }
        out.set_default(Key::ACTIVE_TIMEOUT, "604800s");
        out.set_default(Key::INACTIVE_TIMEOUT, "3600s");
        out.set_default(Key::INACTIVE_TIMEOUT_UDP, "300s");
        out.set_default(Key::INACTIVE_TIMEOUT_ICMP, "300s");
        out.set_default(Key::TCP_END, "300s");
        out.set_default(Key::TCP_RESET, "120s");
        if !out.has(Key::READ) {
            out.set_default(Key::INTERFACE, "any");
        }
    } else {
        out.note("No plugin is nfprobe: this exported no flows.");
    }
}

fn parsed(number: usize, line: &str) -> Option<Line<'_>> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim();
    let (key, plugin) = match key.split_once('[') {
        Some((key, plugin)) => (key.trim(), Some(plugin.strip_suffix(']')?.trim())),
        None => (key, None),
    };
    Some(Line { number, key, plugin, value: value.trim() })
}

/// Kinds and names of plugins: a plugin without a name has that of its kind.
fn plugins(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').map(|plugin| {
        let plugin = plugin.trim();
        match plugin.split_once('[') {
            Some((kind, name)) => (kind.trim(), name.trim_end_matches(']').trim()),
            None => (plugin, plugin),
        }
    })
}

fn translate_line(line: &Line<'_>, out: &mut Translation) {
    let Line { number: at, key, value, .. } = *line;
    let mut set = |key: Key, value: Result<Value, String>| match value {
        Ok(value) => out.set(at, key, value),
        Err(reason) => out.leave(at, reason),
    };
    let counted = |accepted| number(value, accepted).map(Value::Number);
    let text = || Ok(Value::from(value));
    match key {
        "plugins" => translate_plugins(at, value, out),
        "interface" | "pcap_interface" => set(Key::INTERFACE, text()),
        "pcap_filter" => set(Key::FILTER, text()),
        "pcap_savefile" => set(Key::READ, text()),
        "pcap_direction" => match value {
            "in" | "out" => set(Key::DIRECTION, text()),
            _ => out.leave(at, "in or out is expected"),
        },
        "promisc" if value == "false" => set(Key::NO_PROMISCUOUS, Ok(Value::Switch)),
        "promisc" => out.accept(at),
        "snaplen" => set(Key::SNAPLEN, counted(1..=262_144)),
        "sampling_rate" => {
            set(
                Key::SAMPLING,
                number(value, 1..=4_294_967_295).map(|rate| format!("random:1:{rate}").into()),
            );
        }
        "nfprobe_receiver" => set(Key::COLLECTOR, receiver(value)),
        "nfprobe_version" => set(Key::EXPORT_VERSION, counted(0..=99)),
        "nfprobe_timeouts" => translate_timeouts(at, value, out),
        "nfprobe_hoplimit" => set(Key::TTL, counted(1..=255)),
        "nfprobe_maxflows" => set(Key::MAX_FLOWS, counted(1..=u64::from(u32::MAX))),
        "nfprobe_source_ip" => set(Key::SOURCE, text()),
        "nfprobe_engine" => set(Key::SOURCE_ID, engine(value).map(Value::Number)),
        "nfprobe_ipprec" => set(Key::DSCP, number(value, 0..=7).map(|precedence| (precedence * 8).into())),
        "nfprobe_mtu" => set(Key::MTU, counted(1..=65_535)),
        "aggregate" => translate_aggregate(at, value, out),
        "nfprobe_direction" | "nfprobe_ifindex" | "nfprobe_ifindex_override" => {
            out.leave(at, "interfaces and directions are those of the system, from the capture");
        }
        "nfprobe_dtls" if value == "false" => out.accept(at),
        "nfprobe_dtls" | "nfprobe_dtls_verify_cert" => out.leave(at, "there is no DTLS"),
        "nfprobe_peer_as" if value == "true" => {
            out.set_noted(at, Key::AUTONOMOUS_SYSTEM_TYPE, "peer", Some(NEEDS_TABLE));
        }
        "nfprobe_peer_as" => out.accept(at),
        "networks_file" | "networks_mask" | "pmacctd_as" | "pmacctd_net" | "bgp_daemon" => {
            out.leave(at, "AS numbers and prefixes come from a table here: name one with `attributes`");
        }
        "nfprobe_dont_cache" if value == "false" => out.accept(at),
        "nfprobe_dont_cache" => set(Key::CACHE, Ok("immediate".into())),
        "daemonize" if value == "false" => out.accept(at),
        "daemonize" | "pidfile" => {
            out.leave(at, "it runs in the foreground, under systemd or whatever starts it");
        }
        "syslog" | "logfile" => out.leave(at, "messages go to standard error, which the journal takes"),
        "debug" if value == "false" => out.accept(at),
        "debug" => out.leave(at, "see --log-level"),
        "aggregate_filter" => {
            out.leave(
                at,
                "which packets are metered is said with `filter`: put it there together with that of others",
            );
        }
        "pcap_ifindex" if value == "sys" => out.accept(at),
        "pcap_ifindex" => out.leave(at, "interfaces have the index that the system gives them"),
        "pmacctd_ext_sampling_rate" => {
            out.leave(
                at,
                "packets that were sampled before are not told as such: tell the collector their rate",
            );
        }
        "plugin_pipe_size" | "plugin_buffer_size" => out.leave(at, "there are no plugins to pass packets to"),
        _ => out.leave(at, format!("`{key}` has no counterpart here")),
    }
}

fn translate_plugins(at: usize, value: &str, out: &mut Translation) {
    for (kind, name) in plugins(value) {
        if kind == "nfprobe" {
            out.accept(at);
        } else {
            out.leave(
                at,
                format!("the plugin {name} exports no flows: it is the collector that stores or prints them"),
            );
        }
    }
}

fn receiver(value: &str) -> Result<Value, String> {
    let wrong = || "address:port or [address]:port is expected".to_owned();
    let (host, port) = value.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || (host.contains(':') && !host.starts_with('[')) {
        return Err(wrong());
    }
    Ok(host_port(host, number(port, 1..=65_535)?).into())
}

/// `type:id` of version 5, or one number.
fn engine(value: &str) -> Result<u64, String> {
    match value.split_once(':') {
        Some((of_type, id)) => Ok(number(of_type, 0..=255)? * 256 + number(id, 0..=255)?),
        None => number(value, 0..=u64::from(u32::MAX)),
    }
}

fn translate_timeouts(at: usize, value: &str, out: &mut Translation) {
    for part in value.split(':') {
        let Some((name, seconds)) = part.split_once('=') else {
            out.leave(at, format!("{part:?} is not name=seconds"));
            continue;
        };
        let seconds = match number(seconds.trim(), 0..=u64::from(u32::MAX)) {
            Ok(seconds) => seconds,
            Err(reason) => {
                out.leave(at, reason);
                continue;
            }
        };
        match name.trim() {
            "maxlife" => out.set(at, Key::ACTIVE_TIMEOUT, format!("{seconds}s")),
            "general" => out.set(at, Key::INACTIVE_TIMEOUT, format!("{seconds}s")),
            "expint" => out.leave(at, "expint: flows end when their time is up, not when they are looked at"),
            "tcp" => out.set(at, Key::INACTIVE_TIMEOUT_TCP, format!("{seconds}s")),
            "tcp.fin" => out.set(at, Key::TCP_END, format!("{seconds}s")),
            "tcp.rst" => out.set(at, Key::TCP_RESET, format!("{seconds}s")),
            "udp" => out.set(at, Key::INACTIVE_TIMEOUT_UDP, format!("{seconds}s")),
            "icmp" => out.set(at, Key::INACTIVE_TIMEOUT_ICMP, format!("{seconds}s")),
            name => out.leave(at, format!("{name}: there is no such timeout")),
        }
    }
}

/// Primitives that are part of the key, with its words for them. The first five are those of the usual key.
const KEYS: [(&str, &str); 10] = [
    ("src_host", "ipv4 source address"),
    ("dst_host", "ipv4 destination address"),
    ("src_port", "transport source-port"),
    ("dst_port", "transport destination-port"),
    ("proto", "ipv4 protocol"),
    ("tos", "ipv4 tos"),
    ("in_iface", "interface input"),
    ("src_mac", "datalink mac source address"),
    ("dst_mac", "datalink mac destination address"),
    ("vlan", "datalink vlan"),
];

fn translate_aggregate(at: usize, value: &str, out: &mut Translation) {
    let primitives: Vec<&str> = value.split(',').map(str::trim).collect();
    let is_there = |(name, _): &&(&str, &str)| primitives.contains(name);
    let is_usual =
        KEYS.iter().take(5).all(|key| is_there(&key)) && !KEYS.iter().skip(7).any(|key| is_there(&key));
    if !is_usual {
        for (_, words) in KEYS.iter().filter(is_there) {
            out.set(at, Key::KEY, *words);
        }
    }
    for primitive in primitives {
        match primitive {
            "out_iface" | "tcpflags" | "flows" | "etype" | "timestamp_start" | "timestamp_end" => {
                out.accept(at);
            }
            known if KEYS.iter().any(|(name, _)| *name == known) => out.accept(at),
            "src_as" | "dst_as" | "src_net" | "dst_net" | "src_mask" | "dst_mask" | "peer_dst_ip"
            | "peer_src_as" | "peer_dst_as" | "as_path" | "std_comm" => out.leave(
                at,
                format!("{primitive}: comes from a table of prefixes, if one is named with `attributes`"),
            ),
            _ => out.leave(at, format!("{primitive}: is not in the records")),
        }
    }
}
