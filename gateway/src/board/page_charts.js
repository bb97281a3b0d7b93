// Areas and lines of the last hour, drawn by their times: what was not measured is not drawn.

/** Spans in minutes: of a gateway that has just begun an hour would be an empty sheet. */
const SPANS = [10, 20, 30, 60];

function spanOf(points, now) {
  const age = points.length ? (now - points[0].at_s) / 60 : 0;
  return SPANS.find((span) => age <= span) || 60;
}

/** Points [x, y] of a series; x from 0, the beginning of the span, to 1, now. */
function placed(points, series, now, highest) {
  const span = 60 * spanOf(points, now);
  const seen = points.filter((point) => now - point.at_s <= span && now >= point.at_s);
  return seen.map((point) => [1 - (now - point.at_s) / span, highest ? point[series] / highest : 0]);
}

function path(points, width, height) {
  const at = ([x, y]) => `${(x * width).toFixed(1)} ${(height - y * (height - 2) - 1).toFixed(1)}`;
  return points.length < 2 ? "" : `M${points.map(at).join("L")}`;
}

function area(points, width, height) {
  if (points.length < 2) return "";
  const [first, last] = [points[0][0] * width, points[points.length - 1][0] * width];
  return `${path(points, width, height)}L${last.toFixed(1)} ${height}L${first.toFixed(1)} ${height}Z`;
}

/** The next 1, 2 or 5 with as many noughts as it takes. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function spark(label) {
  const svg = drawn("svg", { viewBox: "0 0 120 40", preserveAspectRatio: "none" });
  if (label) svg.setAttribute("role", "img");
  else svg.setAttribute("aria-hidden", "true");
  svg.append(drawn("path", { class: "area" }), drawn("path", { class: "line" }));
  return svg;
}

function drawSpark(svg, points) {
  svg.children[0].setAttribute("d", area(points, 120, 40));
  svg.children[1].setAttribute("d", path(points, 120, 40));
}

/** A row's sixty minutes. */
function drawMinutes(svg, minutes) {
  const highest = Math.max(...minutes, 0.001);
  const first = 60 - minutes.length;
  drawSpark(svg, minutes.map((value, place) => [(first + place) / 59, value / highest]));
}

const SERIES = ["accepted", "delivered", "refused"];

function drawHour(points, now) {
  const svg = byId("hour");
  if (!svg.firstChild) {
    for (const y of [1, 100, 199]) svg.append(drawn("line", { class: "grid", x1: 0, x2: 720, y1: y, y2: y }));
    svg.append(drawn("path", { class: "area" }));
    for (const series of SERIES) svg.append(drawn("path", { class: `line ${series}` }));
  }
  const span = spanOf(points, now);
  const seen = points.filter((point) => now - point.at_s <= 60 * span);
  const highest = ceiling(Math.max(0, ...seen.flatMap((point) => SERIES.map((series) => point[series]))));
  const [shape, ...lines] = svg.querySelectorAll("path");
  shape.setAttribute("d", area(placed(points, "accepted", now, highest), 720, 200));
  SERIES.forEach((series, place) => lines[place].setAttribute("d", path(placed(points, series, now, highest), 720, 200)));
  say(byId("hour-h"), span === 60 ? "Last hour" : `Last ${span} minutes`);
  [...byId("hour-x").children].slice(0, 4).forEach((label, place) => {
    const ago = tenths.format((span * (4 - place)) / 4).replace(".0", "");
    say(label, place ? ago : `${ago} min ago`);
  });
  say(byId("hour-max"), `${rate(highest)}/s`);
  say(byId("hour-mid"), `${rate(highest / 2)}/s`);
  const told = SERIES.map((series) => {
    const most = Math.max(0, ...seen.map((point) => point[series]));
    return `${series} ${seen.length ? rate(seen[seen.length - 1][series]) : 0} a second now, ${rate(most)} at most`;
  });
  svg.setAttribute("aria-label", `Messages in the last ${span} minutes: ${told.join("; ")}`);
}
