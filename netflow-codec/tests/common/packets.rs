//! Datagrams by hand, from sets, templates and records.

/// A number in so many octets.
pub fn number(value: u64, length: usize) -> Vec<u8> {
    value.to_be_bytes()[8 - length..].to_vec()
}

/// A v9 datagram of this source ID: version, count | uptime | Unix seconds | sequence | source ID | sets.
pub fn v9(source_id: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    v9_at(60_000, 1_700_000_000, 1, source_id, sets)
}

/// The same with all of its header: uptime in milliseconds, Unix seconds, sequence, source ID.
pub fn v9_at(uptime: u32, unix: u32, sequence: u32, source_id: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = vec![0, 9];
    datagram.extend(u16::try_from(sets.len()).unwrap().to_be_bytes());
    for word in [uptime, unix, sequence, source_id] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(sets.concat());
    datagram
}

/// An IPFIX message of this domain: version, length | export time | sequence | domain | sets.
pub fn ipfix(domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    ipfix_at(1_700_000_000, 0, domain, sets)
}

/// The same with all of its header: export time, sequence, domain.
pub fn ipfix_at(export_time: u32, sequence: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut message = vec![0, 10];
    message.extend(u16::try_from(16 + body.len()).unwrap().to_be_bytes());
    for word in [export_time, sequence, domain] {
        message.extend(word.to_be_bytes());
    }
    message.extend(body);
    message
}

/// A v5 datagram of one record, with this word of sampling.
pub fn v5(sampling: u16) -> Vec<u8> {
    let mut datagram = vec![0, 5, 0, 1];
    for word in [60_000, 1_700_000_000, 0, 0_u32] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend([0, 0]);
    datagram.extend(sampling.to_be_bytes());
    datagram.extend([192, 0, 2, 1, 198, 51, 100, 1]);
    datagram.resize(24 + 48, 0);
    datagram
}

/// A set: id, length | body.
pub fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

fn specifiers(fields: &[(u16, u16)]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(element, length)| [element.to_be_bytes(), length.to_be_bytes()].concat())
        .collect()
}

/// A v9 template FlowSet: id, count | element, length | ...
pub fn v9_template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    template(0, id, fields)
}

/// An IPFIX template set.
pub fn ipfix_template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    template(2, id, fields)
}

fn template(set_id: u16, id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap();
    set(set_id, &[&id.to_be_bytes()[..], &count.to_be_bytes(), &specifiers(fields)].concat())
}

/// A v9 options template FlowSet: id, octets of scopes, octets of options | scope type, length | ... | element, length
/// | ... | padding.
pub fn v9_options(id: u16, scopes: &[(u16, u16)], options: &[(u16, u16)]) -> Vec<u8> {
    let octets = |fields: &[(u16, u16)]| u16::try_from(fields.len() * 4).unwrap().to_be_bytes();
    let header = [id.to_be_bytes(), octets(scopes), octets(options)].concat();
    let mut body = [header, specifiers(scopes), specifiers(options)].concat();
    body.resize(body.len().next_multiple_of(4), 0);
    set(1, &body)
}

/// An IPFIX options template set: id, count, count of scopes | element, length | ...
pub fn ipfix_options(id: u16, scopes: usize, fields: &[(u16, u16)]) -> Vec<u8> {
    let counts = [fields.len(), scopes].map(|count| u16::try_from(count).unwrap().to_be_bytes()).concat();
    set(3, &[id.to_be_bytes().to_vec(), counts, specifiers(fields)].concat())
}

/// A record of these numbers, each in so many octets.
pub fn record(values: &[(u64, usize)]) -> Vec<u8> {
    values.iter().flat_map(|(value, length)| number(*value, *length)).collect()
}
