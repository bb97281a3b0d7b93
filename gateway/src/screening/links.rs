//! Links in a text, as far as rules need them: where they begin, and what host they lead to.
//!
//! Whoever hides a link writes it otherwise than it is read, so that a host is mapped as browsers do (UTS #46): full-width and
//! ideographic dots, letters of other cases and what takes no room.

/// Octets of a piece that are looked at for a host: a name has 253 at most, and something may stand before it.
const PIECE_MAX: usize = 1_024;
/// Octets of a host (RFC 1035) that is looked up.
const HOST_MAX: usize = 253;

/// What no link goes on behind.
const fn is_end(c: char) -> bool {
    matches!(
        c,
        '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '|' | ',' | ';' | '!' | '*'
            | '\u{ab}' | '\u{bb}' | '\u{201c}'..='\u{201f}' | '\u{3001}' | '\u{300a}'..='\u{3011}'
            | '\u{ff08}' | '\u{ff09}' | '\u{ff0c}' | '\u{ff01}' | '\u{ff1b}'
    )
}

/// The pieces of a text in which no link stands across two.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || is_end(c))
        .filter(|piece| !piece.is_empty())
}

/// Whether a dot of any script stands in it.
fn has_dot(piece: &str) -> bool {
    piece.contains(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'])
}

/// Writes the host that a piece of a text names, mapped and in small letters; whether there is one.
pub(super) fn read_host(piece: &str, host: &mut String) -> bool {
    host.clear();
    let piece = head(piece, PIECE_MAX);
    if !has_dot(piece) {
        return false;
    }
    if piece.is_ascii() {
        host.push_str(host_of(piece).0);
        host.make_ascii_lowercase();
        if host.contains("xn--") {
            // What cannot be read stays as it is.
            let (seen, read) = idna::domain_to_unicode(host);
            if read.is_ok() {
                *host = seen;
            }
        }
    } else {
        let (mapped, _) = idna::domain_to_unicode(piece);
        host.push_str(host_of(&mapped).0);
    }
    has_dot(host) && host.len() <= 4 * HOST_MAX
}

/// The host in a piece, and whether a scheme stands before it, or a path behind it.
fn host_of(piece: &str) -> (&str, bool) {
    let (rest, has_scheme) = match piece.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (piece, false),
    };
    let (authority, has_path) = match rest.split_once(['/', '?', '#', '\\']) {
        Some((authority, path)) => (authority, !path.is_empty()),
        None => (rest, false),
    };
    let is_mail = !has_scheme && authority.contains('@');
    let behind_user = authority.rsplit('@').next().unwrap_or(authority);
    let host = behind_user.split(':').next().unwrap_or(behind_user);
    let host = host.trim_matches(|c: char| !c.is_alphanumeric());
    (host, !is_mail && (has_scheme || has_path))
}

/// Whether a handset would make a link of a piece with this host.
pub(super) fn is_link(piece: &str, host: &str, is_ending: impl Fn(&str) -> bool) -> bool {
    if host_of(head(piece, PIECE_MAX)).1 || host.starts_with("www.") {
        return true;
    }
    let ending = host.rsplit('.').next().unwrap_or_default();
    let is_country = ending.len() == 2 && ending.bytes().all(|octet| octet.is_ascii_lowercase());
    !piece.contains('@') && (is_country || is_ending(ending))
}

fn head(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A host as it is looked up.
pub(super) struct Host<'h> {
    ascii: std::borrow::Cow<'h, str>,
    seen: Option<&'h str>,
}

impl<'h> Host<'h> {
    /// One that [`read_host`] has written.
    pub(super) fn new(host: &'h str) -> Self {
        if host.is_ascii() {
            return Self {
                ascii: host.into(),
                seen: None,
            };
        }
        let ascii = idna::domain_to_ascii(host).map_or(host.into(), Into::into);
        Self {
            ascii,
            seen: Some(host),
        }
    }

    /// It, and all that it lies below: of `a.b.c` that, `b.c` and `c`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let host = self.ascii.as_ref();
        let host = if host.len() > HOST_MAX { "" } else { host };
        let behind_dots = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
        std::iter::once(host).chain(behind_dots)
    }

    /// As it is seen, where that has other letters than ASCII's.
    pub(super) const fn seen(&self) -> Option<&'h str> {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(piece: &str) -> Option<String> {
        let mut host = String::new();
        read_host(piece, &mut host).then_some(host)
    }

    #[test]
    fn a_host_is_found_however_it_is_written() {
        for piece in [
            "bit.ly",
            "BIT.LY/x",
            "https://bit.ly/a?b=c.d",
            "http://me:secret@Bit.Ly:8080#x",
            "bit.ly.",
            "'bit.ly'...",
            "bit\u{3002}ly",
            "\u{ff42}\u{ff49}\u{ff54}\u{ff0e}\u{ff4c}\u{ff59}/x",
            "b\u{200b}it.l\u{ad}y",
            "me@bit.ly",
        ] {
            assert_eq!(host(piece).as_deref(), Some("bit.ly"), "{piece}");
        }
        for piece in ["bit", "...", "a/b.c", "", "/.", "://."] {
            assert_eq!(host(piece), None, "{piece}");
        }
        // What is longer than any host is none, and takes no time.
        let long = "\u{e4}.".repeat(40_000);
        assert!(host(&long).is_none_or(|host| host.len() <= 4 * HOST_MAX));
    }

    #[test]
    fn a_name_is_a_link_where_a_handset_makes_one_of_it() {
        let is = |piece: &str| {
            let host = host(piece).unwrap();
            is_link(piece, &host, |ending| ending == "com")
        };
        for piece in [
            "a.com",
            "A.COM",
            "a.de",
            "http://a.example",
            "a.example/x",
            "www.a.example",
        ] {
            assert!(is(piece), "{piece}");
        }
        for piece in ["3.50", "thanks.your", "me@a.com", "a.example/"] {
            assert!(!is(piece), "{piece}");
        }
        let pieces: Vec<&str> = pieces("(see a.com, b.com)\u{201c}c.com\u{201d} !").collect();
        assert_eq!(pieces, ["see", "a.com", "b.com", "c.com"]);
    }

    #[test]
    fn a_host_lies_below_its_endings() {
        let names = |host| Host::new(host).names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names("a.b.c"), ["a.b.c", "b.c", "c"]);
        assert_eq!(names("b\u{fc}cher.de"), ["xn--bcher-kva.de", "de"]);
        assert_eq!(names(&"a.".repeat(200)), [""]);
    }
}
