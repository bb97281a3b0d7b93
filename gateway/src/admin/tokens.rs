//! Tokens of the admin listener: drawn by the gateway, shown once, kept as a hash (SEC-5).
//!
//! They lie in one small file of the data directory, a line of JSON each, replaced as a whole whenever one is made or
//! revoked. Whoever reads that file can say no token by it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rand_core::CryptoRng;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::small_file;

/// Octets of randomness in a token.
const TOKEN_LEN: usize = 32;
/// What a token begins with, so that one that has strayed is known for what it is.
const PREFIX: &str = "tga_";
/// Tokens at a time.
const TOKENS_MAX: usize = 64;
/// Characters of a token's name.
pub const NAME_MAX: usize = 32;
/// Days for which a token may be good.
pub const DAYS_MAX: u64 = 366;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
const FILE: &str = "admin-tokens";
/// Octets of the file at most: far more than so many tokens take.
const FILE_MAX: u64 = 1 << 20;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To look.
    Read,
    /// To look, and to change what the gateway does.
    Operate,
    /// To look, and to see and change what is kept of people, but for what is a tier's (ENC-5).
    Privacy,
    /// To look, and to see and change what is tier `legal`'s: holds, orders to erase, restrictions, disclosures.
    Legal,
    /// To look, and to see and change what is tier `subrec`'s: requests of people.
    Subject,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Operate,
        Self::Privacy,
        Self::Legal,
        Self::Subject,
    ];

    /// For people and files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Privacy => "privacy",
            Self::Legal => "legal",
            Self::Subject => "subject",
        }
    }

    /// Whether it suffices where that one is needed.
    pub fn suffices(self, needed: Self) -> bool {
        needed == Self::Read || self == needed
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.word() == text);
        role.ok_or("one of read, operate, privacy, legal, subject")
    }
}

/// A name of 1 to 32 of a-z, 0-9, `_` and `-`.
///
/// # Errors
///
/// Words for the operator.
pub fn name(text: &str) -> Result<String, &'static str> {
    let is_one = (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|octet| {
            octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'_' | b'-')
        });
    is_one
        .then(|| text.to_owned())
        .ok_or("1 to 32 of a-z, 0-9, _ and -")
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: String,
    role: Role,
    /// SHA-256. A token has more randomness than that could be searched for, so it takes no slow hash.
    hash: [u8; 32],
    made_ms: u64,
    expires_ms: u64,
}

/// Who asks, by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The token's name.
    pub name: String,
    /// What it is good for.
    pub role: Role,
    hash: [u8; 32],
}

impl Bearer {
    /// Which token of its name it is, so that another of that name, made later, is not taken for it: 128 bits of the SHA-256 of
    /// the hash that is kept, in hex.
    pub fn print(&self) -> String {
        let print: [u8; 32] = Sha256::digest(self.hash).into();
        crate::control::hex(&print).chars().take(32).collect()
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    tokens: Mutex<Vec<Token>>,
}

impl Tokens {
    /// Reads those that there are.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not what was written.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        let text = small_file::read(&path, FILE_MAX)?.unwrap_or_default();
        let foreign = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: no tokens", path.display()),
            )
        };
        let tokens = text.lines().map(|line| read(line).ok_or_else(foreign));
        let tokens = tokens.collect::<io::Result<_>>()?;
        Ok(Self {
            path,
            tokens: Mutex::new(tokens),
        })
    }

    /// Who bears this token, if it is one that is good now.
    pub fn bearer(&self, token: &str, now_ms: u64) -> Option<Bearer> {
        let hash = hash(token);
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.iter().find(|token| token.hash == hash)?;
        (now_ms < token.expires_ms).then(|| Bearer {
            name: token.name.clone(),
            role: token.role,
            hash,
        })
    }

    /// The token of this name, as its bearer comes with it, if it is good now.
    pub fn named(&self, name: &str, now_ms: u64) -> Option<Bearer> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.iter().find(|token| token.name == name)?;
        (now_ms < token.expires_ms).then(|| Bearer {
            name: token.name.clone(),
            role: token.role,
            hash: token.hash,
        })
    }

    /// Whether a token that was good when its bearer came still is.
    pub fn is_good(&self, bearer: &Bearer, now_ms: u64) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens
            .iter()
            .any(|token| token.hash == bearer.hash && now_ms < token.expires_ms)
    }

    /// Makes a token and says it, this once. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// In words for the operator.
    pub fn add(
        &self,
        name: &str,
        role: Role,
        days: u64,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Map<String, Value>, String> {
        let mut octets = Zeroizing::new([0; TOKEN_LEN]);
        rng.fill_bytes(&mut octets[..]);
        let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(&octets[..]));
        let token = Zeroizing::new([PREFIX, encoded.as_str()].concat());
        let expires_ms = now_ms.saturating_add(days.min(DAYS_MAX) * DAY_MS);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.iter().any(|token| token.name == name) {
            return Err(format!(
                "there is a token {name:?}: revoke it first, or give this one another name"
            ));
        }
        // What is over is not kept.
        let mut new: Vec<Token> = tokens
            .iter()
            .filter(|token| token.expires_ms > now_ms)
            .cloned()
            .collect();
        if new.len() >= TOKENS_MAX {
            return Err(format!("there are {TOKENS_MAX} tokens: revoke one"));
        }
        new.push(Token {
            name: name.to_owned(),
            role,
            hash: hash(&token),
            made_ms: now_ms,
            expires_ms,
        });
        self.write(&new)?;
        *tokens = new;
        Ok(Map::from_iter([
            ("token".to_owned(), json!(*token)),
            ("expires_ms".to_owned(), json!(expires_ms)),
        ]))
    }

    /// All of them, without what they are.
    pub fn list(&self) -> Map<String, Value> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = tokens.iter().map(|token| {
            json!({
                "name": token.name,
                "role": token.role.word(),
                "made_ms": token.made_ms,
                "expires_ms": token.expires_ms,
            })
        });
        Map::from_iter([("tokens".to_owned(), shown.collect())])
    }

    /// Has a token be good for nothing from now on; says whether there was one. Blocks until that is on disk.
    ///
    /// # Errors
    ///
    /// In words for the operator; the token is good for nothing all the same, until the next start.
    pub fn revoke(&self, name: &str) -> Result<bool, String> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() == before {
            return Ok(false);
        }
        self.write(&tokens)?;
        Ok(true)
    }

    fn write(&self, tokens: &[Token]) -> Result<(), String> {
        let mut text = String::new();
        for token in tokens {
            let line = json!({
                "name": token.name,
                "role": token.role.word(),
                "hash": Base64UrlUnpadded::encode_string(&token.hash),
                "made_ms": token.made_ms,
                "expires_ms": token.expires_ms,
            });
            text.push_str(&line.to_string());
            text.push('\n');
        }
        small_file::replace(&self.path, &text)
            .map_err(|error| format!("the tokens cannot be written: {error}"))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn read(line: &str) -> Option<Token> {
    let line: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |key: &str| line.get(key).and_then(Value::as_str);
    let number = |key: &str| line.get(key).and_then(Value::as_u64);
    let hash = Base64UrlUnpadded::decode_vec(text("hash")?).ok()?;
    Some(Token {
        name: name(text("name")?).ok()?,
        role: text("role")?.parse().ok()?,
        hash: hash.try_into().ok()?,
        made_ms: number("made_ms")?,
        expires_ms: number("expires_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_token_is_good_until_it_is_over_or_revoked_and_is_nowhere_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let tokens = Tokens::open(dir.path()).unwrap();
        let made = tokens.add("grafana", Role::Read, 1, 1_000, &mut rng).unwrap();
        let token = made["token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("tga_") && token.len() > 40);
        let bearer = Bearer {
            name: "grafana".to_owned(),
            role: Role::Read,
            hash: hash(&token),
        };
        assert!(tokens.add("grafana", Role::Read, 1, 1_000, &mut rng).is_err());
        assert_eq!(tokens.named("grafana", 1_000), Some(bearer.clone()));
        assert_eq!(tokens.named("grafana", 1_000 + DAY_MS), None);
        let tokens = Tokens::open(dir.path()).unwrap();
        assert!(tokens.is_good(&bearer, 1_000) && !tokens.is_good(&bearer, 1_000 + DAY_MS));
        assert_eq!(tokens.bearer(&token, 1_000 + DAY_MS - 1), Some(bearer.clone()));
        assert_eq!(tokens.bearer(&token, 1_000 + DAY_MS), None);
        assert_eq!(tokens.bearer(&token[..token.len() - 1], 1_000), None);
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(text.contains("grafana") && !text.contains(&token[4..20]));
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(dir.path().join(FILE)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        assert!(!tokens.list().contains_key("token") && tokens.revoke("grafana").unwrap());
        assert!(!tokens.revoke("grafana").unwrap() && !tokens.is_good(&bearer, 1_000));
        tokens.add("grafana", Role::Read, 1, 1_000, &mut rng).unwrap();
        let other = tokens.named("grafana", 1_000).unwrap();
        assert_eq!(other.name, bearer.name);
        assert_ne!(other.print(), bearer.print(), "another of that name");
        assert_eq!(bearer.print().len(), 32);
        tokens.revoke("grafana").unwrap();
        assert_eq!(tokens.bearer(&token, 1_000), None);
        assert_eq!(Tokens::open(dir.path()).unwrap().bearer(&token, 1_000), None);
    }

    #[test]
    fn a_role_suffices_for_itself_and_for_looking() {
        for role in Role::ALL {
            assert!(role.suffices(Role::Read) && role.suffices(role));
            assert_eq!(role.word().parse(), Ok(role));
        }
        for (role, needed) in Role::ALL
            .into_iter()
            .flat_map(|role| Role::ALL.map(|needed| (role, needed)))
        {
            let is_enough = needed == Role::Read || role == needed;
            assert_eq!(role.suffices(needed), is_enough, "{role:?} for {needed:?}");
        }
    }

    #[test]
    fn there_are_so_many_tokens_and_those_that_are_over_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let tokens = Tokens::open(dir.path()).unwrap();
        for n in 0..TOKENS_MAX {
            tokens.add(&format!("t{n}"), Role::Read, 1, 0, &mut rng).unwrap();
        }
        assert!(tokens.add("more", Role::Read, 1, DAY_MS - 1, &mut rng).is_err());
        tokens.add("more", Role::Read, 1, DAY_MS, &mut rng).unwrap();
        assert_eq!(tokens.list()["tokens"].as_array().unwrap().len(), 1);
        fs::write(dir.path().join(FILE), "{\"name\":\"x\"}\n").unwrap();
        assert!(Tokens::open(dir.path()).is_err(), "not what was written");
    }
}
