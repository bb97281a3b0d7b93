//! Which source addresses an account may use.

use tidegate_codec::address::ADDR_SM;

use crate::problem::Fault;
use crate::value::shown;

/// One entry of `senders`: a number or name, or the beginning of one with a `*` after it. Compared octet
/// by octet, since networks treat `Shop` and `SHOP` as two names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SenderPattern {
    /// This source address only.
    Exact(String),
    /// Every source address that begins so.
    Prefix(String),
}

impl SenderPattern {
    /// Whether a source address fits.
    pub fn matches(&self, sender: &[u8]) -> bool {
        match self {
            Self::Exact(whole) => sender == whole.as_bytes(),
            Self::Prefix(beginning) => sender.starts_with(beginning.as_bytes()),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let (address, open) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let fits = (1..ADDR_SM).contains(&address.len())
            && address
                .bytes()
                .all(|b| b != b'*' && (b == b' ' || b.is_ascii_graphic()));
        if !fits {
            return Err(Fault::new(
                format!("{} is no sender", shown::value(text)),
                "write 1 to 20 printable ASCII characters, `*` at the end for any continuation; \
                 leave the list empty to allow every sender",
            ));
        }
        Ok(if open {
            Self::Prefix(address.to_owned())
        } else {
            Self::Exact(address.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_the_end_only() {
        assert_eq!(
            SenderPattern::parse("Shop"),
            Ok(SenderPattern::Exact("Shop".to_owned()))
        );
        assert_eq!(
            SenderPattern::parse("4477*"),
            Ok(SenderPattern::Prefix("4477".to_owned()))
        );
        for text in [
            "",
            "*",
            "**",
            "44*77",
            "a\nb",
            "caf\u{e9}",
            "123456789012345678901",
        ] {
            assert!(SenderPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn exact_means_exact() {
        let shop = SenderPattern::parse("Shop").unwrap();
        assert!(shop.matches(b"Shop") && !shop.matches(b"SHOP") && !shop.matches(b"Shops"));
        let numbers = SenderPattern::parse("4477*").unwrap();
        assert!(numbers.matches(b"4477") && numbers.matches(b"447700900123") && !numbers.matches(b"447"));
    }
}
