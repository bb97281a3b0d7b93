//! Links in a text, as far as rules need them: where they begin, and what host they lead to.
//!
//! Whoever hides a link writes it otherwise than it is read, so that a host is mapped as browsers do (UTS #46): full-width and
//! ideographic dots, letters of other cases and what takes no room.

/// Octets that are mapped at once: a name has 253 at most.
const MAPPED_MAX: usize = 1_024;
/// Octets of a host (RFC 1035) that is looked up.
const HOST_MAX: usize = 253;
/// Hosts of one text that rules are asked about: each costs, and a text has room for thousands.
pub(super) const HOSTS_MAX: usize = 64;

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

/// What no host has within it.
const fn is_between(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_')
}

/// Reads all hosts that stand in a piece of a text, mapped and in small letters, at whatever place, because each handset
/// begins a link elsewhere: `Tap/bit.ly`, `Link:bit.ly`. Whether a handset would make a link of the piece, or some of it.
///
/// `ask` is asked about each host, as long as it is allowed `left` of them; what comes behind those is not read.
pub(super) fn read(
    piece: &str,
    host: &mut String,
    left: &mut usize,
    is_ending: impl Fn(&str) -> bool,
    mut ask: impl FnMut(&str),
) -> bool {
    // As a whole: what is hidden in a path may be where a link leads on to.
    let decoded = percent_decoded(piece);
    let piece = decoded.as_deref().unwrap_or(piece);
    let has_scheme = has_scheme(piece);
    let authority = piece.split(['/', '?', '#', '\\']).next().unwrap_or(piece);
    let is_mail = !has_scheme && authority.contains('@');
    let mut is_link = has_scheme;
    let mut rest = piece;
    while !rest.is_empty() {
        let end = rest.find(is_between).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        let mut next = behind.chars();
        let sign = next.next();
        rest = next.as_str();
        if !has_dot(run) {
            continue;
        }
        let has_path = matches!(sign, Some('/' | '?' | '#' | '\\')) && !rest.is_empty();
        let mut one = |host: &str| {
            is_link |= !is_mail && (has_path || ends_as_link(host, &is_ending)) || host.starts_with("www.");
            ask(host);
        };
        for_each_host(run, host, left, &mut one);
        // In a script without blanks the words before and behind are none of it.
        if !run.is_ascii() {
            for run in run.split(|c: char| !c.is_ascii()) {
                for_each_host(run, host, left, &mut one);
            }
        }
    }
    is_link
}

/// Maps a run of a host's characters, and says which hosts are in it.
fn for_each_host(mut run: &str, host: &mut String, left: &mut usize, one: &mut impl FnMut(&str)) {
    while has_dot(run) && *left > 0 {
        let (first, rest) = run.split_at(head(run, MAPPED_MAX).len());
        run = rest;
        let first = first.trim_matches(|c: char| !c.is_alphanumeric());
        if !has_dot(first) {
            continue;
        }
        host.clear();
        if first.is_ascii() {
            host.push_str(first);
            host.make_ascii_lowercase();
            if host.contains("xn--") {
                // What cannot be read stays as it is.
                let (seen, read) = idna::domain_to_unicode(host);
                if read.is_ok() {
                    *host = seen;
                }
            }
        } else {
            *host = idna::domain_to_unicode(first).0;
        }
        // Signs of other scripts are letters' neighbours once they are mapped: a full-width slash is one.
        for host in host.split(is_between) {
            let host = host.trim_matches(|c: char| !c.is_alphanumeric());
            if has_dot(host) && host.len() <= 4 * HOST_MAX && *left > 0 {
                *left -= 1;
                one(host);
            }
        }
    }
}

/// Whether it begins with a scheme and something behind that: no dot is needed then.
fn has_scheme(piece: &str) -> bool {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let Some(at) = piece.find(['/', '?', '#', '\\']) else {
        return false;
    };
    let (before, behind) = piece.split_at(at);
    let authority = behind.trim_start_matches(is_slash);
    let slashes = behind.len() - authority.len();
    let Some(before) = before.strip_suffix(':') else {
        return false;
    };
    let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
    let scheme = scheme.unwrap_or_default();
    let is_web = ["http", "https"]
        .iter()
        .any(|web| scheme.eq_ignore_ascii_case(web));
    let is_there = slashes >= 2 || (slashes == 1 && is_web);
    is_there
        && !scheme.is_empty()
        && authority.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '[' | '%'))
}

/// With each `%2e` as what it stands for; `None` where there is none.
fn percent_decoded(piece: &str) -> Option<String> {
    let mut octets = Vec::new();
    let (mut rest, mut is_other) = (piece.as_bytes(), false);
    if !rest.contains(&b'%') {
        return None;
    }
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%'
            && let [high, low, behind @ ..] = behind
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            octets.push(high << 4 | low);
            rest = behind;
            is_other = true;
        } else {
            octets.push(*first);
        }
    }
    is_other.then(|| String::from_utf8_lossy(&octets).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16)?.try_into().ok()
}

/// Whether a name without anything around it is a link.
fn ends_as_link(host: &str, is_ending: impl Fn(&str) -> bool) -> bool {
    let ending = host.rsplit('.').next().unwrap_or_default();
    let is_country = ending.len() == 2 && ending.bytes().all(|octet| octet.is_ascii_lowercase());
    is_country || is_ending(ending)
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
    /// One that [`read`] has found.
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

    /// The hosts of a piece, and whether it is a link.
    fn hosts(piece: &str) -> (Vec<String>, bool) {
        let (mut host, mut left, mut hosts) = (String::new(), HOSTS_MAX, Vec::new());
        let is_link = read(
            piece,
            &mut host,
            &mut left,
            |ending| ending == "com",
            |host| hosts.push(host.to_owned()),
        );
        (hosts, is_link)
    }

    #[test]
    fn a_host_is_found_however_it_is_written_and_wherever_it_stands() {
        for piece in [
            "bit.ly",
            "BIT.LY/x",
            "https://bit.ly/a?b=c.d",
            "http://me:secret@Bit.Ly:8080#x",
            "bit.ly.",
            "'bit.ly'...",
            "bit\u{3002}ly",
            "\u{ff42}\u{ff49}\u{ff54}\u{ff0e}\u{ff4c}\u{ff59}/x",
            "\u{ff42}\u{ff49}\u{ff54}\u{ff0e}\u{ff4c}\u{ff59}\u{ff0f}x",
            "b\u{200b}it.l\u{ad}y",
            "me@bit.ly",
            "Link:bit.ly/x",
            "Tap/bit.ly/x",
            "#bit.ly",
            "\u{70b9}\u{51fb}bit.ly/x",
            "bit.ly/x?://a.b",
            "http:///bit.ly/x",
            "http:\\bit.ly/x",
            "http:\\\\bit.ly/x",
            "http://bit%2Ely/x",
            "http://%62it.ly",
            "a.b/c=bit.ly",
        ] {
            assert!(hosts(piece).0.iter().any(|host| host == "bit.ly"), "{piece}");
        }
        for piece in [
            "bit", "...", "a/b", "", "/.", "://.", "http://", "50%", "%2", "%zz.%",
        ] {
            assert_eq!(hosts(piece).0, [""; 0], "{piece}");
        }
        // What is longer than any host is none, and takes no time.
        let long = "\u{e4}.".repeat(40_000);
        assert!(hosts(&long).0.iter().all(|host| host.len() <= 4 * HOST_MAX));
        // So many, and no more.
        assert_eq!(hosts(&"a.b/".repeat(1_000)).0.len(), HOSTS_MAX);
    }

    /// Of the longest text that a PDU holds: what is counted is what costs, each name being mapped.
    #[test]
    fn of_a_text_full_of_names_only_so_many_are_asked_about() {
        for word in ["\u{e9}.b ", "a.b ", "\u{e9}. ", "a.b/", "\u{70b9}a.b\u{ff0f}"] {
            let text = word.repeat(65_536 / word.len());
            let (mut host, mut left, mut asked) = (String::new(), HOSTS_MAX, 0);
            for piece in pieces(&text) {
                read(piece, &mut host, &mut left, |_| false, |_| asked += 1);
            }
            let expected = if word.contains(". ") { 0 } else { HOSTS_MAX };
            assert_eq!(asked, expected, "{word}");
        }
    }

    #[test]
    fn a_name_is_a_link_where_a_handset_makes_one_of_it() {
        for piece in [
            "a.com",
            "A.COM",
            "a.de",
            "http://a.example",
            "a.example/x",
            "www.a.example",
            "http://localhost",
            "http:\\2130706433/x",
            "Link:https://a",
            "Tap/bit.ly",
        ] {
            assert!(hosts(piece).1, "{piece}");
        }
        for piece in [
            "3.50",
            "thanks.your",
            "me@a.com",
            "a.example/",
            "://@:",
            "and:/or",
            "http://",
            "a/b://c",
        ] {
            assert!(!hosts(piece).1, "{piece}");
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
