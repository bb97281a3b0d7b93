//! Checkpoints as signed notes: the forms `tlog-checkpoint` and `signed-note` of C2SP, with Ed25519.
//!
//! ```text
//! tidegate/node-0                                   origin
//! 1000                                              entries that it signs
//! qdt9…=                                            their root, base64
//!
//! — tidegate/node-0 ZfX8…==                         name, base64(4 octets that name the key ‖ 64 of the signature)
//! ```
//!
//! The signature covers the lines above the empty one. Whoever has the public key and a checkpoint that was out of the
//! reach of this machine's owner can say of the files whether they are still what was signed.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::tree::Hash;

/// Octets of a checkpoint's text at most, and of a line that holds a key.
pub const NOTE_MAX: usize = 16 * 1024;
/// Signatures that are read of one checkpoint; witnesses may add theirs.
const SIGNATURES_MAX: usize = 16;
/// The kind of key that Ed25519 is to signed notes.
const ED25519: u8 = 1;
/// What stands before an anchor where it is signed. A checkpoint begins with a name, which has no blank: neither is ever taken for the
/// other.
const OF_ANCHOR: &[u8] = b"tidegate aged entries\n";
/// What begins a signature's line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log it is.
    pub origin: String,
    /// Entries that it signs: all up to this sequence number.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> String {
        let Self { origin, size, root } = self;
        format!("{origin}\n{size}\n{}\n", Base64::encode_string(root))
    }
}

/// Why something is no checkpoint, or no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not in the form of a signed note.
    #[error("not a signed checkpoint: origin, size, root in base64, an empty line, signatures")]
    Form,
    /// Not a key.
    #[error("not a public key: `name+hash+base64`, or 32 octets in base64")]
    Key,
    /// A name that cannot stand in a note.
    #[error("the name of a log has 1 to 120 visible characters, none of them a blank or `+`")]
    Name,
}

/// Whether a text can name a log and its key.
pub fn is_name(name: &str) -> bool {
    (1..=120).contains(&name.len())
        && name
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != '+')
}

/// A checkpoint with its signatures, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    signatures: Vec<([u8; 4], [u8; 64])>,
}

impl FromStr for SignedCheckpoint {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        Self::read(note).ok_or(NoteError::Form)
    }
}

impl SignedCheckpoint {
    fn read(note: &str) -> Option<Self> {
        if note.len() > NOTE_MAX {
            return None;
        }
        let (text, signatures) = note.split_once("\n\n")?;
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let checkpoint = Checkpoint {
            origin: is_name(origin).then(|| origin.to_owned())?,
            size: size.parse().ok()?,
            root: Base64::decode_vec(root).ok()?.try_into().ok()?,
        };
        // Our own form and no other: further lines are another log's, and "+1" would be signed as "1".
        if checkpoint.text().strip_suffix('\n') != Some(text) {
            return None;
        }
        let signature = |line: &str| {
            let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
            let octets = Base64::decode_vec(signature).ok()?;
            let (key, signature) = octets.split_first_chunk::<4>()?;
            // Another kind of signature is somebody else's.
            Some(is_name(name).then_some((*key, signature.try_into().ok()?)))
        };
        let lines = signatures.strip_suffix('\n')?.split('\n').take(SIGNATURES_MAX);
        let signatures: Vec<_> = lines.map(signature).collect::<Option<_>>()?;
        Some(Self {
            checkpoint,
            signatures: signatures.into_iter().flatten().collect(),
        })
    }

    /// Whether the owner of a key has signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let text = self.checkpoint.text();
        self.signatures.iter().any(|(_, signature)| {
            let signature = Signature::from_bytes(signature);
            key.key.verify_strict(text.as_bytes(), &signature).is_ok()
        })
    }
}

/// The public key of a log, with its name.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// The four octets that name the key in a signature.
    fn hash(&self) -> [u8; 4] {
        let hash = Sha256::new_with_prefix(self.name.as_bytes());
        let hash = hash
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes());
        let [a, b, c, d, ..]: Hash = hash.finalize().into();
        [a, b, c, d]
    }
}

impl PublicKey {
    /// Whether the owner of the key has signed these octets as an anchor.
    pub(super) fn has_signed_anchor(&self, octets: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        let labelled = [OF_ANCHOR, octets].concat();
        self.key.verify_strict(&labelled, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519];
        typed.extend_from_slice(self.key.as_bytes());
        let hash = u32::from_be_bytes(self.hash());
        write!(f, "{}+{hash:08x}+{}", self.name, Base64::encode_string(&typed))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let key = |octets: Vec<u8>| {
            let octets = <[u8; 32]>::try_from(octets).ok()?;
            VerifyingKey::from_bytes(&octets).ok()
        };
        let text = text.trim();
        let read = || match text.split_once('+') {
            Some((name, rest)) if rest.get(8..9) == Some("+") => {
                let typed = Base64::decode_vec(rest.get(9..)?).ok()?;
                let (&kind, octets) = typed.split_first()?;
                let read = Self {
                    name: name.to_owned(),
                    key: key(octets.to_vec()).filter(|_| kind == ED25519)?,
                };
                (read.to_string() == text).then_some(read)
            }
            _ => Some(Self {
                name: "-".to_owned(),
                key: key(Base64::decode_vec(text).ok()?)?,
            }),
        };
        read().ok_or(NoteError::Key)
    }
}

/// What signs a log's checkpoints. Wiped when dropped; it cannot be printed.
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// A signer of a name, from a seed; the caller wipes its copy of that.
    ///
    /// # Errors
    ///
    /// [`NoteError::Name`] where the name cannot stand in a note.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(seed),
        })
    }

    /// What others check with.
    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signs what stands for entries that came to their end; it is no checkpoint.
    pub(super) fn sign_anchor(&self, octets: &[u8]) -> [u8; 64] {
        self.key.sign(&[OF_ANCHOR, octets].concat()).to_bytes()
    }

    /// Signs so many entries with that root.
    pub(super) fn sign(&self, size: u64, root: Hash) -> String {
        let checkpoint = Checkpoint {
            origin: self.name.clone(),
            size,
            root,
        };
        let mut note = checkpoint.text();
        let mut signature = self.public_key().hash().to_vec();
        signature.extend_from_slice(&self.key.sign(note.as_bytes()).to_bytes());
        let signature = Base64::encode_string(&signature);
        // A String takes everything.
        let _ = writeln!(note, "\n{DASH}{} {signature}", self.name);
        note
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new("tidegate/node-7", &[7; 32]).unwrap()
    }

    #[test]
    fn what_is_signed_is_read_and_holds_under_its_key_only() {
        let note = signer().sign(12, [3; 32]);
        let signed: SignedCheckpoint = note.parse().unwrap();
        assert_eq!((signed.checkpoint.size, signed.checkpoint.root), (12, [3; 32]));
        assert!(signed.is_signed_by(&signer().public_key()));
        let other = Signer::new("tidegate/node-7", &[8; 32]).unwrap();
        assert!(!signed.is_signed_by(&other.public_key()));
        // As others write it: the key's hash stands in front of the signature.
        let line = note.lines().last().unwrap();
        let octets = Base64::decode_vec(line.rsplit(' ').next().unwrap()).unwrap();
        assert_eq!(
            (octets.len(), &octets[..4]),
            (68, &signer().public_key().hash()[..])
        );
        for place in 0..note.len() {
            let mut changed = note.clone().into_bytes();
            changed[place] ^= 1;
            let read = String::from_utf8(changed).ok().and_then(|text| text.parse().ok());
            let holds = read.is_some_and(|read: SignedCheckpoint| read.is_signed_by(&signer().public_key()));
            // The name in front of the signature, and the four octets that name the key, are no part of what is signed.
            let name = note.rfind(DASH).unwrap();
            assert!(!holds || place > name, "octet {place}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_written_or_bare() {
        let key = signer().public_key();
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let bare: PublicKey = Base64::encode_string(key.key.as_bytes()).parse().unwrap();
        assert!(
            signer()
                .sign(1, [0; 32])
                .parse::<SignedCheckpoint>()
                .unwrap()
                .is_signed_by(&bare)
        );
        for wrong in ["", "tidegate", "a+00000000+AAAA", &key.to_string()[1..]] {
            assert_eq!(wrong.parse::<PublicKey>(), Err(NoteError::Key), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let note = signer().sign(12, [3; 32]);
        for wrong in [
            String::new(),
            note.replace("\n12\n", "\n+12\n"),
            note.replace("\n12\n", "\n12\nmore\n"),
            note.replace("\n12\n", "\n-1\n"),
            note.replacen("tidegate", "tide gate", 1),
            note.replace(DASH, "- "),
            "x".repeat(NOTE_MAX + 1),
        ] {
            let read = wrong.parse::<SignedCheckpoint>();
            assert!(
                !read.is_ok_and(|read| read.is_signed_by(&signer().public_key())),
                "{wrong}"
            );
        }
        assert_eq!(Signer::new("a b", &[1; 32]).err(), Some(NoteError::Name));
    }
}
