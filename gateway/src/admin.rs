//! The admin listener: the verbs of the control socket over HTTP/1, for whoever has a token (design §6).
//!
//! `POST /v1/WORD/WORD` does the verb of these words; its body is the request's object without `version` and `verb`, its answer
//! what the control socket would say under `done`. docs/openapi.json says what each takes. It is bounded on every side like
//! the [listener for metrics](crate::http). Without TLS it speaks on loopback only.

mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use tidegate_store::audit::{Actor, Word};
use tokio::sync::{mpsc, oneshot};

use crate::access::Access;
use crate::access::table::{BY_GLASS, FileOf, rights_of};
use crate::board::{self, Board, Page, Streamed};
use crate::clock::Clock;
use crate::control;
use crate::http::{Leave, Limits, Unread};
use crate::telemetry::AdminMetrics;

pub use tokens::{Bearer, DAYS_MAX, NAME_MAX, Role, Tokens, name};

/// From the head of a request to the end of its body.
const BODY_TIME: Duration = Duration::from_secs(30);
/// For the verb's own work, which may go through millions of messages.
const WORK_TIME: Duration = Duration::from_secs(120);
/// What it serves at most. Nobody is known before the head of his request is read, and nothing is done before its body is.
pub const LIMITS: Limits = {
    // An answer may be megabytes, and its reader far away.
    let (head, answer) = (Duration::from_secs(10), Duration::from_secs(60));
    let whole = head.saturating_add(BODY_TIME).saturating_add(WORK_TIME);
    Limits {
        connections: 32,
        head,
        answer,
        whole: whole.saturating_add(answer),
        unread: Some(Unread {
            octets: 64 * 1024,
            within: board::STALLED,
        }),
    }
};
/// Handshakes at a time where it has TLS: the other half is for who has shaken hands.
pub const HANDSHAKES_MAX: usize = LIMITS.connections / 2;
/// Octets of a request's body, as of a line at the control socket.
const BODY_MAX: usize = 60 * 1024;
/// What of the verbs may be asked for here, and what a token must be good for.
///
/// Tokens themselves are made at the control socket only: a token that could make others would never go.
pub const VERBS: &[(&str, Role)] = &[
    ("board", Role::Read),
    ("spool inspect", Role::Read),
    ("account usage", Role::Read),
    ("account list", Role::Read),
    ("carrier list", Role::Read),
    ("queue list", Role::Read),
    ("bind list", Role::Read),
    // Without a purpose; who has one is shown a number and a text, and needs more.
    ("message show", Role::Read),
    ("message find", Role::Read),
    ("trace", Role::Read),
    ("trace list", Role::Read),
    ("trace pdus", Role::Operate),
    ("trace stop", Role::Operate),
    // To look; who changes it needs more.
    ("log filter", Role::Read),
    ("retention plan", Role::Read),
    ("stats", Role::Read),
    ("route explain", Role::Read),
    ("ban list", Role::Read),
    ("ban add", Role::Operate),
    ("ban remove", Role::Operate),
    ("carrier pause", Role::Operate),
    ("carrier drain", Role::Operate),
    ("carrier resume", Role::Operate),
    ("carrier rate", Role::Operate),
    ("account suspend", Role::Operate),
    ("account restore", Role::Operate),
    ("account suspend-sender", Role::Operate),
    ("account restore-sender", Role::Operate),
    ("account limit", Role::Operate),
    ("case list", Role::Operate),
    ("case signals", Role::Privacy),
    ("case show", Role::Privacy),
    ("case decide", Role::Privacy),
    ("held list", Role::Operate),
    ("held show", Role::Privacy),
    ("held release", Role::Privacy),
    ("held reject", Role::Privacy),
    ("notice list", Role::Operate),
    ("notice sent", Role::Operate),
    ("account show", Role::Read),
    ("account close", Role::Privacy),
    ("bind close", Role::Operate),
    ("retention sweep", Role::Operate),
    ("retention confirm-clock", Role::Operate),
    ("queue expire", Role::Operate),
    ("queue move", Role::Operate),
    ("reload", Role::Operate),
    ("send", Role::Operate),
    ("follow", Role::Operate),
    ("audit checkpoint", Role::Operate),
    ("retention forget", Role::Privacy),
    ("optout add", Role::Privacy),
    ("optout remove", Role::Privacy),
    ("optout check", Role::Privacy),
    ("optout list", Role::Privacy),
    ("optout export", Role::Privacy),
    ("optout import", Role::Privacy),
    ("export create", Role::Privacy),
    ("export list", Role::Privacy),
    ("export read", Role::Privacy),
    ("export delete", Role::Privacy),
    ("contact import", Role::Privacy),
    ("hold add", Role::Legal),
    ("hold release", Role::Legal),
    ("hold list", Role::Legal),
    ("hold show", Role::Legal),
    ("erase add", Role::Legal),
    ("erase list", Role::Legal),
    ("access break-glass", Role::Operate),
    ("access end", Role::Operate),
    ("access list", Role::Read),
    ("disclosure open", Role::Legal),
    ("disclosure approve", Role::Legal),
    ("disclosure decide", Role::Legal),
    ("disclosure notify", Role::Legal),
    ("disclosure produce", Role::Legal),
    ("disclosure complete", Role::Legal),
    ("disclosure review", Role::Legal),
    ("disclosure list", Role::Legal),
    ("disclosure show", Role::Legal),
    ("subject open", Role::Subject),
    ("subject verify", Role::Subject),
    ("subject extend", Role::Subject),
    ("subject run", Role::Subject),
    ("subject refuse", Role::Subject),
    ("subject list", Role::Subject),
    ("subject show", Role::Subject),
    ("restrict add", Role::Legal),
    ("restrict lift", Role::Legal),
    ("restrict list", Role::Legal),
    ("consent list", Role::Privacy),
    ("consent grant", Role::Privacy),
    ("consent withdraw", Role::Privacy),
    ("consent ask", Role::Privacy),
];
/// Verbs of files that are made for several roles: each role is let at its own by `control/exporting.rs`.
const OF_FILES: &[&str] = &["export list", "export read", "export delete"];

/// The roles of which a token needs one for a verb where that one is needed.
fn roles(needed: Role, verb: &str) -> Vec<Role> {
    if OF_FILES.contains(&verb) {
        return FileOf::ALL.map(FileOf::role).to_vec();
    }
    vec![needed]
}

/// These as a refusal says them.
fn one_of(roles: &[Role]) -> String {
    let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
    words.join(" or ")
}

/// What is served, for programs.
pub const OPENAPI: &str = include_str!("../../docs/openapi.json");

/// What answers need.
#[derive(Clone)]
pub struct Desk {
    /// Whose tokens are good.
    pub tokens: Arc<Tokens>,
    /// Who of them was let at records that his role does not open.
    pub access: Arc<Access>,
    /// Where verbs are done.
    pub asked: mpsc::Sender<control::Request>,
    /// When it is.
    pub clock: Clock,
    /// What came of requests.
    pub metrics: Arc<AdminMetrics>,
    /// What there is to watch.
    pub board: Arc<Board>,
    /// The page that shows it.
    pub page: Arc<Page>,
}

/// What is served.
pub fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/board", get(watch).post(board_once))
        .route("/v1/{one}", post(one_word))
        .route("/v1/{one}/{two}", post(two_words))
        .with_state(desk)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn page(State(desk): State<Desk>) -> Response {
    desk.page.answer()
}

/// The board as a stream of events, for as long as the token is good.
async fn watch(State(desk): State<Desk>, Extension(leave): Extension<Leave>, headers: HeaderMap) -> Response {
    let answer = watched(&desk, leave, &headers).unwrap_or_else(|refused| *refused);
    desk.metrics.answered(answer.status().as_u16());
    answer
}

fn watched(desk: &Desk, leave: Leave, headers: &HeaderMap) -> Result<Response, Box<Response>> {
    let bearer = bearer(desk, headers)?;
    let watch = desk
        .board
        .watch(&bearer.name)
        .map_err(|why| refused(StatusCode::SERVICE_UNAVAILABLE, &why))?;
    let (tokens, clock) = (Arc::clone(&desk.tokens), desk.clock.clone());
    let may_see = Box::new(move || tokens.is_good(&bearer, clock.now().unix_ms));
    Ok(board::stream(Streamed {
        watch,
        counted: desk.metrics.watching(),
        leave,
        may_see,
    }))
}

async fn board_once(State(desk): State<Desk>, request: Request<Body>) -> Response {
    counted(&desk, "board", request).await
}

async fn one_word(State(desk): State<Desk>, Path(word): Path<String>, request: Request<Body>) -> Response {
    counted(&desk, &word, request).await
}

async fn two_words(
    State(desk): State<Desk>,
    Path((one, two)): Path<(String, String)>,
    request: Request<Body>,
) -> Response {
    counted(&desk, &format!("{one} {two}"), request).await
}

async fn counted(desk: &Desk, verb: &str, request: Request<Body>) -> Response {
    let answer = answered(desk, verb, request).await;
    let answer = answer.unwrap_or_else(|refused| *refused);
    desk.metrics.answered(answer.status().as_u16());
    answer
}

fn said(status: StatusCode, body: &Value) -> Response {
    let mut response = (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

fn refused(status: StatusCode, why: &str) -> Box<Response> {
    Box::new(said(status, &json!({ "refused": why })))
}

/// The token first: who has none learns not even which verbs there are.
fn bearer(desk: &Desk, headers: &HeaderMap) -> Result<Bearer, Box<Response>> {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token
        .and_then(|token| desk.tokens.bearer(token, desk.clock.now().unix_ms))
        .ok_or_else(|| {
            refused(
                StatusCode::UNAUTHORIZED,
                "a token that is good is needed: `tidegate token add`",
            )
        })
}

/// Whether a verb opens no records, or the table of access lets this role at them, or break-glass this token; then it goes no
/// further than that.
fn may_open(desk: &Desk, bearer: &Bearer, verb: &mut control::Verb) -> Result<(), Box<Response>> {
    let Some(opening) = verb.opens() else {
        return Ok(());
    };
    // What the table does not know is opened to nobody here.
    let rights = || rights_of(opening.verb);
    if rights().any(|right| bearer.role.suffices(right.role)) {
        return Ok(());
    }
    let glass = rights()
        .find(|right| right.glass && bearer.role == Role::Operate)
        .filter(|_| opening.purpose.is_some_and(|purpose| BY_GLASS.contains(&purpose)))
        .and(opening.account)
        .and_then(|account| {
            let now_ms = desk.clock.now().unix_ms;
            desk.access
                .covers((&bearer.name, &bearer.print()), account, now_ms)
        });
    match glass {
        Some((number, depth)) => {
            verb.read_by(number, depth);
            Ok(())
        }
        None => {
            let mut roles: Vec<Role> = rights().map(|right| right.role).collect();
            if roles.is_empty() {
                roles.push(Role::Privacy);
            }
            let why = format!(
                "a token of role {} is needed to see numbers and texts",
                one_of(&roles)
            );
            Err(refused(StatusCode::FORBIDDEN, &why))
        }
    }
}

async fn answered(desk: &Desk, verb: &str, request: Request<Body>) -> Result<Response, Box<Response>> {
    let bearer = bearer(desk, request.headers())?;
    let (_, needed) = VERBS
        .iter()
        .find(|(known, _)| *known == verb)
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, "there is no such verb"))?;
    let roles = roles(*needed, verb);
    if !roles.iter().any(|needed| bearer.role.suffices(*needed)) {
        let why = format!("a token of role {} is needed", one_of(&roles));
        return Err(refused(StatusCode::FORBIDDEN, &why));
    }
    let body = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), BODY_MAX))
        .await
        .map_err(|_| refused(StatusCode::REQUEST_TIMEOUT, "the body did not come within 30 s"))?
        .map_err(|_| refused(StatusCode::PAYLOAD_TOO_LARGE, "a body of at most 61440 octets"))?;
    let mut object: Map<String, Value> = if body.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            refused(
                StatusCode::BAD_REQUEST,
                &format!(
                    "the body is no JSON object: line {}, column {}",
                    error.line(),
                    error.column()
                ),
            )
        })?
    };
    object.insert("version".to_owned(), json!(control::VERSION));
    object.insert("verb".to_owned(), json!(verb));
    let mut verb = control::Verb::of_object(&object).map_err(|why| refused(StatusCode::BAD_REQUEST, &why))?;
    if verb.changes_the_log() && !bearer.role.suffices(Role::Operate) {
        let why = "a token of role operate is needed to change the filter";
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    may_open(desk, &bearer, &mut verb)?;
    let (answer, done) = oneshot::channel();
    let request = control::Request {
        verb,
        who: Actor::Token(Word::of_name(&bearer.name)),
        role: Some(bearer.role),
        answer,
    };
    desk.asked.try_send(request).map_err(|_| {
        refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway is busy with other requests, or ends",
        )
    })?;
    match tokio::time::timeout(WORK_TIME, done).await {
        Ok(Ok(Ok(done))) => Ok(said(StatusCode::OK, &Value::Object(done))),
        Ok(Ok(Err(why))) => Err(refused(StatusCode::CONFLICT, &why)),
        Ok(Err(_)) => Err(refused(StatusCode::SERVICE_UNAVAILABLE, "the gateway ends")),
        Err(_) => Err(refused(
            StatusCode::GATEWAY_TIMEOUT,
            "not done within 120 s, and given up with what was done until then",
        )),
    }
}

#[cfg(test)]
mod tests;
