// Tables of carriers and accounts: rows are kept and changed in place, their order only now and then.

const ROWS = 20;
/** Of fewer rows nobody searches one. */
const FILTERED_MIN = 6;
const ORDER_EVERY_MS = 5000;

/** By health: what should be looked at first, how it is drawn, and in which words. */
const HEALTH = {
  down: [0, "triangle", "bad", "down"],
  refuses: [1, "diamond", "bad", "refuses"],
  overflow: [1, "diamond", "bad", "outbox full"],
  degraded: [2, "half", "warn", "links missing"],
  slowed: [3, "half", "warn", "slowed"],
  paused: [4, "square", "warn", "paused"],
  drained: [4, "square", "warn", "drained"],
  up: [5, "disc", "good", "up"],
  bound: [5, "disc", "good", "bound"],
  closing: [6, "square", "soft", "closing"],
  unbound: [7, "ring", "soft", "not bound"],
  suspended: [8, "square", "soft", "suspended"],
  closed: [9, "square", "soft", "closed"],
  removed: [9, "square", "soft", "removed"],
};

function healthOf(row) {
  return HEALTH[row.health] || [4, "square", "soft", row.health];
}

class Rows {
  /** `columns`: id, label, help, of (what it is sorted by), draw (into a cell); `busy`: what a row is worth. */
  constructor(id, what, columns, busy) {
    Object.assign(this, { what, columns, busy, rows: [], kept: new Map(), sort: null, all: false, orderedAt: -Infinity });
    this.root = byId(id);
    this.body = make("tbody");
    this.filter = make("input", { id: `${id}-filter`, type: "search", autocomplete: "off", spellcheck: "false" });
    this.count = make("p", { class: "count", id: `${id}-count` });
    this.search = make("div", { class: "filter" }, make("label", { for: `${id}-filter` }, `Find ${what}`), this.filter);
    this.root.querySelector(".bar-of-heading").append(this.count, this.search);
    const caption = make("caption", { class: "hush" }, `${byId(`${id}-h`).textContent}: what needs attention first, then the busiest`);
    const head = make("tr");
    for (const column of columns) head.append(this.header(column));
    this.table = make("table", {}, caption, make("thead", {}, head), this.body);
    this.none = make("p", { class: "none", hidden: "" }, `No ${what} has this in its name.`);
    const scroll = make("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": `${id}-h` }, this.table, this.none);
    this.more = make("button", { type: "button", class: "quiet more-rows", hidden: "" });
    this.root.append(scroll, this.more);
    this.more.addEventListener("click", () => { this.all = !this.all; this.order(); });
    this.filter.addEventListener("input", () => this.order());
    this.scroll = scroll;
    this.body.addEventListener("pointerenter", () => { this.isPointed = true; });
    this.body.addEventListener("pointerleave", () => { this.isPointed = false; });
  }

  header(column) {
    const cell = make("th", { scope: "col", class: column.id === "trend" ? "trend" : "" });
    if (!column.of) {
      cell.append(make("span", { class: "still" }, column.label));
      return cell;
    }
    const button = make("button", { type: "button", title: column.help || column.label }, column.label);
    if (column.unit) button.append(make("span", { class: "unit" }, column.unit));
    button.addEventListener("click", () => this.sortBy(column, cell));
    cell.append(button);
    return cell;
  }

  /** Downwards, upwards, and back to what needs attention. */
  sortBy(column, cell) {
    const old = this.sort;
    if (!old || old.column !== column) this.sort = { column, up: column.id === "name" };
    else if (old.up !== (column.id === "name")) this.sort = null;
    else this.sort = { column, up: !old.up };
    for (const other of this.table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (this.sort) cell.setAttribute("aria-sort", this.sort.up ? "ascending" : "descending");
    this.order();
  }

  /** Nothing moves under a pointer, nor where somebody reads by keyboard; a head that was clicked has no such focus. */
  isHeld() {
    return this.isPointed || this.scroll.matches(":focus-visible") || this.scroll.querySelector(":focus-visible") !== null;
  }

  /** As before the first rows. */
  forget() {
    this.minutes = null;
    this.kept.clear();
    this.names = null;
    this.show([]);
  }

  show(rows) {
    const names = rows.map((row) => row.name).join("\n");
    const isNew = names !== this.names;
    [this.rows, this.names] = [rows, names];
    if (isNew || (!this.isHeld() && performance.now() - this.orderedAt > ORDER_EVERY_MS)) this.order();
    else this.fill();
  }

  compared(a, b) {
    if (this.sort) {
      const { column, up } = this.sort;
      const [x, y] = [column.of(a), column.of(b)];
      const by = typeof x === "string" ? x.localeCompare(y) : (x ?? -1) - (y ?? -1);
      if (by) return up ? by : -by;
    }
    return healthOf(a)[0] - healthOf(b)[0] || this.busy(b) - this.busy(a) || a.name.localeCompare(b.name);
  }

  order() {
    this.orderedAt = performance.now();
    const sought = this.filter.value.trim().toLowerCase();
    const found = this.rows.filter((row) => `${row.name} ${healthOf(row)[3]}`.toLowerCase().includes(sought));
    found.sort((a, b) => this.compared(a, b));
    const shown = this.all ? found : found.slice(0, ROWS);
    const elements = shown.map((row) => this.element(row.name));
    const isSame = elements.length === this.body.rows.length && elements.every((row, place) => row === this.body.rows[place]);
    if (!isSame) this.body.replaceChildren(...elements);
    this.search.hidden = this.rows.length < FILTERED_MIN && !sought;
    this.none.hidden = found.length > 0 || !this.rows.length;
    this.more.hidden = found.length <= ROWS;
    say(this.more, this.all ? `Show ${ROWS}` : `Show all ${number(found.length)}`);
    say(this.count, shown.length < this.rows.length ? `${number(shown.length)} of ${number(this.rows.length)}` : number(this.rows.length));
    for (const name of this.kept.keys()) if (!this.rows.some((row) => row.name === name)) this.kept.delete(name);
    this.fill();
  }

  element(name) {
    if (!this.kept.has(name)) {
      const row = make("tr", { "data-name": name });
      for (const column of this.columns) {
        if (column.id === "name") row.append(make("th", { scope: "row" }));
        else row.append(make("td", { class: column.id === "trend" ? "trend" : "" }));
      }
      this.kept.set(name, row);
    }
    return this.kept.get(name);
  }

  fill() {
    const byName = new Map(this.rows.map((row) => [row.name, row]));
    for (const element of this.body.rows) {
      const row = byName.get(element.dataset.name);
      if (row) this.columns.forEach((column, place) => column.draw(element.cells[place], row));
    }
  }

  /** The rows' last hour, in the order in which they came. */
  trends(minutes) {
    this.minutes = new Map(this.rows.map((row, place) => [row.name, minutes[place] || []]));
    this.fill();
  }
}

function drawName(cell, row) {
  const [, shape, tone, word] = healthOf(row);
  if (!cell.firstChild) {
    cell.append(make("span", { class: "name", title: row.name }, row.name), make("span", { class: "health" }, mark(shape), make("span")));
  }
  const health = cell.lastChild;
  health.dataset.tone = tone;
  health.firstChild.dataset.shape = shape;
  const isTimed = row.health === "down" && typeof row.down_for_s === "number";
  say(health.lastChild, isTimed ? `${word} for ${seconds(row.down_for_s)}` : word);
}

const drawText = (text, tone) => (cell, row) => {
  const told = text(row);
  say(cell, told);
  // What is nothing stands back.
  cell.dataset.tone = (tone && tone(row)) || (["0", NONE, "0 · 0"].includes(told) ? "soft" : "");
};

/** Two times, the usual and the worst but one in a hundred. */
const drawLatency = (of) => (cell, row) => {
  const { p50_ms: usual, p99_ms: worst } = of(row);
  if (!cell.firstChild) cell.append(make("span"), make("span", { class: "below" }));
  say(cell.firstChild, millis(usual));
  say(cell.lastChild, worst === null || worst === undefined ? "" : millis(worst));
  cell.dataset.tone = usual === null ? "soft" : "";
};

/** So many of so many, with a bar. */
const drawShare = (of) => (cell, row) => {
  const [part, whole] = of(row);
  if (!cell.firstChild) cell.append(make("span"), make("span", { class: "of" }), meter());
  say(cell.firstChild, whole ? number(part) : NONE);
  say(cell.children[1], whole ? `/${number(whole)}` : "");
  const share = whole ? part / whole : 0;
  fill(cell.lastChild, share, share > 0.9 ? "warn" : "");
};

const drawTrend = (table) => (cell, row) => {
  const minutes = table().minutes && table().minutes.get(row.name);
  if (!cell.firstChild) cell.append(spark());
  if (cell.drawn !== minutes && minutes) drawMinutes(cell.firstChild, minutes);
  cell.drawn = minutes;
};

/** So many of so many, in words alone; that some are missing is told by the row's health. */
function drawShareText(of) {
  return (cell, row) => {
    const [part, whole] = of(row);
    if (!cell.firstChild) cell.append(make("span"), make("span", { class: "of" }));
    say(cell.firstChild, number(part));
    say(cell.lastChild, `/${number(whole)}`);
  };
}
