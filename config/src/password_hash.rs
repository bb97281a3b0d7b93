//! The stored form of an account's password.

use std::fmt;
use std::ops::RangeInclusive;

use crate::problem::Fault;

/// An argon2id hash as a PHC string, whole and within bounds:
/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.
///
/// At least m = 19 456 KiB, t = 2, p = 1 (SEC-3). The costs have an upper bound as well (m 1 GiB, t 16,
/// p 16), so that no line of a configuration can stall all binds. It holds no pepper: a configuration
/// works with a fresh key ring. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Memory in KiB.
const MEMORY: RangeInclusive<u32> = 19_456..=1_048_576;
/// Passes over the memory.
const PASSES: RangeInclusive<u32> = 2..=16;
/// Lanes.
const LANES: RangeInclusive<u32> = 1..=16;
/// Octets of salt; the PHC form allows no others.
const SALT: RangeInclusive<usize> = 8..=48;
/// Octets of hash: below 128 bits it could be guessed.
const HASH: RangeInclusive<usize> = 16..=64;

impl PasswordHash {
    /// The PHC string, for the one place that verifies binds.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks form and bounds. Faults do not repeat the text: it may be a password that someone forgot
    /// to hash.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |what: &str| {
            Fault::new(
                what,
                "run `tidegate hash-password` and write its whole output here",
            )
        };
        let mut fields = text.split('$');
        if fields.next() != Some("") || fields.next() != Some("argon2id") {
            return Err(fault("not an argon2id hash"));
        }
        if fields.next() != Some("v=19") {
            return Err(fault("not version 19 of argon2id"));
        }
        let (Some(costs), Some(salt), Some(hash), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(fault("not a whole hash: costs, salt and hash belong to it"));
        };

        let mut costs = costs.split(',');
        for (name, bounds) in [("m=", MEMORY), ("t=", PASSES), ("p=", LANES)] {
            let cost = costs
                .next()
                .and_then(|cost| cost.strip_prefix(name))
                .and_then(decimal)
                .ok_or_else(|| fault("its costs are not `m=…,t=…,p=…`"))?;
            if !bounds.contains(&cost) {
                return Err(fault(&format!(
                    "{name}{cost} is out of bounds ({} to {})",
                    bounds.start(),
                    bounds.end()
                )));
            }
        }
        if costs.next().is_some() {
            return Err(fault("its costs are not `m=…,t=…,p=…`"));
        }
        for (name, field, bounds) in [("salt", salt, SALT), ("hash", hash, HASH)] {
            let octets = base64_len(field)
                .ok_or_else(|| fault(&format!("its {name} is not base64 without padding")))?;
            if !bounds.contains(&octets) {
                return Err(fault(&format!("its {name} has {octets} octets")));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

/// Digits without sign or leading zero, as the PHC form wants them.
fn decimal(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// Octets that a text of unpadded base64 stands for. Strict, like the verifier's own reading: bits left
/// over at the end are zero.
fn base64_len(text: &str) -> Option<usize> {
    let mut last = 0;
    for octet in text.bytes() {
        last = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
    }
    let left_over = match text.len() % 4 {
        0 => 0,
        2 => last & 0x0f,
        3 => last & 0x03,
        _ => return None,
    };
    (left_over == 0).then_some(text.len() * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0";

    #[test]
    fn a_whole_hash_within_bounds_is_taken_and_never_printed() {
        let hash = PasswordHash::parse(GOOD).unwrap();
        assert_eq!(hash.expose(), GOOD);
        assert_eq!(format!("{hash:?}"), "PasswordHash(***)");
    }

    #[test]
    fn everything_else_is_refused_without_being_repeated() {
        for (from, to, what) in [
            (GOOD, "", "not an argon2id hash"),
            (GOOD, "secret", "not an argon2id hash"),
            ("argon2id", "argon2i", "not an argon2id hash"),
            ("argon2id", "2y", "not an argon2id hash"),
            ("v=19", "v=16", "version"),
            ("v=19$", "", "version"),
            ("m=19456", "m=19455", "m=19455 is out of bounds"),
            ("m=19456", "m=1048577", "out of bounds"),
            ("m=19456", "m=019456", "costs"),
            ("m=19456", "m=+19456", "costs"),
            ("m=19456", "m=99999999999", "costs"),
            ("t=2", "t=1", "t=1 is out of bounds"),
            ("t=2", "t=17", "out of bounds"),
            ("p=1", "p=0", "p=0 is out of bounds"),
            ("p=1", "p=1,keyid=AA", "costs"),
            ("m=19456,t=2", "t=2,m=19456", "costs"),
            ("XyyRamUkVmkzj0sh/+/QmA", "", "salt has 0 octets"),
            (
                "XyyRamUkVmkzj0sh/+/QmA",
                "XyyRamUkVmkzj0sh/+/QmB",
                "salt is not base64",
            ),
            (
                "XyyRamUkVmkzj0sh/+/QmA",
                "XyyRamUkVmkzj0sh/+/QmA==",
                "salt is not base64",
            ),
            (
                "$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0",
                "",
                "not a whole hash",
            ),
            (
                "nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0",
                "nnI+s8jPQKM",
                "hash has 8 octets",
            ),
            ("Ivt0", "Ivt0$", "not a whole hash"),
        ] {
            let fault = PasswordHash::parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(fault.what.contains(what), "{to}: {}", fault.what);
            assert!(fault.remedy.contains("hash-password"));
            assert!(!fault.what.contains("secret") && !fault.what.contains("nnI"));
        }
    }
}
