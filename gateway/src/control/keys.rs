//! The key-encryption key at the control socket: how it stands, and a rotation to another one. The keeper does it, which
//! has the ring.

use std::fmt;

use serde_json::{Map, Value, json};
use tidegate_store::disk::Disk;
use tidegate_store::keyring::Tier;
use tokio::sync::oneshot;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Answer, VERSION};
use crate::keeper::RingOrder;
use crate::kek;
use crate::serve::Hub;

/// The key of a request's line that holds the octets.
const KEK: &str = "kek";
/// The key of a request's line that says of which tier's ring it is; without it the main one's.
const TIER: &str = "tier";
/// Octets of a key.
const KEY_LEN: usize = 32;

/// A key-encryption key on its way to the ring. Wiped when it is dropped; it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKek(Zeroizing<[u8; KEY_LEN]>);

impl NewKek {
    /// Of its octets.
    pub const fn new(octets: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    pub(super) fn request(&self, tier: Option<Tier>) -> Value {
        let digits: String = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
        let mut request = json!({ "version": VERSION, "verb": "key rotate-kek", KEK: digits });
        if let (Some(tier), Some(request)) = (tier, request.as_object_mut()) {
            request.insert(TIER.to_owned(), json!(tier.word()));
        }
        request
    }

    /// Whether they are the right digits is not told apart from whether there are any: nothing of them is repeated.
    pub(super) fn read(request: &Map<String, Value>) -> Result<Self, String> {
        let digits = request.get(KEK).and_then(Value::as_str);
        let octets = digits.and_then(|digits| kek::hex(digits.as_bytes()));
        octets
            .map(Self)
            .ok_or_else(|| format!("\"{KEK}\" is not 64 hex digits"))
    }
}

impl fmt::Debug for NewKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKek(***)")
    }
}

/// Of which tier's ring the key of a request is; the main one's (`None`) where it does not say.
pub(super) fn tier(request: &Map<String, Value>) -> Result<Option<Tier>, String> {
    match request.get(TIER) {
        None | Some(Value::Null) => Ok(None),
        Some(tier) => {
            let tier = tier.as_str().unwrap_or_default().parse();
            tier.map(Some).map_err(|why| format!("\"{TIER}\" is {why}"))
        }
    }
}

/// Wipes what a request that is read still holds of a key.
pub(super) fn wipe(request: &mut Map<String, Value>) {
    if let Some(Value::String(digits)) = request.get_mut(KEK) {
        digits.zeroize();
    }
}

/// Has the keeper do it.
pub(super) async fn ordered<D: Disk>(
    hub: &Hub<D>,
    order: impl FnOnce(oneshot::Sender<Answer>) -> RingOrder,
) -> Answer {
    let orders = hub.key_ring().ok_or("this gateway has no keeper")?;
    let (answer, answered) = oneshot::channel();
    let given = orders.try_send(order(answer));
    given.map_err(|_| "the keeper is busy with other requests, or ends")?;
    answered
        .await
        .unwrap_or_else(|_| Err("the gateway ends".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_key_is_told_without_it_and_it_is_wiped() {
        let digits = "0badc0de".repeat(8);
        for wrong in [
            json!(digits[1..]),
            json!(format!("{digits} ")),
            json!(7),
            Value::Null,
        ] {
            let request = Map::from_iter([(KEK.to_owned(), wrong)]);
            let told = NewKek::read(&request).unwrap_err();
            assert_eq!(told, "\"kek\" is not 64 hex digits");
        }
        let mut request = Map::from_iter([(KEK.to_owned(), json!(digits))]);
        let read = NewKek::read(&request).unwrap();
        assert_eq!(read.octets()[..4], [0x0B, 0xAD, 0xC0, 0xDE]);
        assert_eq!(format!("{read:?}"), "NewKek(***)");
        wipe(&mut request);
        assert_eq!(request[KEK], "");
        assert_eq!(tier(&request), Ok(None));
        for (given, read) in [
            (json!("legal"), Some(Tier::Legal)),
            (json!("cred"), None),
            (json!(1), None),
        ] {
            request.insert(TIER.to_owned(), given);
            assert_eq!(tier(&request).ok(), read.map(Some));
        }
    }
}
