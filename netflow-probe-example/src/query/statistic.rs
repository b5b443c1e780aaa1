//! A statistic as nfdump's `-s` names it.

use super::{
    groups::{Groups, Order},
    key::{Key, NAMES},
};

/// Which groups to make, and in which orders to show them: `srcip/bytes`, `port:p/packets/flows`, `record/bps`.
#[derive(Clone, Debug)]
pub struct Statistic {
    /// Its name: what stands before the orders.
    pub name: String,
    /// What flows are grouped by.
    pub keys: Vec<Key>,
    /// Each gives a table.
    pub orders: Vec<Order>,
}

/// The five members by which nfdump aggregates flows to a record.
pub(super) const RECORD: [&str; 5] = ["proto", "srcip", "dstip", "srcport", "dstport"];

impl Statistic {
    /// Understands the text of a `-s`.
    ///
    /// # Errors
    ///
    /// A text that says which part is unknown, and what is known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let name = parts.next().unwrap_or_default();
        let (element, by_protocol) = match name.split_once(':') {
            None => (name, false),
            Some((element, letter)) if letter.eq_ignore_ascii_case("p") => (element, true),
            Some((_, other)) => return Err(format!("`:{other}` is unknown; `:p` splits by protocol")),
        };
        let mut keys = if element.eq_ignore_ascii_case("record") {
            parse_keys(&RECORD.join(","))?
        } else {
            vec![parse_key(element)?]
        };
        if by_protocol {
            keys.insert(0, parse_key("proto")?);
        }
        let order = |order: &str| {
            Order::parse(order)
                .ok_or_else(|| format!("order `{order}` is unknown; known are {}", Order::NAMES))
        };
        let orders: Vec<Order> = parts.map(order).collect::<Result<_, _>>()?;
        let orders = if orders.is_empty() { vec![Order::default()] } else { orders };
        Ok(Self { name: name.to_ascii_lowercase(), keys, orders })
    }

    /// Empty groups for it.
    #[must_use]
    pub fn groups(&self, capacity: usize) -> Groups {
        Groups::new(self.keys.clone(), capacity, self.orders.first().copied().unwrap_or_default())
    }
}

/// Understands the list of a `-A`.
///
/// # Errors
///
/// A text that says which key is unknown, and which are known.
pub fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    text.split(',').map(|name| parse_key(name.trim())).collect()
}

fn parse_key(name: &str) -> Result<Key, String> {
    Key::parse(name).ok_or_else(|| format!("`{name}` is unknown; known are {NAMES}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_as_nfdump_writes_them() {
        let statistic = Statistic::parse("port:p/bytes/flows").unwrap();
        let names: Vec<_> = statistic.keys.iter().map(Key::name).collect();
        assert_eq!((names, statistic.orders), (vec!["proto", "port"], vec![Order::Octets, Order::Flows]));
        assert_eq!(Statistic::parse("record").unwrap().keys.len(), 5);
        assert_eq!(Statistic::parse("srcip").unwrap().orders, [Order::Flows]);
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert!(
            Statistic::parse("srcipp")
                .unwrap_err()
                .starts_with("`srcipp` is unknown; known are proto, srcip")
        );
        assert!(Statistic::parse("srcip/octet").unwrap_err().starts_with("order `octet` is unknown"));
        assert!(Statistic::parse("srcip:x").unwrap_err().contains("`:p`"));
        assert!(parse_keys("srcip4/33").is_err() && parse_keys("srcip,,dstip").is_err());
    }
}
