//! Countries by their codes of two letters.

use core::fmt;

/// A country, as ISO 3166-1 codes it; Kosovo is XK, as databases have it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Country(u8);

/// The countries of both ends of a flow, where they are known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Countries {
    /// That of the source address.
    pub source: Option<Country>,
    /// That of the destination address.
    pub destination: Option<Country>,
}

impl Country {
    /// The country of a code, in upper or lower case.
    ///
    /// ```
    /// use netflow_probe_example::flow::Country;
    ///
    /// assert_eq!(Country::of("de").map(Country::code), Some("DE"));
    /// assert_eq!(Country::of("XX"), None);
    /// ```
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        let place = CODES.binary_search_by(|known| {
            let code = code.bytes().map(|letter| letter.to_ascii_uppercase());
            known.bytes().cmp(code)
        });
        u8::try_from(place.ok()?).ok().map(Self)
    }

    /// The country of a number, see [`Self::number`].
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        (usize::from(number) < CODES.len()).then_some(Self(number))
    }

    /// Its place among all countries.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        CODES.get(usize::from(self.0)).copied().unwrap_or("")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[rustfmt::skip]
static CODES: [&str; 250] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ",
    "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS",
    "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN",
    "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE",
    "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF",
    "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM",
    "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM",
    "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC",
    "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK",
    "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA",
    "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG",
    "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RU", "RW",
    "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS",
    "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO",
    "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI",
    "VN", "VU", "WF", "WS", "XK", "YE", "YT", "ZA", "ZM", "ZW",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_again() {
        assert!(CODES.is_sorted());
        for (code, number) in CODES.iter().zip(0..) {
            let country = Country::of(code).unwrap();
            assert_eq!((country.number(), country.code()), (number, *code));
            assert_eq!(Country::of_number(number), Some(country));
        }
        for wrong in ["", "D", "DEU", "XX", "ÄÄ"] {
            assert_eq!(Country::of(wrong), None);
        }
    }
}
