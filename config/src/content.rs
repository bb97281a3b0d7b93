//! What texts are looked at for (compliance.md FRD-4): rules that come with the program as data, with dates and sources, or an
//! operator's own in a file. What they mean for a message is the gateway's business.

use std::collections::HashMap;
use std::fmt;
use std::num::{NonZeroU8, NonZeroU16};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use jiff::civil::Date;
use toml::de::DeTable;

use crate::ReadFile;
use crate::abuse::AbuseAction;
use crate::hours::{date, source};
use crate::problem::{Fault, Report};
use crate::section::Section;
use crate::value::duration::{hours, minutes};
use crate::value::{choice, duration, integer, path, shown, text};
use crate::words::normalise;

/// The rules that come with the program.
const RULES: &str = include_str!("../data/content.toml");

/// Rules of one file, at most: each has a place of its own among what is counted.
pub const CONTENT_RULES_MAX: usize = 64;
/// Domains or words of one rule, at most.
const ENTRIES_MAX: usize = 10_000;
/// Octets of all words of a file, at most: what looks for them takes a hundred times that memory.
const WORDS_OCTETS_MAX: usize = 262_144;
const ENDINGS_MAX: usize = 2_000;
/// Characters of an id and of a version, at most.
const NAME_MAX: usize = 32;
/// Octets of a word, and of a domain (RFC 1035), at most.
const WORD_MAX: usize = 100;
const DOMAIN_MAX: usize = 253;
/// Senders of one text that are told apart.
const SENDERS_MAX: u16 = 64;
const SENDERS: u16 = 5;
const WITHIN: Duration = hours(24);
const WORDS_MIN: u8 = 5;
const NEAR: u8 = 12;

/// Table `[screening]`; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screening {
    /// Key `file`, default absent (the program's own): rules in a file of their own, in place of all that come with the program.
    /// Relative paths count from the working directory; a reload reads it again.
    pub file: Option<PathBuf>,
    /// What the file says, or the program's own data.
    pub rules: Arc<ContentRules>,
}

impl Default for Screening {
    fn default() -> Self {
        Self {
            file: None,
            rules: shipped(),
        }
    }
}

/// Whether texts of an account are looked at: its terms must allow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreeningMode {
    /// `"off"`: nobody looks.
    Off,
    /// `"observe"`: what a rule finds is counted, whatever its action.
    Observe,
    /// `"on"`: and what the rule says follows.
    On,
}

impl ScreeningMode {
    pub(crate) const WORDS: [(&'static str, Self); 3] =
        [("off", Self::Off), ("observe", Self::Observe), ("on", Self::On)];
}

/// All rules of one file, in its order by kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentRules {
    /// Key `version`, required, 1 to 32 letters, digits, dots, dashes and underscores: which rules these are.
    pub version: String,
    /// Key `refuse_at`, default absent (`None`: never), 1 to 10 000: a message whose rules' scores add up to that is refused.
    pub refuse_at: Option<NonZeroU16>,
    /// Key `endings`, default `[]`, at most 2 000: last labels by which a name without a scheme and a path is a link, besides
    /// those of two letters.
    pub endings: Vec<String>,
    /// Tables `[[domains]]`, `[[words]]`, `[[near_link]]`, `[[look_alikes]]` and `[[senders]]`, at most 64 together.
    pub rules: Vec<ContentRule>,
    /// What looks for the words of all of them.
    pub phrases: Phrases,
}

/// Looks for words and phrases in a text that [`normalise`] has written. Built where the rules are read, so that words nobody
/// could look for are a problem of the file.
#[derive(Clone, Default)]
pub struct Phrases(Option<AhoCorasick>);

impl Phrases {
    /// Where phrases stand in a text: which it is, counting through the rules' words in their order, and from and to which octet.
    pub fn find(&self, text: &str) -> impl Iterator<Item = (usize, Range<usize>)> {
        let found = self.0.as_ref().map(|phrases| phrases.find_overlapping_iter(text));
        found
            .into_iter()
            .flatten()
            .map(|found| (found.pattern().as_usize(), found.range()))
    }
}

impl fmt::Debug for Phrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map_or(0, AhoCorasick::patterns_len);
        write!(f, "Phrases[{count}]")
    }
}

/// They are made of the rules beside them and of nothing else.
impl PartialEq for Phrases {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Phrases {}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRule {
    /// Key `id`, required, 1 to 32 letters, digits, dots, dashes and underscores, once in the file.
    pub id: Arc<str>,
    /// Key `score`, required, 1 to 100.
    pub score: NonZeroU8,
    /// Key `action`, default `"observe"`; `"hold"`, `"refuse"`, `"suspend_sender"`, `"suspend"`.
    pub action: AbuseAction,
    /// What it looks for.
    pub looks_for: ContentKind,
    /// Key `source`, required, 1 to 200 characters: where the rule comes from.
    pub source: String,
    /// Key `checked`, required, such as `"2026-11-30"`: when somebody last looked there.
    pub checked: Date,
}

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// `[[domains]]`, key `domains`, 1 to 10 000, each once in the file: these and all below them. In small letters; names
    /// with other letters than ASCII's as `xn--…`.
    Domains(Vec<String>),
    /// `[[words]]`, key `words`, 1 to 10 000 of at most 100 octets: words and phrases as [`normalise`] writes them.
    Words(Vec<String>),
    /// `[[near_link]]`: such words near a link.
    NearLink {
        /// Key `words`, as of `[[words]]`.
        words: Vec<String>,
        /// Key `within`, words, default 12, 1 to 255: how near.
        within: u8,
    },
    /// `[[look_alikes]]`: letters of one script in a word of another that look like it.
    LookAlikes,
    /// `[[senders]]`: one text, digits aside, from many senders of an account.
    Senders {
        /// Key `senders`, default 5, 2 to 64: from so many on.
        senders: u16,
        /// Key `within`, default 24 h, 1 min to 7 d, counted from the first.
        within: Duration,
        /// Key `words_min`, default 5, 1 to 255: texts of fewer words say nothing.
        words_min: u8,
    },
}

/// The program's own, read once. A test holds that nothing is wrong with them.
fn shipped() -> Arc<ContentRules> {
    static OWN: LazyLock<Arc<ContentRules>> = LazyLock::new(|| Arc::new(read_text(RULES).0));
    Arc::clone(&OWN)
}

pub(crate) fn read(mut section: Section<'_>, files: ReadFile<'_>) -> Screening {
    let file = section.optional("file", path);
    let rules = match &file {
        Some(file) => Arc::new(read_file(&section, file, files)),
        None => shipped(),
    };
    section.finish(&[(
        "rule",
        "write rules into a file of their own: `file = \"./content.toml\"`",
    )]);
    Screening { file, rules }
}

/// What is wrong with the file is told with its name and its own lines.
fn read_file(section: &Section<'_>, file: &Path, files: ReadFile<'_>) -> ContentRules {
    match files(file) {
        Ok(text) => {
            let (rules, report) = read_text(&text);
            section.problems_of_data(file, report);
            rules
        }
        Err(why) => {
            let fault = format!("{} cannot be read: {why}", shown::value(&file.to_string_lossy()));
            section.problem("file", Fault::new(fault, "name a file that can be read"));
            ContentRules::default()
        }
    }
}

fn read_text(text: &str) -> (ContentRules, Report) {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let report = Report::new(text, &syntax);
    let mut root = Section::root(&report, tree.get_ref());
    let rules = read_rules(&mut root);
    root.finish(&[(
        "rule",
        "write `[[domains]]`, `[[words]]`, `[[near_link]]`, `[[look_alikes]]` or `[[senders]]`",
    )]);
    (rules, report)
}

/// What may stand once in a file, with the lines of those that do.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, Option<usize>>,
    domains: HashMap<String, Option<usize>>,
}

fn read_rules(root: &mut Section<'_>) -> ContentRules {
    let remedy = "say which rules these are: `version = \"2026-11-30\"`";
    let version = root.required("version", remedy, text(name)).unwrap_or_default();
    let refuse_at = root
        .optional("refuse_at", integer(1..=10_000_u16))
        .and_then(NonZeroU16::new);
    let endings = root
        .list("endings", 0..=ENDINGS_MAX, text(ending))
        .unwrap_or_default();
    let mut seen = Seen::default();
    let mut rules = Vec::new();
    for kind in ["domains", "words", "near_link", "look_alikes", "senders"] {
        let left = CONTENT_RULES_MAX - rules.len();
        let sections = root.each_up_to(kind, left);
        rules.extend(
            sections
                .into_iter()
                .filter_map(|section| rule(section, kind, &mut seen)),
        );
    }
    let phrases = phrases(root, &rules);
    ContentRules {
        version,
        refuse_at,
        endings,
        rules,
        phrases,
    }
}

fn phrases(root: &Section<'_>, rules: &[ContentRule]) -> Phrases {
    let words = rules.iter().flat_map(|rule| match &rule.looks_for {
        ContentKind::Words(words) | ContentKind::NearLink { words, .. } => words.as_slice(),
        ContentKind::Domains(_) | ContentKind::LookAlikes | ContentKind::Senders { .. } => &[],
    });
    let words: Vec<&String> = words.collect();
    let octets: usize = words.iter().map(|word| word.len()).sum();
    if words.is_empty() {
        return Phrases::default();
    }
    if octets > WORDS_OCTETS_MAX {
        let fault = format!("words of all rules together have {octets} octets");
        let remedy = format!("list {WORDS_OCTETS_MAX} octets of words at most");
        root.problem("version", Fault::new(fault, remedy));
        return Phrases::default();
    }
    match AhoCorasick::new(words) {
        Ok(found) => Phrases(Some(found)),
        Err(why) => {
            let fault = format!("words of all rules cannot be looked for: {why}");
            root.problem("version", Fault::new(fault, "list fewer words"));
            Phrases::default()
        }
    }
}

fn rule(mut section: Section<'_>, kind: &str, seen: &mut Seen) -> Option<ContentRule> {
    let id = section.required("id", "name the rule: `id = \"shortener\"`", text(name));
    if let Some(id) = &id {
        section.once(
            "id",
            &mut seen.ids,
            id.clone(),
            "is another rule's",
            "name each rule otherwise",
        );
    }
    let score = section.required(
        "score",
        "say how much it weighs: `score = 40`",
        integer(1..=100_u8),
    );
    let action = section.or(
        "action",
        AbuseAction::Observe,
        choice(const { &AbuseAction::OF_CONTENT }),
    );
    let looks_for = match kind {
        "domains" => {
            let domains = entries(&mut section, "domains", domain);
            for domain in domains.iter().flatten() {
                let taken = "is in another rule, or twice in this one";
                section.once(
                    "domains",
                    &mut seen.domains,
                    domain.clone(),
                    taken,
                    "name each domain once",
                );
            }
            domains.map(ContentKind::Domains)
        }
        "words" => entries(&mut section, "words", word).map(ContentKind::Words),
        "near_link" => {
            let within = section.or("within", NEAR, integer(1..=255_u8));
            let words = entries(&mut section, "words", word);
            words.map(|words| ContentKind::NearLink { words, within })
        }
        "look_alikes" => Some(ContentKind::LookAlikes),
        _ => Some(ContentKind::Senders {
            senders: section.or("senders", SENDERS, integer(2..=SENDERS_MAX)),
            within: section.or("within", WITHIN, duration(minutes(1)..=hours(7 * 24))),
            words_min: section.or("words_min", WORDS_MIN, integer(1..=255_u8)),
        }),
    };
    let remedy = "say where the rule comes from: `source = \"…\"`";
    let source = section.required("source", remedy, text(source));
    let remedy = "say when that was: `checked = \"2026-11-30\"`";
    let checked = section.required("checked", remedy, text(date));
    section.finish(&[]);
    Some(ContentRule {
        id: id?.into(),
        score: NonZeroU8::new(score?)?,
        action,
        looks_for: looks_for?,
        source: source?,
        checked: checked?,
    })
}

fn entries(
    section: &mut Section<'_>,
    key: &'static str,
    read: fn(&str) -> Result<String, Fault>,
) -> Option<Vec<String>> {
    if !section.has(key) {
        section.missing(key, &format!("list what it looks for: `{key} = [\"…\"]`"));
    }
    section.list(key, 1..=ENTRIES_MAX, text(read))
}

fn name(text: &str) -> Result<String, Fault> {
    let is_fit = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_fit) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no name", shown::value(text)),
        format!("use 1 to {NAME_MAX} letters, digits, dots, dashes and underscores"),
    ))
}

fn ending(text: &str) -> Result<String, Fault> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no last label of a domain", shown::value(text)),
        "write it in small letters without a dot: \"com\"",
    ))
}

fn domain(text: &str) -> Result<String, Fault> {
    let is_domain = text.len() <= DOMAIN_MAX && text.contains('.') && text.split('.').all(is_label);
    if is_domain {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is no domain", shown::value(text)),
        "write it in small letters, other ones than ASCII's as xn--…: \"bit.ly\"",
    ))
}

fn is_label(label: &str) -> bool {
    let is_fit = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=63).contains(&label.len()) && label.bytes().all(is_fit)
}

/// Another form would never be found.
fn word(text: &str) -> Result<String, Fault> {
    let mut normal = String::new();
    normalise(text, &mut normal);
    if normal == text && (1..=WORD_MAX).contains(&text.len()) {
        return Ok(normal);
    }
    Err(Fault::new(
        format!("{} is not written as words are compared", shown::value(text)),
        format!("write 1 to {WORD_MAX} octets of small letters without accents, a blank for each sign"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match read_text(text).1.conclude(Some(())) {
            Ok(()) => Vec::new(),
            Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn nothing_is_wrong_with_the_programs_own_and_they_only_observe() {
        assert_eq!(problems(RULES), [""; 0]);
        let rules = shipped();
        assert_eq!(rules.version, "2026-11-30");
        assert_eq!((rules.rules.len(), rules.refuse_at), (8, None));
        assert!(rules.rules.iter().all(|rule| rule.action == AbuseAction::Observe));
    }

    #[test]
    fn what_could_never_be_found_or_counted_is_told() {
        let row = "score = 1\nsource = \"-\"\nchecked = \"2026-11-30\"\n";
        let text = format!(
            "version = \"1\"\n[[domains]]\nid = \"a\"\ndomains = [\"bit.ly\", \"Bit.ly\", \"ly\"]\n{row}\
             [[domains]]\nid = \"b\"\ndomains = [\"bit.ly\"]\n{row}\
             [[words]]\nid = \"a\"\nwords = [\"Casino!\"]\n{row}\
             [[look_alikes]]\nid = \"c\"\naction = \"throttle\"\nscore = 101\nsource = \"-\"\nchecked = \"-\"\n"
        );
        let told = problems(&text).join("\n");
        for expected in [
            "\"Bit.ly\" is no domain",
            "\"ly\" is no domain",
            "is in another rule",
            "\"Casino!\" is not written",
            "is another rule's",
            "\"throttle\"",
            "101",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(problems("").join("").contains("version"));
    }

    #[test]
    fn words_of_all_rules_have_a_bound_and_are_found_in_their_order() {
        let rules = |count: usize| {
            let words: Vec<String> = (0..count).map(|n| format!("\"{n:0100}\"")).collect();
            let words = words.join(",");
            let row = "score = 1\nsource = \"-\"\nchecked = \"2026-11-30\"\n";
            format!(
                "version = \"1\"\n[[words]]\nid = \"a\"\nwords = [\"b\", {words}]\n{row}[[near_link]]\nid = \"b\"\n\
                 words = [\"a b\"]\n{row}"
            )
        };
        assert!(problems(&rules(2_700)).join("").contains("270004 octets"));
        let few = rules(3);
        assert_eq!(problems(&few), [""; 0]);
        let found = read_text(&few).0.phrases;
        let mut found: Vec<_> = found.find("a b").collect();
        found.sort_by_key(|(which, _)| *which);
        assert_eq!(found, [(0, 2..3), (4, 0..3)]);
    }
}
