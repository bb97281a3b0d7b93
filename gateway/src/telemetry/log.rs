//! Logs: one line per event on standard error.
//!
//! What must not be in them cannot get there: bodies, numbers and passwords have types that do not print
//! (LOG-1), and text that arrived over a wire is never an argument of an event (LOG-2).

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use super::filter::{Changed, Filter};

/// What is logged when nobody says otherwise.
pub const DEFAULT_FILTER: &str = "info";
/// The environment variable that says otherwise, in `tracing`'s form: `info,tidegate_gateway=debug`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not in `tracing`'s form. Its text stands in the environment, which is no wire.
    #[error("{FILTER_VARIABLE}: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody was first.
    #[error("logging has begun already")]
    Begun,
}

/// The process's filter, once logging has begun.
static FILTER: OnceLock<Filter> = OnceLock::new();

/// Begins logging for the whole process, as JSON objects or as text, with colour only on a terminal.
/// The filter comes from [`FILTER_VARIABLE`].
pub fn init(json: bool) -> Result<(), LogError> {
    let filter = std::env::var(FILTER_VARIABLE).ok();
    let colour = io::stderr().is_terminal();
    let (subscriber, filter) = subscriber(json, colour, filter.as_deref(), io::stderr)?;
    subscriber.try_init().map_err(|_| LogError::Begun)?;
    // Who was first has set it.
    let _ = FILTER.set(filter);
    Ok(())
}

/// The filter of this process; `None` where it does not log.
pub fn filter() -> Option<&'static Filter> {
    FILTER.get()
}

type Subscriber = Box<dyn tracing::Subscriber + Send + Sync>;

fn subscriber<W>(
    json: bool,
    colour: bool,
    filter: Option<&str>,
    to: W,
) -> Result<(Subscriber, Filter), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let text = filter.filter(|text| !text.trim().is_empty());
    let text = text.unwrap_or(DEFAULT_FILTER);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(text)?)
        .with_writer(to);
    // The handle is of the type that the form has made of it.
    Ok(if json {
        let lines = lines.json().flatten_event(true).with_filter_reloading();
        let handle = lines.reload_handle();
        let filter = Filter::new(text, move |filter| handle.reload(filter).is_ok());
        (Box::new(lines.finish()), filter)
    } else {
        let lines = lines.with_ansi(colour).with_filter_reloading();
        let handle = lines.reload_handle();
        let filter = Filter::new(text, move |filter| handle.reload(filter).is_ok());
        (Box::new(lines.finish()), filter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, filter: Option<&str>) -> String {
        let page = Page::default();
        let to = page.clone();
        let (subscriber, _) = subscriber(json, false, filter, move || to.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("too small");
            tracing::info!(carrier = "sink", "bound");
        });
        let octets = page.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn text_has_no_colour_unless_asked_and_info_is_the_default() {
        for filter in [None, Some(""), Some("info")] {
            let text = logged(false, filter);
            assert!(text.contains("bound carrier=\"sink\""), "{text:?}");
            assert!(
                !text.contains('\u{1b}') && !text.contains("too small"),
                "{text:?}"
            );
        }
        assert!(logged(false, Some("debug")).contains("too small"));
    }

    #[test]
    fn json_is_one_object_per_line() {
        let text = logged(true, None);
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["message"], "bound");
        assert_eq!(line["carrier"], "sink");
    }

    #[test]
    fn a_filter_that_is_changed_holds_at_once_and_is_given_back() {
        let page = Page::default();
        let to = page.clone();
        let (subscriber, filter) = subscriber(false, false, None, move || to.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let say = |words: &'static str| {
                tracing::debug!(target: "tidegate_gateway::mt", words);
                tracing::debug!(target: "hyper", "of others");
            };
            say("before");
            let changed = filter.set("debug").unwrap();
            say("meanwhile");
            filter.give_back(changed.number).unwrap();
            say("behind");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("meanwhile"), "{text}");
        assert!(!text.contains("before") && !text.contains("behind") && !text.contains("of others"));
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_and_not_ignored() {
        let refused = subscriber(false, false, Some("tidegate=loud"), io::sink).map(drop);
        assert!(refused.unwrap_err().to_string().starts_with("RUST_LOG: "));
    }
}
