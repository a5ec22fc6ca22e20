// All connectors at a glance, with the worker and its cores.

import { pageOf } from "./api.js";
import { badge, h, Rows, setAttribute, setBadge, setText } from "./dom.js";
import { bytes, bytesPerSecond, count, duration, latency, millis, percent, perSecond, short } from "./format.js";
import { bar, setBar } from "./plot.js";

const SEVERITY = ["FAILED", "STALLED", "DEGRADED", "RESTARTING", "CATCHING_UP", "UNASSIGNED", "PAUSED", "STOPPED", "RUNNING", "HEALTHY"];
const severity = (one) => SEVERITY.indexOf(one.health?.state || one.state);
const TROUBLE = new Set(["FAILED", "STALLED", "DEGRADED"]);
const inTrouble = (one) => TROUBLE.has(one.health?.state) || one.state === "FAILED";
const atRest = (one) => one.state === "PAUSED" || one.state === "STOPPED";

/** What there is to know about a connector in one sentence. */
export function cause(one) {
  if (one.health?.cause && one.health.state !== "HEALTHY") return one.health.cause;
  return one.limit?.sentence || one.health?.cause || "";
}

const CHOICES = [
  ["all", "All", () => true],
  ["trouble", "In trouble", inTrouble],
  ["rest", "Paused or stopped", atRest],
];

/** Columns: what they are called, how they compare, and how they are shown. `first`: -1 sorts the highest first. */
const COLUMNS = [
  { id: "name", text: "Connector", compare: (a, b) => a.name.localeCompare(b.name, "en"), first: 1 },
  { id: "type", text: "Type", compare: (a, b) => (a.type ?? "").localeCompare(b.type ?? ""), first: 1 },
  { id: "state", text: "State", compare: (a, b) => a.state.localeCompare(b.state), first: 1 },
  { id: "health", text: "Health", compare: (a, b) => severity(a) - severity(b), first: 1 },
  { id: "rate", text: "Records/s", number: (one) => one.records_per_second, first: -1 },
  { id: "lag", text: "Lag", number: (one) => one.lag_records, first: -1 },
  { id: "p50", text: "p50", number: (one) => latency(one, "p50"), first: -1 },
  { id: "p99", text: "p99", number: (one) => latency(one, "p99"), first: -1 },
  { id: "cause", text: "What limits it", compare: (a, b) => cause(a).localeCompare(cause(b)), first: 1 },
];

/** Orders by a column; unknown numbers come last either way. */
function order(connectors, column, direction) {
  const byName = (a, b) => a.name.localeCompare(b.name, "en");
  const compare = (a, b) => {
    if (!column.number) return direction * column.compare(a, b) || byName(a, b);
    const [left, right] = [column.number(a), column.number(b)];
    if (left === null || left === undefined) return right === null || right === undefined ? byName(a, b) : 1;
    if (right === null || right === undefined) return -1;
    return direction * (left - right) || byName(a, b);
  };
  return connectors.toSorted(compare);
}

/** What is filtered and sorted stays so when one comes back to the view. */
const wish = { text: "", choice: "all", column: "name", direction: 1 };

export class Overview {
  title = "Connectors";
  #flow = null;
  #facts;
  #cores;
  #choices;
  #rows;
  #heads = new Map();
  #empty;
  #shown;
  #count = 0;

  constructor() {
    this.#facts = new Facts();
    const cores = h("ul", { class: "cores" });
    this.#cores = new Rows(cores, { key: (one) => one.shard, create: createCore, update: updateCore });
    const search = h("input", {
      type: "search",
      id: "filter",
      placeholder: "Filter by name, class or cause",
      value: wish.text,
      autocomplete: "off",
      oninput: (event) => this.#wish({ text: event.target.value }),
    });
    this.#choices = CHOICES.map(([id, text]) => {
      const number = h("span", { class: "number" });
      const button = h("button", { type: "button", class: "chip", onclick: () => this.#wish({ choice: id }) }, `${text} `, number);
      return { id, button, number };
    });
    const body = h("tbody");
    this.#rows = new LazyRows(body);
    this.#empty = h("div", { class: "empty", hidden: true });
    this.#shown = h("p", { class: "hidden", role: "status" });
    this.element = h(
      "div",
      { class: "stack" },
      h("h1", { class: "hidden", tabindex: "-1" }, "Connectors"),
      h("section", { class: "card worker", "aria-label": "Worker" }, this.#facts.element, cores),
      h(
        "section",
        { class: "card", "aria-label": "Connectors" },
        h(
          "div",
          { class: "tools" },
          h("label", { class: "hidden", htmlFor: "filter" }, "Filter"),
          search,
          h("div", { class: "chips", role: "group", "aria-label": "Show" }, this.#choices.map((one) => one.button)),
          h("a", { class: "button primary", href: "#/new" }, "New connector"),
        ),
        h(
          "div",
          { class: "scroll", role: "region", "aria-label": "Table of connectors", tabindex: "0" },
          h("table", { class: "connectors" }, h("caption", { class: "hidden" }, "Connectors"), h("thead", {}, h("tr", {}, COLUMNS.map((column) => this.#head(column)))), body),
        ),
        this.#empty,
        this.#shown,
      ),
    );
  }

  #head(column) {
    const button = h("button", { type: "button", class: "sort", onclick: () => this.#sort(column) }, column.text, h("span", { class: "arrow", "aria-hidden": "true" }));
    const head = h("th", { scope: "col", class: `col-${column.id}${column.number ? " number" : ""}` }, button);
    this.#heads.set(column.id, head);
    return head;
  }

  #sort(column) {
    const direction = wish.column === column.id ? -wish.direction : column.first;
    this.#wish({ column: column.id, direction });
  }

  #wish(change) {
    Object.assign(wish, change);
    if (this.#flow) this.#list(this.#flow);
    setText(this.#shown, `${this.#count} connectors shown`);
  }

  update(flow) {
    this.#flow = flow;
    this.#facts.update(flow);
    this.#cores.show(flow.shards);
    this.#list(flow);
  }

  #list(flow) {
    for (const [id, head] of this.#heads) {
      setAttribute(head, "aria-sort", id !== wish.column ? null : wish.direction > 0 ? "ascending" : "descending");
    }
    const words = wish.text.trim().toLowerCase();
    const choice = CHOICES.find(([id]) => id === wish.choice)[2];
    const matches = (one) => words === "" || `${one.name} ${one.class} ${one.type} ${one.state} ${one.health?.state} ${cause(one)}`.toLowerCase().includes(words);
    for (const { id, button, number } of this.#choices) {
      const test = CHOICES.find(([known]) => known === id)[2];
      setText(number, flow.connectors.filter(test).length);
      setAttribute(button, "aria-pressed", wish.choice === id);
    }
    const shown = flow.connectors.filter((one) => choice(one) && matches(one));
    const column = COLUMNS.find((known) => known.id === wish.column);
    this.#rows.show(order(shown, column, wish.direction));
    this.#count = shown.length;
    this.#none(flow.connectors.length, shown.length);
  }

  close() {
    this.#rows.close();
  }

  #none(all, shown) {
    this.#empty.hidden = shown > 0;
    if (shown > 0) return;
    const text = all === 0 ? "There are no connectors yet." : "No connector matches.";
    setText(this.#empty, text);
    if (all === 0) this.#empty.append(" ", h("a", { href: "#/new" }, "Create the first one"));
  }
}

/** How far from the window rows are still kept up to date. */
const NEAR = "400px 0px";
/** A row far from the window is brought up to date with each so manieth answer. */
const FAR_TURNS = 20;

/** The table's rows. With hundreds of them, only those that can be seen, or soon will be, change each second. */
class LazyRows {
  #rows;
  #known = new WeakMap();
  #turn = 0;
  #made = 0;
  #near;

  constructor(body) {
    this.#near = new IntersectionObserver((entries) => entries.forEach((entry) => this.#seen(entry)), { rootMargin: NEAR });
    this.#rows = new Rows(body, {
      key: (one) => one.name,
      create: (one) => this.#create(one),
      update: (row, one) => this.#update(row, one),
    });
  }

  show(connectors) {
    this.#turn += 1;
    this.#rows.show(connectors);
  }

  close() {
    this.#near.disconnect();
  }

  #create(one) {
    const row = createRow(one);
    this.#made += 1;
    Object.assign(row, { near: true, place: this.#made });
    this.#known.set(row.element, row);
    this.#near.observe(row.element);
    return row;
  }

  #update(row, one) {
    row.last = one;
    if (row.near || (row.place + this.#turn) % FAR_TURNS === 0) updateRow(row, one);
  }

  #seen(entry) {
    const row = this.#known.get(entry.target);
    if (!row) return;
    row.near = entry.isIntersecting;
    if (row.near && row.last) updateRow(row, row.last);
  }
}

/** The worker's line. */
class Facts {
  #values = new Map();

  constructor() {
    const names = ["Worker", "Version", "Uptime", "Cluster", "I/O driver", "CPU", "Memory", "Throughput"];
    const facts = names.map((name) => {
      const value = h("dd", {});
      this.#values.set(name, value);
      return h("div", {}, h("dt", {}, name), value);
    });
    this.element = h("dl", { class: "facts" }, facts);
  }

  update({ worker, connectors, shards }) {
    const set = (name, text, detail) => {
      const value = this.#values.get(name);
      setText(value, text);
      setAttribute(value, "title", detail);
    };
    const sum = (member) => connectors.reduce((all, one) => all + (one[member] ?? 0), 0);
    set("Worker", worker.id);
    set("Version", worker.version, worker.commit && `commit ${worker.commit}`);
    set("Uptime", duration(worker.uptime_ms));
    set("Cluster", worker.cluster);
    const pinned = worker.pinned ? "pinned" : "not pinned";
    set("I/O driver", `${worker.driver}, ${pinned}`, [worker.driver_reason, worker.pin_reason].filter(Boolean).join("; "));
    set("CPU", worker.cpu_share === null || worker.cpu_share === undefined ? "–" : `${percent(worker.cpu_share)} of a core`);
    set("Memory", bytes(worker.rss_bytes));
    set("Throughput", `${perSecond(sum("records_per_second"))} · ${bytesPerSecond(sum("bytes_per_second"))}`, `over ${shards.length} cores`);
  }
}

const counted = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

function createCore() {
  const meter = bar();
  const share = h("strong", { class: "number" });
  const note = h("span", { class: "note" });
  const name = h("span", {});
  const element = h("li", {}, h("span", { class: "core-name" }, name, share), meter.element, note);
  return { element, meter, share, note, name };
}

function updateCore(row, shard) {
  setText(row.name, `Core ${shard.shard}`);
  setText(row.share, percent(shard.busy));
  setBar(row.meter, shard.busy);
  const parts = [counted(shard.tasks, "task"), counted(shard.connections, "connection")];
  if (shard.stalls > 0) parts.push(`${counted(shard.stalls, "stall")}${shard.last_stall ? `, last ${millis(shard.last_stall.ms)}${shard.last_stall.task ? ` by ${shard.last_stall.task}` : ""}` : ""}`);
  if (shard.replaced > 0) parts.push(`replaced ${count(shard.replaced)}×`);
  if (shard.commands_waiting > 0) parts.push(`${counted(shard.commands_waiting, "command")} waiting`);
  setText(row.note, parts.join(" · "));
  setAttribute(row.note, "title", `received ${bytesPerSecond(shard.received_bytes_per_second)}, sent ${bytesPerSecond(shard.sent_bytes_per_second)}`);
}

function createRow(one) {
  const link = h("a", { href: pageOf(one.name) }, one.name);
  const type = h("td", { class: "col-type" });
  const [rate, lag, p50, p99] = ["rate", "lag", "p50", "p99"].map((column) => h("td", { class: `col-${column} number` }));
  const state = badge(one.state);
  const health = badge(one.health?.state);
  const text = h("span", { class: "clamp" });
  const element = h(
    "tr",
    {},
    h("th", { scope: "row", class: "col-name" }, link),
    type,
    h("td", { class: "col-state" }, state),
    h("td", { class: "col-health" }, health),
    rate,
    lag,
    p50,
    p99,
    h("td", { class: "col-cause" }, text),
  );
  return { element, cells: { type, rate, lag, p50, p99 }, state, health, text };
}

function updateRow(row, one) {
  setText(row.cells.type, one.type);
  setBadge(row.state, one.state);
  setBadge(row.health, one.health?.state || (atRest(one) ? one.state : null));
  setText(row.cells.rate, short(one.records_per_second));
  setText(row.cells.lag, short(one.lag_records));
  setText(row.cells.p50, millis(latency(one, "p50")));
  setText(row.cells.p99, millis(latency(one, "p99")));
  const text = cause(one);
  setText(row.text, text);
  setAttribute(row.text, "title", text || null);
}
