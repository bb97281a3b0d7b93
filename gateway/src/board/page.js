// What is shown, and where it comes from: one stream of events, read with a token that the tab's session keeps.

const KEY = "tidegate-token";
/** Without a word for so long what is shown is old. */
const STALE_MS = 3500;
/** What has said nothing for so long, be it at the beginning, is given up. */
const DEAD_MS = 15000;
const WAIT_MIN_MS = 1000;
const WAIT_MAX_MS = 30000;
const POINTS_MAX = 400;

const bad = (is) => (is ? "bad" : "");
const warn = (is) => (is ? "warn" : "");
const share = (row) => row.delivered_10m / (row.delivered_10m + row.failed_10m || 1);

const carriers = new Rows("carriers", "carrier", [
  { id: "name", label: "Carrier", of: (row) => row.name, draw: drawName },
  { id: "rate", label: "Sent/s", help: "Messages that it took, a second", of: (row) => row.handed_over_s, draw: drawText((row) => rate(row.handed_over_s)) },
  { id: "trend", label: "Last hour", draw: drawTrend(() => carriers) },
  { id: "queue", label: "Waiting", help: "Messages in line for it", of: (row) => row.queue, draw: drawText((row) => number(row.queue)) },
  { id: "oldest", label: "Oldest", help: "How long the oldest that is next in line has waited", of: (row) => row.oldest_ms, draw: drawText((row) => (row.oldest_ms ? millis(row.oldest_ms) : NONE), (row) => warn(row.oldest_ms > 300000)) },
  { id: "errors", label: "Errors", help: "Answers that refuse, and answers that never came", of: (row) => row.refused_10m + row.unanswered_10m, draw: drawText((row) => number(row.refused_10m + row.unanswered_10m), (row) => bad(row.refused_10m + row.unanswered_10m > 0.1 * row.answers_10m)) },
  { id: "links", label: "Links", help: "Bound, of those that it should have", of: (row) => row.links[0] - row.links[1], draw: drawShareText((row) => row.links) },
  { id: "window", label: "Window", help: "Submits under way, of those that may be", of: (row) => row.window[0], draw: drawShare((row) => row.window) },
  { id: "response", label: "Answer", unit: "p50, p99", help: "From submit to answer", of: (row) => row.response.p99_ms, draw: drawLatency((row) => row.response) },
  { id: "receipt", label: "Receipt", unit: "p50, p99", help: "From acceptance to the last receipt", of: (row) => row.receipt.p99_ms, draw: drawLatency((row) => row.receipt) },
  { id: "delivered", label: "Delivered", help: "Receipts that say delivered, of those that end a message", of: share, draw: drawText((row) => percent(row.delivered_10m, row.delivered_10m + row.failed_10m)) },
  { id: "slowed", label: "Throttled", help: "Answers that ask for less", of: (row) => row.slowed_10m, draw: drawText((row) => number(row.slowed_10m), (row) => warn(row.slowed_10m > 0)) },
  { id: "retries", label: "Retries", of: (row) => row.retries_10m, draw: drawText((row) => number(row.retries_10m)) },
  { id: "mo", label: "MO/s", of: (row) => row.mo_s, draw: drawText((row) => rate(row.mo_s)) },
], (row) => row.handed_over_s);

const accounts = new Rows("accounts", "account", [
  { id: "name", label: "Account", of: (row) => row.name, draw: drawName },
  { id: "rate", label: "Accepted/s", of: (row) => row.accepted_s, draw: drawText((row) => rate(row.accepted_s)) },
  { id: "trend", label: "Last hour", draw: drawTrend(() => accounts) },
  { id: "refused", label: "Refused", help: "Submissions refused", of: (row) => row.refused_10m, draw: drawText((row) => number(row.refused_10m), (row) => warn(row.refused_10m > 0.1 * (row.accepted_10m + row.refused_10m))) },
  { id: "throttled", label: "Throttled", help: "Submissions above a rate", of: (row) => row.throttled_10m, draw: drawText((row) => number(row.throttled_10m)) },
  { id: "rules", label: "By rules", help: "Refused by a rule: opt-outs, consent, hours, countries, caps", of: (row) => row.standing_refused_10m, draw: drawText((row) => number(row.standing_refused_10m)) },
  { id: "binds", label: "Binds", of: (row) => row.binds[0] + row.binds[1] + row.binds[2], draw: drawShareText((row) => [row.binds[0] + row.binds[1] + row.binds[2], row.max_binds]) },
  { id: "window", label: "Under way", help: "Submits and deliveries without an answer", of: (row) => row.window[0] + row.window[1], draw: drawText((row) => `${number(row.window[0])} · ${number(row.window[1])}`) },
  { id: "handover", label: "Hand-over", unit: "p50, p99", help: "From acceptance to the carrier", of: (row) => row.handover.p99_ms, draw: drawLatency((row) => row.handover) },
  { id: "receipt", label: "Receipt", unit: "p50, p99", help: "From acceptance to the last receipt", of: (row) => row.receipt.p99_ms, draw: drawLatency((row) => row.receipt) },
  { id: "delivered", label: "Delivered", help: "Messages that ended delivered, of those that ended", of: share, draw: drawText((row) => percent(row.delivered_10m, row.delivered_10m + row.failed_10m)) },
  { id: "oldest", label: "Oldest", help: "How long the oldest that is next in line has waited", of: (row) => row.oldest_ms, draw: drawText((row) => (row.oldest_ms ? millis(row.oldest_ms) : NONE), (row) => warn(row.oldest_ms > 300000)) },
  { id: "unfinished", label: "Unfinished", help: "Messages in memory without a final state; those in files are among the store's", of: (row) => row.unfinished, draw: drawText((row) => number(row.unfinished)) },
  { id: "outbox", label: "To fetch", help: "Receipts and MOs that wait for it", of: (row) => row.outbox, draw: drawText((row) => number(row.outbox), (row) => bad(row.overflow_10m > 0)) },
  { id: "mo", label: "MO/s", of: (row) => row.mo_s, draw: drawText((row) => rate(row.mo_s)) },
], (row) => row.accepted_s);

/** The big figures: id, label, unit, value, what stands below, series of the last hour. */
const FIGURES = [
  ["accepted", "Accepted", "/s", (t) => rate(t.accepted_s), (t) => `by ${number(t.binds)} binds`],
  ["delivered", "Delivered", "/s", (t) => rate(t.delivered_s), (t) => `and ${rate(t.failed_s)}/s failed`],
  ["refused", "Refused", "/s", (t) => rate(t.refused_s), (t) => `${number(t.refused_10m)} in 10 min`],
  ["queue", "Waiting", "", (t) => number(t.queue), (t) => (t.oldest_ms ? `oldest ${millis(t.oldest_ms)}, ${rate(t.handed_over_s)}/s sent` : `${rate(t.handed_over_s)}/s sent`)],
  ["mo", "From handsets", "/s", (t) => rate(t.mo_s), (t) => `and ${rate(t.receipts_s)}/s receipts`],
  ["opt_outs", "Opt-outs", "", (t) => number(t.opt_outs_10m), (t) => `in 10 min, ${number(t.opt_outs)} in all`],
];

for (const [id, label, unit] of FIGURES) {
  const value = make("span", { class: "value" }, make("span", { id: `figure-${id}` }, NONE), make("span", { class: "unit" }, unit));
  const more = make("span", { class: "more", id: `more-${id}` });
  byId("figures").append(make("div", { class: "figure", "data-figure": id }, make("dt", {}, label), make("dd", {}, value), make("dd", { class: "more" }, more), spark()));
}

let points = [];
let now = 0;

function addPoint(point) {
  if (point && (!points.length || point.at_s > points[points.length - 1].at_s)) {
    points.push(point);
    points = points.slice(-POINTS_MAX);
    drawPoints();
  }
}

function drawPoints() {
  drawHour(points, now);
  for (const figure of byId("figures").children) {
    const series = figure.dataset.figure;
    const highest = Math.max(0.001, ...points.map((point) => point[series]));
    drawSpark(figure.querySelector("svg"), placed(points, series, now, highest));
  }
}

function facts(id, rows) {
  const list = byId(id);
  rows.forEach(([label, text, tone], place) => {
    if (!list.children[2 * place]) list.append(make("dt", {}, label), make("dd"));
    const value = list.children[2 * place + 1];
    say(value, text);
    value.dataset.tone = tone || "";
  });
}

/** Names with how often, the most frequent first. */
function bars(id, rows, tone) {
  const place = byId(id);
  const told = JSON.stringify(rows);
  if (place.told === told) return;
  place.told = told;
  const most = rows.length ? rows[0].times : 1;
  const list = make("ul", { class: "bars" });
  for (const { name, times } of rows) {
    const bar = meter();
    fill(bar, times / most, tone(name));
    list.append(make("li", {}, make("span", { class: "name", title: name }, name), make("span", { class: "times" }, number(times)), bar));
  }
  place.replaceChildren(rows.length ? list : make("p", { class: "empty" }, "None in 10 minutes"));
}

function showTotals(t) {
  for (const [id, , , value, more] of FIGURES) {
    say(byId(`figure-${id}`), value(t));
    say(byId(`more-${id}`), more(t));
  }
  bars("receipts", t.receipts_10m, (name) => (name === "delivered" ? "" : ["enroute", "accepted"].includes(name) ? "warn" : "bad"));
  bars("errors", t.carrier_errors_10m, () => "bad");
  bars("refusals", t.refusals_10m, () => "warn");
  facts("rules", [
    ["Above a rate", number(t.throttled_10m)],
    ["Throttled by carriers", number(t.slowed_10m)],
    ["Refused by rules", number(t.standing_refused_10m)],
    ["of these opted out", number(t.opted_out_refused_10m)],
    ["Retries", number(t.retries_10m)],
    ["Connections refused", number(t.connections_refused_10m)],
    ["Banned addresses", number(t.banned), warn(t.banned > 0)],
  ]);
  const used = t.spool_octets / t.spool_limit;
  facts("store", [
    ["Intake", t.spool, t.spool === "open" ? "good" : "bad"],
    ["On disk", `${octets(t.spool_octets)}, ${percent(t.spool_octets, t.spool_limit)}`, bad(used > 0.8)],
    ["Sync p50", millis(t.sync.p50_ms)],
    ["Sync p99", millis(t.sync.p99_ms), warn(t.sync.p99_ms > 250)],
    ["Records a batch", rate(t.batch_records)],
    ["Unfinished", number(t.unfinished)],
    ["To be fetched", number(t.outbox)],
  ]);
}

const SEVERITY = { page: ["Urgent", "triangle"], ticket: ["Today", "diamond"] };
let alarmed = "";
let shownAlarms = [];
let alarmCount = 0;

function alarmOf({ alert, severity, about, text }) {
  const [how, shape] = SEVERITY[severity] || SEVERITY.ticket;
  const what = make("span", { class: "what" }, about ? make("b", {}, about) : "", about ? ` ${text}` : text);
  const item = make("li", { class: "alarm", "data-severity": severity }, mark(shape), make("span", { class: "how" }, how), what);
  if (alert) item.append(make("span", { class: "where" }, `Runbook: ${alert}`));
  return item;
}

/** Drawn where one is another than before, told where one came or went. `more`: how many are counted only, by severity. */
function showAlarms(alarms, more) {
  const told = JSON.stringify([alarms, more]);
  if (told === alarmed) return;
  const key = (alarm) => `${alarm.alert} ${alarm.about}`;
  const before = new Set(shownAlarms.map(key));
  const fresh = alarms.filter((alarm) => !before.has(key(alarm)));
  const counted = Object.keys(SEVERITY).filter((severity) => more[severity]);
  byId("alarms").replaceChildren(...alarms.map(alarmOf));
  byId("alarms").append(...counted.map((severity) => alarmOf({ severity, text: `and ${number(more[severity])} more` })));
  if (fresh.length) say(byId("announce"), fresh.slice(0, 3).map((alarm) => `Alarm: ${alarm.about || ""} ${alarm.text}`).join(". "));
  else if (!alarms.length && shownAlarms.length) say(byId("announce"), "No alarms any more");
  [alarmed, shownAlarms] = [told, alarms];
  alarmCount = counted.reduce((sum, severity) => sum + more[severity], alarms.length);
}

/** Whether there are alarms is known only while there is news: nobody is to take silence for calm. */
function showCertainty(isKnown) {
  byId("unknown").hidden = isKnown;
  byId("calm").hidden = !isKnown || alarmCount > 0;
  const count = isKnown ? alarmCount && `(${alarmCount}) ` : "(?) ";
  document.title = `${count || ""}Tidegate`;
}

let lastBoard = null;

function showBoard(board) {
  lastBoard = board;
  now = board.at_ms / 1000;
  heard = performance.now();
  // First that there is news again: an alarm is what is told last, and heard.
  look();
  showAlarms(board.alarms, board.more_alarms);
  showCertainty(true);
  showTotals(board.totals);
  carriers.show(board.carriers);
  accounts.show(board.accounts);
  addPoint(board.point);
  say(byId("about"), `version ${board.version}, up for ${seconds(board.up_for_s)}`);
  if (trends) {
    carriers.trends(trends.carriers);
    accounts.trends(trends.accounts);
    trends = null;
  }
}

let trends = null;

function showHistory(history) {
  points = history.points;
  trends = history;
  now = Math.max(now, points.length ? points[points.length - 1].at_s : 0);
  drawPoints();
}

/** When something was last told, and whether anything should be. */
let heard = -Infinity;
let wanted = false;
let problem = "";
/** Whether it was told that they are not live any more. */
let isMissed = false;

/** The attempt that is under way: what ends it, since when it waits, when its connection last said anything, and whether it was given up. */
let stopping = null;
let begun = -Infinity;
let lastChunk = -Infinity;
let isGivenUp = false;
/** Counts sign-ins and sign-outs: what began under another number has nothing to say any more. */
let generation = 0;

function look() {
  const quiet = performance.now() - heard;
  const isStale = quiet > STALE_MS;
  const status = byId("status");
  if (!wanted) return;
  status.dataset.state = problem ? "lost" : isStale ? "stale" : "live";
  status.firstChild.dataset.shape = problem || isStale ? "triangle" : "disc";
  const age = Number.isFinite(quiet) ? `no news for ${Math.round(quiet / 1000)} s` : "no news yet";
  const at = lastBoard ? new Date(lastBoard.at_ms).toLocaleTimeString("en-GB") : "";
  say(byId("status-text"), problem ? `${problem}; ${age}` : isStale ? age : `live, ${at}`);
  if (problem || isStale) byId("board").dataset.stale = "";
  else delete byId("board").dataset.stale;
  showCertainty(!(problem || isStale));
  if ((problem || isStale) && !isMissed && lastBoard) {
    isMissed = true;
    say(byId("announce"), "The figures are not live any more");
  } else if (!(problem || isStale) && isMissed) {
    isMissed = false;
    say(byId("announce"), "The figures are live again");
  }
  giveUp();
}
setInterval(look, 1000);

/** Ends an attempt that has said nothing for too long, be it one of the loop's that hangs or a network's that lost it. */
function giveUp() {
  const silent = performance.now() - Math.max(heard, begun, lastChunk);
  if (!stopping || silent <= DEAD_MS) return;
  isGivenUp = true;
  stopping.abort();
}

/** Events of a stream of octets: an empty line ends each. */
async function read(body, own) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done || own !== generation) return;
    lastChunk = performance.now();
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(heed);
  }
}

function heed(block) {
  const field = (name) => block.split("\n").filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
  const [kind, data] = [field("event"), field("data")];
  if (kind === "board") showBoard(JSON.parse(data));
  if (kind === "history") showHistory(JSON.parse(data));
}

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Watches until somebody signs out or in: whoever begins anew ends what ran before. */
async function watch(token) {
  const own = begin();
  [wanted, problem] = [true, ""];
  byId("status").dataset.state = "off";
  say(byId("status-text"), "connecting");
  let wait = WAIT_MIN_MS;
  while (own === generation) {
    const since = performance.now();
    await attempt(token, own);
    if (own !== generation) return;
    stopping = null;
    look();
    if (!lastBoard) say(byId("token-wrong"), problem);
    if (lastChunk - since > 10000) wait = WAIT_MIN_MS;
    // Not all pages at once.
    await pause(wait * (0.75 + Math.random() / 2));
    wait = Math.min(2 * wait, WAIT_MAX_MS);
  }
}

/** Ends what ran, and forgets what it showed. */
function begin() {
  generation += 1;
  if (stopping) stopping.abort();
  stopping = null;
  [heard, lastBoard, trends, points, now] = [-Infinity, null, null, [], 0];
  [alarmed, shownAlarms, alarmCount, isMissed] = ["", [], 0, false];
  byId("alarms").replaceChildren();
  say(byId("announce"), "");
  drawPoints();
  carriers.forget();
  accounts.forget();
  return generation;
}

/** One connection, to its end; why it ended is the problem then. */
async function attempt(token, own) {
  stopping = new AbortController();
  [begun, lastChunk, isGivenUp] = [performance.now(), -Infinity, false];
  try {
    const answer = await fetch("/v1/board", { headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" }, cache: "no-store", signal: stopping.signal });
    if (own !== generation) return;
    if (answer.status === 401) {
      signOut("This token is not good, or not any more.");
    } else if (answer.ok) {
      begun = performance.now();
      remember(token);
      problem = "";
      show(true);
      look();
      await read(answer.body, own);
      if (own === generation) problem = "The stream has ended";
    } else {
      const why = await answer.json().catch(() => ({}));
      if (own === generation) problem = why.refused || `The gateway answers ${answer.status}`;
    }
  } catch (error) {
    if (own === generation) problem = isGivenUp ? `Nothing came for ${DEAD_MS / 1000} s, given up` : "The gateway cannot be reached";
  }
}

function remember(token) {
  try {
    sessionStorage.setItem(KEY, token);
  } catch (error) {
    // Then it is asked for again.
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY);
  } catch (error) {
    return null;
  }
}

function show(isWatching) {
  const wasWatching = !byId("board").hidden;
  byId("board").hidden = !isWatching;
  byId("sign-in").hidden = isWatching;
  byId("leave").hidden = !isWatching;
  if (isWatching && !wasWatching) byId("main").focus({ preventScroll: true });
}

function signOut(why) {
  wanted = false;
  begin();
  try {
    sessionStorage.removeItem(KEY);
  } catch (error) {
    // There was none.
  }
  show(false);
  byId("status").dataset.state = "off";
  byId("status").firstChild.dataset.shape = "ring";
  say(byId("status-text"), "not signed in");
  say(byId("about"), "");
  say(byId("token-wrong"), why);
  document.title = "Tidegate";
  byId("token").value = "";
  byId("token").focus();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  // Anything else is no header's, so that it could not even be asked about.
  const isOne = /^[\x21-\x7e]+$/.test(token);
  say(byId("token-wrong"), isOne ? "" : "This is no token: it has letters, digits, _ and - only.");
  if (isOne) watch(token);
});
byId("leave").addEventListener("click", () => signOut(""));

const kept = remembered();
if (kept) watch(kept);
else byId("token").focus();
