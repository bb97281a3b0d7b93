//! The page: one document with its styles and its program in it, so that nothing is fetched from anywhere.
//!
//! It holds no data: whoever opens it is asked for a token. Its headers let it run nothing but its own program, known by its
//! hash, and speak to nobody but the gateway that it came from.

use axum::http::header::{self, HeaderName};
use axum::response::{IntoResponse as _, Response};
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
/// In the order in which they need each other.
const JS: [&str; 4] = [
    include_str!("page_format.js"),
    include_str!("page_tables.js"),
    include_str!("page_charts.js"),
    include_str!("page.js"),
];

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The document and what it is allowed.
#[derive(Clone, Debug)]
pub struct Page {
    html: String,
    policy: String,
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// Puts it together.
    pub fn new() -> Self {
        let js = format!("(() => {{\n\"use strict\";\n{}}})();\n", JS.join("\n"));
        let html = HTML.replace("/*CSS*/", CSS).replace("/*JS*/", &js);
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(&js),
            hash(CSS),
        );
        Self { html, policy }
    }

    /// The answer.
    pub fn answer(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, self.policy.as_str()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (
                PERMISSIONS_POLICY,
                "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            ),
        ];
        (headers, self.html.clone()).into_response()
    }
}

fn hash(text: &str) -> String {
    Base64::encode_string(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        let (_, rest) = text.split_once(from).unwrap();
        rest.split_once(to).unwrap().0
    }

    #[test]
    fn what_the_policy_lets_run_is_what_stands_in_the_document() {
        let Page { html, policy } = Page::new();
        for (open, close, of) in [
            ("<script>", "</script>", "script-src"),
            ("<style>", "</style>", "style-src"),
        ] {
            assert_eq!(html.matches(open).count(), 1);
            let allowed = format!("{of} 'sha256-{}'", hash(between(&html, open, close)));
            assert!(policy.contains(&allowed), "{policy}");
        }
        assert!(
            !policy.contains("unsafe") && policy.starts_with("default-src 'none'"),
            "{policy}"
        );
    }

    #[test]
    fn the_document_names_no_other_host_and_no_inline_handler() {
        let html = Page::new().html;
        for word in [
            "src=\"",
            " style=\"",
            " onclick",
            "https:",
            "eval(",
            "innerHTML",
            "localStorage",
        ] {
            assert!(!html.contains(word), "{word}");
        }
        // The name of a language is no address that is fetched.
        let rest = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains("http:"));
    }
}
