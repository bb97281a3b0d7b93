//! The board as server-sent events: the last hour at once and every minute, a shot every second.
//!
//! A reader that is slow misses shots, since only the newest is kept; one that takes nothing for [`STALLED`] is cut off. What the
//! systems of both ends hold for it counts as taken, so that the admin listener has little of that.

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
pub const STALLED: Duration = Duration::from_secs(15);
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
    pub may_see: MaySee,
}

/// Whether who asked for a stream may see it now.
pub type MaySee = Box<dyn Fn() -> bool + Send + Sync>;

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
        counted,
        leave,
        may_see,
    } = streamed;
    let over = tell(&mut watch, &events, &may_see).await;
    // The place is free for the next, and the connection may end as it should, if its reader lets it.
    drop((watch, counted, events));
    match over {
        Over::Gone => {}
        // What was written before would wait for the reader for ever.
        Over::Unseen | Over::Stalled => leave.cut(),
        Over::Ended => {
            tokio::time::sleep(STALLED).await;
            leave.cut();
        }
    }
}

/// Why nothing more is told.
enum Over {
    /// Nobody is left to hear it.
    Gone,
    /// Who asked may not see it any more.
    Unseen,
    /// The reader takes nothing.
    Stalled,
    /// The board has ended.
    Ended,
}

async fn tell(watch: &mut Watch, events: &mpsc::Sender<Event>, may_see: &MaySee) -> Over {
    let mut told = 0;
    while may_see() {
        let event = tokio::select! {
            shot = watch.next() => match shot {
                Some(shot) => event(&shot, &mut told),
                None => return Over::Ended,
            },
            () = events.closed() => return Over::Gone,
            // Says nothing, and fails where nobody is left to hear it.
            () = tokio::time::sleep(LOOK_EVERY) => Bytes::from_static(b":\n\n"),
        };
        if let Err(over) = hand_over(events, event, may_see).await {
            return over;
        }
    }
    Over::Unseen
}

/// Waits until there is room for an event, and looks meanwhile whether it may still be seen.
async fn hand_over(events: &mpsc::Sender<Event>, event: Bytes, may_see: &MaySee) -> Result<(), Over> {
    let room = async {
        loop {
            match tokio::time::timeout(LOOK_EVERY, events.reserve()).await {
                Ok(Ok(room)) => return Ok(room),
                Ok(Err(_)) => return Err(Over::Gone),
                Err(_) if !may_see() => return Err(Over::Unseen),
                Err(_) => {}
            }
        }
    };
    let room = tokio::time::timeout(STALLED, room).await;
    room.unwrap_or(Err(Over::Stalled))?.send(Ok(event));
    Ok(())
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
