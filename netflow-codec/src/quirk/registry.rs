//! The quirks.
//!
//! What vendors do that is not a matter of decoding, and so has no quirk here:
//!
//! | what | why not |
//! |---|---|
//! | Cisco ASA counts UPDATE deltas and DELETE totals of one flow | whoever adds up flows has to choose; both are decoded |
//! | JunOS ignores its active timeout, and Mikrotik 7 has flows of 2^32 ms and absurd counters | values are what the device says; whoever stores them judges |
//! | Juniper: flowDirection 255; next hop 0 with egress interface 0 for dropped packets | the meaning of a value, not its coding |
//! | Cisco Viptela has 150 and 151 only, 21 and 22 are 0 | absolute times are preferred in any case |
//! | IOS-XR sends uptimes in IPFIX, which has none | not dated unless options say when it booted (160); never 1970 |
//! | Cisco ISR 2951 uses one template id for IPv4 and IPv6 in turn | the last definition is in force; data of the moment before is lost on the sender's side |
//! | Cisco ASR 9010 names a sampler that it never describes | the rate is unknown, which is not 1 |
//! | `ipt_NETFLOW` announces no rate when it does not sample; Huawei sends 0 in the v5 header | the rate is unknown, which is not 1 |
//! | Juniper MX: templates understood after a restart of the line card only | they are not on the wire before |
//! | Juniper MX: options from another port than data; Cisco Catalyst 9300: under another source ID | whose templates and options belong together is a policy of the template cache; for rates see `sampling-of-other-domains` |
//! | Juniper QFX: options records that look like flows | options are told from flows by their template |
//! | Juniper MX480 NAT: records without addresses | presence bits tell |
//! | Nokia (637), VMware (6876), VeloCloud, Procera, Gigamon, IXIA elements; Riverbed's clashing v9 types | definitions of elements that the user adds |
//! | Palo Alto PA-5420: events without time, times off by months | absent is absent; values are what the device says |

/// Whether a [`Quirk`] is on by default.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum QuirkSetting {
    /// On, and can be switched off.
    On,
    /// Off, and can be switched on.
    Off,
    /// On, and cannot be switched: it is decided for each record, or it is what the documents ask for.
    Always,
}

macro_rules! quirks {
    ($(
        $quirk:ident = $name:literal, $setting:ident $($breaks:ident)?,
        $devices:literal,
        $symptom:literal,
        $action:literal,
        $reason:literal;
    )*) => {
        /// A habit of real devices, and what decoding does about it.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Quirk {
            $(
                #[doc = concat!("`", $name, "`: ", $symptom, ".")]
                #[doc = ""]
                #[doc = concat!("Seen of ", $devices, ". What is done: ", $action, ".")]
                #[doc = ""]
                #[doc = concat!(stringify!($setting), " by default: ", $reason, ".")]
                $quirk,
            )*
        }

        impl Quirk {
            /// All quirks.
            pub const ALL: &'static [Self] = &[$(Self::$quirk),*];

            /// Its name, as [`str::parse`] takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$quirk => $name,)*
                }
            }

            /// Devices it was seen of.
            #[must_use]
            pub const fn devices(self) -> &'static str {
                match self {
                    $(Self::$quirk => $devices,)*
                }
            }

            /// What they send.
            #[must_use]
            pub const fn symptom(self) -> &'static str {
                match self {
                    $(Self::$quirk => $symptom,)*
                }
            }

            /// What is done when it is on.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self {
                    $(Self::$quirk => $action,)*
                }
            }

            /// Whether it is on by default.
            #[must_use]
            pub const fn setting(self) -> QuirkSetting {
                match self {
                    $(Self::$quirk => QuirkSetting::$setting,)*
                }
            }

            /// Why that is the default.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Self::$quirk => $reason,)*
                }
            }

            /// Whether an RFC says that what it tolerates is an error.
            #[must_use]
            pub const fn breaks_rules(self) -> bool {
                match self {
                    $(Self::$quirk => quirks!(@breaks $($breaks)?),)*
                }
            }

            pub(super) const fn bit(self) -> u64 {
                1 << self as u8
            }
        }
    };
    (@breaks breaks_rules) => { true };
    (@breaks) => { false };
}

quirks! {
    LongUptimes = "long-uptimes", On,
        "Cisco NX-OS 8.1 (Nexus 7700)",
        "FIRST_SWITCHED and LAST_SWITCHED have 8 octets",
        "the low 32 bits are read",
        "an uptime of more octets cannot mean anything else";
    WideForwardingStatus = "wide-forwarding-status", On,
        "IPFIX exporters that follow the registry's unsigned32",
        "forwardingStatus has 4 octets",
        "the least significant octet is the status",
        "RFC 7270 section 4.12 defines that octet";
    PermanentCounters = "permanent-counters", On,
        "Bison routers",
        "octetTotalCount and packetTotalCount (85, 86) are where octetDeltaCount and packetDeltaCount (1, 2) belong",
        "a typed flow takes its counters from them when there are no others",
        "a flow without counters is of no use, and the record's fields still tell which they are";
    InitiatorCounters = "initiator-counters", On,
        "Cisco ASA (NSEL)",
        "records of firewall events have zeros in elements 1 and 2, and the counters in 231 and 298",
        "of a template with a firewall event (233 or 40005) and both, a typed flow takes 231 and 298",
        "such templates have nothing in 1 and 2";
    IcmpTypeAndCode = "icmp-type-and-code", On,
        "Cisco IOS-XE, among others",
        "ICMP type and code stand in two fields of one octet, one behind the other (176 and 177, or 178 and 179)",
        "a typed flow takes them as one, as it does element 32",
        "both are the same two octets";
    ZeroLengthFields = "zero-length-fields", On,
        "Juniper SRX (scopes of options), integers of an unnamed IPFIX exporter",
        "fields of a template have the length 0",
        "they are fields without octets",
        "the other fields are sound; off, such templates are refused";
    V9VariableLength = "v9-variable-length", On breaks_rules,
        "H3C NetStream",
        "a field of a v9 template has the length 65535, and its values begin with their length, as in IPFIX",
        "it is decoded as in IPFIX",
        "no v9 record has room for 65,535 octets; off, such templates are refused (RFC 5655 appendix B.1.3)";
    ZeroFilledDatagrams = "zero-filled-datagrams", On breaks_rules,
        "Palo Alto",
        "behind the last set, the datagram is filled with zeros",
        "it ends where only zeros follow",
        "zeros are no set, and nothing is lost";
    UncountedPadding = "uncounted-padding", On breaks_rules,
        "Mikrotik RouterOS 6",
        "padding behind a set is not counted in the length of the set",
        "zeros up to the next multiple of 4 are skipped where the datagram ends, or where a set begins behind them and none does before",
        "what else stands there cannot be decoded";
    DecimalTimeFractions = "decimal-time-fractions", Off,
        "Netscaler (154, 155), VPP (156, 157)",
        "the fraction of a time in microseconds or nanoseconds is a count of these, not a binary fraction of a second",
        "it is read as one",
        "both readings are possible times, and RFC 7011 section 6.1.9 gives the other one";
    UptimeAsUnixTime = "uptime-as-unix-time", Off,
        "softflowd 0.9.9",
        "the header has the uptime where the Unix time belongs: seconds before the year 2000",
        "the time of reception is taken for it",
        "captures that are read later would then be dated by when they were captured, others by nothing";
    V5SamplingOf16Bits = "v5-sampling-of-16-bits", Off,
        "Juniper (v5)",
        "the interval in the header takes all 16 bits, those of the mode included",
        "it is read so, and the algorithm is unknown",
        "a mode and a high interval look alike";
    SwappedSamplingInterval = "swapped-sampling-interval", On,
        "Mikrotik RouterOS 6",
        "the interval in data records (34) has its octets reversed: 16777216 for 1",
        "an interval of 2^24 or more whose low 16 bits are 0 is reversed",
        "nobody samples 1 in 16 million by a round number of octets";
    UnknownSamplingAlgorithm = "unknown-sampling-algorithm", On,
        "Fortinet",
        "options announce a sampling algorithm above 2 (35, 49) with an interval that is none",
        "the announcement is ignored",
        "a number that does not exist shows that the record is not what its template says";
    BareSamplingPacketInterval = "bare-sampling-packet-interval", On,
        "exporters that take 305 for 34",
        "samplingPacketInterval (305) above 1 without samplingPacketSpace (306)",
        "it is taken for one packet in so many",
        "without a space it has no other meaning";
    SamplerZeroIsLast = "sampler-zero-is-last", Off,
        "Cisco C7600",
        "data records name sampler 0, which is not announced, and mean the one announced last",
        "that is what they get, where nothing else is known",
        "elsewhere sampler 0 means that the flow was not sampled";
    LoneSampler = "lone-sampler", Off,
        "exporters of templates without a sampler",
        "there is one sampler, and data records do not name it",
        "its rate is taken where nothing else is known",
        "other monitors of the exporter may not sample at all";
    SamplingOfOtherDomains = "sampling-of-other-domains", On,
        "Cisco Catalyst 9300 and IOS-XE, Juniper MX",
        "rates are announced under another source ID, or from another port, than that of the data",
        "where the data's own domain announced none, those of the exporter's other domains are taken",
        "one that was announced is likelier than none";
    SequenceCountsTemplates = "sequence-counts-templates", Off,
        "ntop cento",
        "the IPFIX sequence number counts template records, too",
        "accounts that follow the numbers count them, too (the decoder itself follows none)",
        "RFC 7011 section 3.1 counts data records only";
    BothAddressFamilies = "both-address-families", Always,
        "Cisco IOS-XR (`mpls ipv4-ipv6-fields`), among others",
        "a record has IPv4 and IPv6 addresses, those of one family zero",
        "a typed flow has those that are not zero",
        "only the values can tell";
    RepeatedElements = "repeated-elements", Always,
        "Cisco ISR (HSL) and ASR1000, Forcepoint, Juniper, Open vSwitch",
        "a template has an element more than once",
        "all of them are fields, in order; a typed flow has the first",
        "RFC 7011 section 8 allows it";
    LastInFuture = "last-in-future", Always,
        "Cisco IOS (CSCei12353)",
        "the last packet of a flow is up to seconds later than the header",
        "uptimes up to 100 seconds behind the header's lie in the future, not 49.7 days ago",
        "it is decided for each record, and either reading has to be chosen";
    HighV9Types = "v9-types-above-32767", Always,
        "Cisco ASR1001-X (44999) and TrustSec (34000), ASA (40001 to 40005)",
        "v9 types have the bit that stands for an enterprise in IPFIX",
        "they are plain types, no number of an enterprise follows",
        "RFC 3954 knows no enterprises";
    LongFormLengths = "long-form-lengths", Always,
        "Juniper PTX",
        "values of variable length below 255 octets have a length of 3 octets",
        "both forms are read",
        "RFC 7011 section 7 allows it";
    OddWidths = "odd-widths", Always,
        "Cisco, Huawei, Juniper and others",
        "counters, interfaces and samplers of 1 to 8 octets, whatever the type",
        "numbers of 1 to 8 octets are read",
        "v9 gives no widths, RFC 7011 section 6.2 allows shorter ones";
    OddPadding = "odd-padding", Always,
        "several, Mikrotik among them",
        "padding that is not zero, longer than 3 octets, or missing; a set that no number of records fills",
        "what is shorter than a record is padding",
        "RFC 7011 section 3.3.1 does not rule it out";
    CountIsAHint = "count-is-a-hint", Always,
        "nProbe before 2017",
        "the count in a v9 header is of sets, not of records",
        "it decides nothing; sets are found by their lengths",
        "the datagram's length is the better witness";
    OptionsWithoutScope = "options-without-scope", Always,
        "several v9 exporters",
        "an options template of v9 has no scope field",
        "its records describe the exporter",
        "RFC 5153 section 10.1 expects it of converters";
    LongApplicationIds = "long-application-ids", Always,
        "Fortinet",
        "applicationId has 9 octets",
        "it is an engine and an identifier of any length",
        "RFC 6759 section 4 does not limit it";
}
