// Numbers and times as people read them, and the few elements that everything is made of.

const counts = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const NONE = "–";

function number(value) {
  return value === null || value === undefined ? NONE : counts.format(value);
}

/** A rate: tenths where they can be seen. */
function rate(value) {
  return value > 0 && value < 10 ? tenths.format(value) : counts.format(value);
}

function millis(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 10) return `${tenths.format(ms)} ms`;
  if (ms < 1000) return `${counts.format(ms)} ms`;
  return seconds(ms / 1000);
}

function seconds(s) {
  if (s < 10) return `${tenths.format(s)} s`;
  if (s < 120) return `${counts.format(s)} s`;
  if (s < 7200) return `${counts.format(s / 60)} min`;
  if (s < 172800) return `${counts.format(s / 3600)} h`;
  return `${counts.format(s / 86400)} d`;
}

function octets(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  for (; count >= 1024 && place < units.length - 1; place += 1) count /= 1024;
  return `${place && count < 100 ? tenths.format(count) : counts.format(count)} ${units[place]}`;
}

function percent(part, whole) {
  if (!whole) return NONE;
  const share = (100 * part) / whole;
  return `${share > 0 && share < 10 ? tenths.format(share) : counts.format(share)} %`;
}

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; texts are texts, never markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function drawn(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Changes a text only where it is another one: nothing is laid out anew for nothing. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(shape) {
  return make("span", { class: "mark", "data-shape": shape, "aria-hidden": "true" });
}

function fill(meter, share, tone) {
  meter.firstChild.style.setProperty("--fill", `${Math.max(0, Math.min(100, 100 * share)).toFixed(1)}%`);
  meter.dataset.tone = tone || "";
}

function meter() {
  return make("span", { class: "meter", "aria-hidden": "true" }, make("span"));
}
