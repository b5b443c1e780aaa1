//! The reference vectors.

/// The octets of a vector, `None` when the shared material is missing.
pub fn vector(name: &str) -> Option<Vec<u8>> {
    let path = super::shared("reference/wire-vectors.json")?;
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let entry =
        vectors.as_array().unwrap().iter().find(|entry| entry["name"] == name).expect("a known vector");
    let hex = entry["hex"].as_str().unwrap();
    let octets: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    assert_eq!(octets.len() as u64, entry["len"].as_u64().unwrap());
    Some(octets)
}
