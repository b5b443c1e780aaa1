//! The interfaces that this system has.

use std::{fs, io, path::Path};

use nix::net::if_::{if_nameindex, if_nametoindex};

/// An interface: what collectors are told beside its index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its SNMP index (elements 10, 14).
    pub index: u32,
    /// Its name (element 82).
    pub name: String,
    /// What an administrator called it (element 83); empty if nobody did.
    pub description: String,
}

/// The interfaces of this system, by index.
///
/// # Errors
///
/// When the system does not tell.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let list = if_nameindex()?;
    let mut interfaces: Vec<Interface> = list
        .iter()
        .map(|interface| {
            let name = interface.name().to_string_lossy().into_owned();
            let description = description(&name);
            Interface { index: interface.index(), name, description }
        })
        .collect();
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// The index of an interface, `None` if there is none of that name.
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// `ip link set NAME alias TEXT` sets it.
fn description(name: &str) -> String {
    // A name with a slash would lead elsewhere; Linux has none.
    if name.contains('/') {
        return String::new();
    }
    let path = Path::new("/sys/class/net").join(name).join("ifalias");
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_listed_with_its_index() {
        let found = interfaces().unwrap();
        let loopback = found.iter().find(|interface| interface.name == "lo").unwrap();
        assert_eq!(Some(loopback.index), interface_index("lo"));
        assert_eq!(interface_index("no-such-one"), None);
        assert!(found.is_sorted_by_key(|interface| interface.index));
    }
}
