//! The board as server-sent events: the last hour at once and every minute, a shot every second.
//!
//! A reader that is slow misses shots, since only the newest is kept; one that takes nothing for [`STALLED`] is cut off.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Shot, Watch};
use crate::http::Leave;
use crate::telemetry::Watching;

/// A reader that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(15);
/// The loop makes a shot a second. Where none comes the reader is looked after all the same.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Shots between two tellings of the whole last hour.
const HISTORY_EVERY: u32 = 60;

/// What a stream lives by.
pub struct Streamed {
    /// Its place among those who watch.
    pub watch: Watch,
    /// That it is counted.
    pub counted: Watching,
    /// Its connection.
    pub leave: Leave,
    /// Whether who asked for it may still see it.
    pub may_see: Box<dyn Fn() -> bool + Send>,
}

/// The answer that goes on until its reader has gone or may not see it any more, or the gateway ends.
pub fn stream(streamed: Streamed) -> Response {
    let (events, body) = mpsc::channel(1);
    streamed.leave.take();
    tokio::spawn(feed(streamed, events));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(ReceiverStream::new(body))).into_response()
}

type Event = Result<Bytes, Infallible>;

async fn feed(streamed: Streamed, events: mpsc::Sender<Event>) {
    let Streamed {
        mut watch,
        counted: _counted,
        leave,
        may_see,
    } = streamed;
    let mut told = 0;
    while may_see() {
        let event = tokio::select! {
            shot = watch.next() => match shot {
                Some(shot) => event(&shot, &mut told),
                None => return,
            },
            () = events.closed() => return,
            // Says nothing, and fails where nobody is left to hear it.
            () = tokio::time::sleep(LOOK_EVERY) => Bytes::from_static(b":\n\n"),
        };
        match tokio::time::timeout(STALLED, events.send(Ok(event))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            // What was written before would wait for the reader for ever.
            Err(_) => return leave.cut(),
        }
    }
}

/// One line each of JSON, so that it needs no escaping.
fn event(shot: &Arc<Shot>, told: &mut u32) -> Bytes {
    let mut text = String::new();
    if told.is_multiple_of(HISTORY_EVERY) {
        text.push_str("event: history\ndata: ");
        text.push_str(shot.history_json());
        text.push_str("\n\n");
    }
    *told = told.wrapping_add(1);
    text.push_str("event: board\ndata: ");
    text.push_str(shot.json());
    text.push_str("\n\n");
    text.into()
}
