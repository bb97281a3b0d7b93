//! How the vectors are written down.

use serde_json::Value;

pub(crate) fn vectors(text: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(text).expect("testdata is JSON");
    all.as_array().expect("an array").clone()
}

pub(crate) fn octets(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex");
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

pub(crate) fn name(vector: &Value) -> &str {
    vector["name"].as_str().expect("a name")
}
