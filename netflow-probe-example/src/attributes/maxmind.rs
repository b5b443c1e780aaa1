//! `MaxMind` ASN databases.

use std::path::Path;

use super::{
    load::AttributesError,
    table::{Route, TableBuilder},
};

/// Prefixes read.
pub(super) fn load(path: &Path, builder: &mut TableBuilder) -> Result<u64, AttributesError> {
    #[derive(serde::Deserialize)]
    struct Network {
        autonomous_system_number: Option<u32>,
    }

    let failed = |reason: String| AttributesError::Database { path: path.to_owned(), reason };
    let reader = maxminddb::Reader::open_readfile(path).map_err(|error| failed(error.to_string()))?;
    let mut read = 0;
    for network in
        reader.networks(maxminddb::WithinOptions::default()).map_err(|error| failed(error.to_string()))?
    {
        let network = network.map_err(|error| failed(error.to_string()))?;
        let prefix = network.network().map_err(|error| failed(error.to_string()))?;
        let found: Option<Network> = network.decode().map_err(|error| failed(error.to_string()))?;
        let Some(origin_as) = found.and_then(|network| network.autonomous_system_number) else { continue };
        // A database knows the origin only.
        let route = Route { origin_as, peer_as: origin_as, next_hop: None };
        builder.add(prefix.ip(), prefix.prefix(), 0, route).map_err(|full| failed(full.to_string()))?;
        read += 1;
    }
    Ok(read)
}
