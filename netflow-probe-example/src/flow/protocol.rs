//! The keywords of the IANA registry "Assigned Internet Protocol Numbers".

/// The keyword of an IP protocol, `None` when it has none.
///
/// ```
/// use netflow_probe_example::flow::protocol_keyword;
///
/// assert_eq!(protocol_keyword(6), Some("TCP"));
/// assert_eq!(protocol_keyword(58), Some("IPv6-ICMP"));
/// assert_eq!(protocol_keyword(61), None); // "any host internal protocol"
/// assert_eq!(protocol_keyword(253), None); // for experiments
/// ```
#[must_use]
pub fn protocol_keyword(number: u8) -> Option<&'static str> {
    KEYWORDS.get(usize::from(number)).copied().filter(|keyword| !keyword.is_empty())
}

/// The number of an IP protocol that is given by keyword, in upper or lower case, or by number.
///
/// ```
/// use netflow_probe_example::flow::protocol_number;
///
/// assert_eq!(protocol_number("tcp"), Some(6));
/// assert_eq!(protocol_number("icmp6"), Some(58));
/// assert_eq!(protocol_number("253"), Some(253));
/// assert_eq!(protocol_number("256"), None);
/// ```
#[must_use]
pub fn protocol_number(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    // What /etc/protocols and nfdump call it besides.
    if text.eq_ignore_ascii_case("icmp6") || text.eq_ignore_ascii_case("icmpv6") {
        return Some(58);
    }
    let is_it = |keyword: &&str| !keyword.is_empty() && keyword.eq_ignore_ascii_case(text);
    KEYWORDS.iter().position(is_it).and_then(|number| u8::try_from(number).ok())
}

#[rustfmt::skip]
static KEYWORDS: [&str; 148] = [
    /*   0 */ "HOPOPT", "ICMP", "IGMP", "GGP", "IPv4", "ST", "TCP", "CBT", "EGP", "IGP",
    /*  10 */ "BBN-RCC-MON", "NVP-II", "PUP", "ARGUS", "EMCON", "XNET", "CHAOS", "UDP", "MUX", "DCN-MEAS",
    /*  20 */ "HMP", "PRM", "XNS-IDP", "TRUNK-1", "TRUNK-2", "LEAF-1", "LEAF-2", "RDP", "IRTP", "ISO-TP4",
    /*  30 */ "NETBLT", "MFE-NSP", "MERIT-INP", "DCCP", "3PC", "IDPR", "XTP", "DDP", "IDPR-CMTP", "TP++",
    /*  40 */ "IL", "IPv6", "SDRP", "IPv6-Route", "IPv6-Frag", "IDRP", "RSVP", "GRE", "DSR", "BNA",
    /*  50 */ "ESP", "AH", "I-NLSP", "SWIPE", "NARP", "Min-IPv4", "TLSP", "SKIP", "IPv6-ICMP", "IPv6-NoNxt",
    /*  60 */ "IPv6-Opts", "", "CFTP", "", "SAT-EXPAK", "KRYPTOLAN", "RVD", "IPPC", "", "SAT-MON",
    /*  70 */ "VISA", "IPCV", "CPNX", "CPHB", "WSN", "PVP", "BR-SAT-MON", "SUN-ND", "WB-MON", "WB-EXPAK",
    /*  80 */ "ISO-IP", "VMTP", "SECURE-VMTP", "VINES", "IPTM", "NSFNET-IGP", "DGP", "TCF", "EIGRP", "OSPFIGP",
    /*  90 */ "Sprite-RPC", "LARP", "MTP", "AX.25", "IPIP", "MICP", "SCC-SP", "ETHERIP", "ENCAP", "",
    /* 100 */ "GMTP", "IFMP", "PNNI", "PIM", "ARIS", "SCPS", "QNX", "A/N", "IPComp", "SNP",
    /* 110 */ "Compaq-Peer", "IPX-in-IP", "VRRP", "PGM", "", "L2TP", "DDX", "IATP", "STP", "SRP",
    /* 120 */ "UTI", "SMP", "SM", "PTP", "ISIS over IPv4", "FIRE", "CRTP", "CRUDP", "SSCOPMCE", "IPLT",
    /* 130 */ "SPS", "PIPE", "SCTP", "FC", "RSVP-E2E-IGNORE", "Mobility Header", "UDPLite", "MPLS-in-IP", "manet", "HIP",
    /* 140 */ "Shim6", "WESP", "ROHC", "Ethernet", "AGGFRAG", "NSH", "Homa", "BIT-EMU",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_stand_at_their_numbers() {
        let known = [
            (0, "HOPOPT"),
            (17, "UDP"),
            (29, "ISO-TP4"),
            (41, "IPv6"),
            (47, "GRE"),
            (50, "ESP"),
            (62, "CFTP"),
            (89, "OSPFIGP"),
            (103, "PIM"),
            (112, "VRRP"),
            (115, "L2TP"),
            (132, "SCTP"),
            (137, "MPLS-in-IP"),
            (144, "AGGFRAG"),
        ];
        for (number, keyword) in known {
            assert_eq!(protocol_keyword(number), Some(keyword));
        }
        for unnamed in [61, 63, 68, 99, 114, 148, 255] {
            assert_eq!(protocol_keyword(unnamed), None);
        }
    }
}
