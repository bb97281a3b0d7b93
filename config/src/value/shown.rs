//! How values of the file appear in a problem: short, in quotes, without control characters, because
//! problems end up on terminals and in logs (LOG-2). Never used for secrets.

use toml::de::DeValue;

/// Longest piece of the file that a problem repeats, in characters.
const SHOWN_MAX: usize = 48;

/// A value in quotes.
pub(crate) fn value(text: &str) -> String {
    format!("\"{}\"", key(text))
}

/// A key, which unlike a value needs no quotes to stand out.
pub(crate) fn key(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// The kind of a value with its article.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
