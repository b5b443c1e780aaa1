//! Commands as people type them: each word cut short where nothing else begins so.

/// Commands outside of parts with a name. A word `*` is whatever there is.
pub(super) const GLOBAL: &[&str] = &[
    "interface *",
    "flow record *",
    "flow exporter *",
    "flow exporter-map *",
    "flow monitor *",
    "flow monitor-map *",
    "sampler *",
    "sampler-map *",
    "flow-sampler-map *",
    "ip flow-export destination *",
    "ip flow-export version * origin-as bgp-nexthop",
    "ip flow-export version * peer-as bgp-nexthop",
    "ip flow-export version * bgp-nexthop",
    "ip flow-export source *",
    "ip flow-export template refresh-rate *",
    "ip flow-export template timeout-rate *",
    "ip flow-export template options export-stats",
    "ip flow-export template options sampler",
    "ip flow-export template options timeout-rate *",
    "ip flow-export template options refresh-rate *",
    "ip flow-export interface-names",
    "ip flow-cache timeout active *",
    "ip flow-cache timeout inactive *",
    "ip flow-cache entries *",
    "ip flow-cache mpls *",
    "ip flow-capture vlan-id",
    "ip flow-capture mac-addresses",
    "ip flow-capture ttl",
    "ip flow-capture packet-length",
    "ip flow-capture icmp",
    "ip flow-capture ip-id",
    "ip flow-capture fragment-offset",
    "ip flow-sampling-mode packet-interval *",
    "ip flow-top-talkers",
    "ip flow-aggregation cache *",
];

pub(super) const INTERFACE: &[&str] = &[
    "description *",
    "ip address *",
    "ip route-cache flow",
    "ip flow ingress",
    "ip flow egress",
    "ip flow monitor * sampler * input",
    "ip flow monitor * sampler * output",
    "ip flow monitor * input",
    "ip flow monitor * output",
    "ipv6 address *",
    "ipv6 flow ingress",
    "ipv6 flow egress",
    "ipv6 flow monitor * sampler * input",
    "ipv6 flow monitor * sampler * output",
    "ipv6 flow monitor * input",
    "ipv6 flow monitor * output",
    "datalink flow monitor *",
    "flow ipv4 monitor *",
    "flow ipv6 monitor *",
    "flow mpls monitor *",
    "flow-sampler *",
];

pub(super) const EXPORTER: &[&str] = &[
    "description *",
    "destination *",
    "source *",
    "transport udp *",
    "export-protocol netflow-v5",
    "export-protocol netflow-v9",
    "export-protocol ipfix",
    "template data timeout *",
    "template options timeout *",
    "template timeout *",
    "option *",
    "options *",
    "ttl *",
    "dscp *",
    "version *",
    "output-features",
    "exit",
];

pub(super) const MONITOR: &[&str] = &[
    "description *",
    "record *",
    "exporter *",
    "cache timeout active *",
    "cache timeout inactive *",
    "cache timeout update *",
    "cache timeout rate-limit *",
    "cache timeout event *",
    "cache entries *",
    "cache type normal",
    "cache type immediate",
    "cache type permanent",
    "cache normal",
    "cache immediate",
    "cache permanent",
    "statistics packet *",
    "exit",
];

pub(super) const SAMPLER: &[&str] = &[
    "description *",
    "granularity *",
    "mode random 1 out-of *",
    "mode random one-out-of *",
    "mode deterministic 1 out-of *",
    "random 1 out-of *",
    "exit",
];

pub(super) const RECORD: &[&str] = &[
    "description *",
    "match ipv4 *",
    "match ipv6 *",
    "match transport source-port",
    "match transport destination-port",
    "match transport tcp *",
    "match transport icmp *",
    "match interface input",
    "match interface output",
    "match flow *",
    "match datalink *",
    "match routing *",
    "match application *",
    "collect ipv4 *",
    "collect ipv6 *",
    "collect transport tcp flags",
    "collect interface input",
    "collect interface output",
    "collect counter bytes long",
    "collect counter packets long",
    "collect flow *",
    "collect routing *",
    "collect datalink *",
    "collect application *",
    "collect timestamp sys-uptime first",
    "collect timestamp sys-uptime last",
    "collect timestamp absolute first",
    "collect timestamp absolute last",
    "exit",
];

/// Writes words out as far as `commands` know them.
pub(super) fn expand(words: &mut [&str], commands: &'static [&'static str]) {
    let mut left: Vec<Vec<&'static str>> =
        commands.iter().map(|command| command.split(' ').collect()).collect();
    for (place, word) in words.iter_mut().enumerate() {
        left.retain(|command| command.len() > place);
        let at = |command: &Vec<&'static str>| command.get(place).copied().unwrap_or_default();
        let Some(whole) = written_out(word, left.iter().map(at)) else {
            if left.iter().any(|command| at(command) == "*") {
                left.retain(|command| at(command) == "*");
                continue;
            }
            return;
        };
        left.retain(|command| at(command) == whole);
        *word = whole;
    }
}

/// The word that is meant: itself, or the only one that begins so. Of words that begin with one another it is the shortest.
fn written_out(word: &str, known: impl Iterator<Item = &'static str> + Clone) -> Option<&'static str> {
    if let Some(exact) = known.clone().find(|known| *known == word) {
        return Some(exact);
    }
    let mut meant = known.filter(|known| known.starts_with(word));
    let shortest = meant.clone().min_by_key(|known| known.len())?;
    meant.all(|known| known.starts_with(shortest)).then_some(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, commands: &'static [&'static str]) -> String {
        let mut words: Vec<&str> = text.split(' ').collect();
        expand(&mut words, commands);
        words.join(" ")
    }

    #[test]
    fn words_are_written_out_where_only_one_is_meant() {
        for (text, whole) in [
            ("ip flow-ex dest 192.0.2.1 9996", "ip flow-export destination 192.0.2.1 9996"),
            ("ip flow-cac time ac 5", "ip flow-cache timeout active 5"),
            ("int gi0/0", "interface gi0/0"),
            ("flow exp A", "flow exporter A"),
            ("sam A", "sampler A"),
            // It could be several, or is something else.
            ("ip flow-c x", "ip flow-c x"),
            ("ip ssh version 2", "ip ssh version 2"),
        ] {
            assert_eq!(expanded(text, GLOBAL), whole);
        }
        assert_eq!(expanded("trans udp 1", EXPORTER), "transport udp 1");
        assert_eq!(expanded("mode ran 1 out 7", SAMPLER), "mode random 1 out-of 7");
        assert_eq!(expanded("ip flow mon M samp S in", INTERFACE), "ip flow monitor M sampler S input");
    }
}
