// One connector: what it does now, and everything that can be done with it.

import { pause, remove, restart, resume, stop } from "./actions.js";
import { pageOf } from "./api.js";
import { ConfigPart, ErrorsPart, OffsetsPart, TasksPart } from "./details.js";
import { badge, h, kindOf, Rows, section, setAttribute, setBadge, setText, table } from "./dom.js";
import { bytes, bytesPerSecond, count, duration, latency, millis, percent, perSecond, short, simpleName } from "./format.js";
import { LettersPart } from "./letters.js";
import { cause } from "./overview.js";
import { Plot } from "./plot.js";

const PARTS = [
  ["", "Overview", (host) => new OverviewPart(host)],
  ["tasks", "Tasks", (host) => new TasksPart(host)],
  ["errors", "Errors", (host) => new ErrorsPart(host)],
  ["letters", "Dead letters", (host) => new LettersPart(host)],
  ["config", "Configuration", (host) => new ConfigPart(host)],
  ["offsets", "Offsets", (host) => new OffsetsPart(host)],
];

export class Connector {
  #name;
  #flow;
  #part;
  #state;
  #health;
  #kind;
  #cause;
  #advice;
  #toggle;
  #one = null;
  #body;
  #missing;

  /** `flow`: where samples come from, and who asks for the next. */
  constructor(name, part, flow) {
    this.#name = name;
    this.#flow = flow;
    this.title = name;
    const [id, , create] = PARTS.find(([known]) => known === part) ?? PARTS[0];
    this.#part = create({ name, flow });
    this.#state = badge(null);
    this.#health = badge(null);
    this.#kind = h("span", { class: "muted" });
    this.#cause = h("p", { class: "cause" });
    this.#advice = h("p", { class: "advice" });
    this.#missing = h("div", { class: "card empty", hidden: true }, h("h1", {}, "No such connector"), `There is no connector ${name}. `, h("a", { href: "#/" }, "See all connectors"));
    const links = PARTS.map(([key, text]) =>
      h("li", {}, h("a", { href: pageOf(name, key && `/${key}`), "aria-current": key === id ? "page" : null }, text)),
    );
    this.#body = h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "card head" },
        h("div", { class: "head-row" }, h("div", {}, h("h1", { tabindex: "-1" }, name), h("p", { class: "head-state" }, this.#state, this.#health, this.#kind)), this.#actions()),
        this.#cause,
        this.#advice,
      ),
      h("nav", { "aria-label": `Parts of ${name}` }, h("ul", { class: "parts" }, links)),
      this.#part.element,
    );
    this.element = h("div", { class: "stack" }, h("p", { class: "crumb" }, h("a", { href: "#/" }, "Connectors"), h("span", { "aria-hidden": "true" }, " / "), name), this.#body, this.#missing);
  }

  #actions() {
    const name = this.#name;
    const then = (work) => async () => {
      await work();
      this.#flow.soon();
    };
    const rests = () => this.#one?.state === "PAUSED" || this.#one?.state === "STOPPED";
    this.#toggle = h("button", { type: "button", onclick: then(() => (rests() ? resume(name) : pause(name))) }, "Pause");
    return h(
      "div",
      { class: "buttons", role: "group", "aria-label": "Actions" },
      this.#toggle,
      h("button", { type: "button", onclick: then(() => stop(name)) }, "Stop"),
      h("button", { type: "button", onclick: then(() => restart(name, false)) }, "Restart"),
      h("button", { type: "button", onclick: then(() => restart(name, true)) }, "Restart failed"),
      h("a", { class: "button", href: pageOf(name, "/edit") }, "Edit"),
      h("button", { type: "button", class: "danger", onclick: () => this.#remove() }, "Delete"),
    );
  }

  async #remove() {
    if (!(await remove(this.#name))) return;
    this.#flow.soon();
    location.hash = "#/";
  }

  update(flow) {
    const one = flow.connectors.find((known) => known.name === this.#name);
    this.#one = one ?? null;
    this.#missing.hidden = Boolean(one);
    this.#body.hidden = !one;
    if (!one) return;
    setBadge(this.#state, one.state);
    setBadge(this.#health, one.health?.state || (one.state === "PAUSED" || one.state === "STOPPED" ? one.state : null));
    setText(this.#kind, `${one.type} · ${simpleName(one.class)}`);
    setAttribute(this.#kind, "title", one.class);
    setText(this.#toggle, one.state === "PAUSED" || one.state === "STOPPED" ? "Resume" : "Pause");
    const sentence = cause(one);
    setText(this.#cause, sentence);
    setAttribute(this.#cause, "data-kind", kindOf(one.health?.state || one.state));
    this.#cause.hidden = sentence === "";
    // Advice is on what the sentence names; that too little was seen is none on a page that looks again by itself.
    const advises = sentence === one.limit?.sentence && one.limit.by !== "unknown";
    const advice = (advises && one.limit.advice) || "";
    setText(this.#advice, advice);
    this.#advice.hidden = advice === "";
    this.#part.update(one, flow);
  }

  close() {
    this.#part.close?.();
  }
}

const TILES = [
  ["Records", (one) => perSecond(one.records_per_second)],
  ["Bytes", (one) => bytesPerSecond(one.bytes_per_second)],
  ["Lag", (one) => short(one.lag_records)],
  ["Behind by", (one) => millis(one.lag_ms)],
  ["Caught up in", (one) => (one.catch_up_seconds === null || one.catch_up_seconds === undefined ? "–" : duration(one.catch_up_seconds * 1000))],
  ["Latency p50", (one) => millis(latency(one, "p50"))],
  ["Latency p99", (one) => millis(latency(one, "p99"))],
  ["Batch fill", (one) => percent(one.batch_fill)],
];

const ofMost = (now, most, text) => (most > 0 ? `${text(now)} of ${text(most)}` : "–");

const TOTALS = [
  ["Records", (one) => count(one.records_total)],
  ["Bytes", (one) => bytes(one.bytes_total)],
  ["Retries", (one) => count(one.retries)],
  ["Dead letters", (one) => count(one.dead_letters)],
  ["Skipped", (one) => count(one.skipped)],
  ["Filtered", (one) => count(one.filtered)],
  ["Restarts", (one) => count(one.restarts)],
  ["Copied per record", (one) => bytes(one.copied_bytes_per_record)],
  ["In flight", (one) => ofMost(one.window?.records, one.window?.records_max, count)],
  ["In-flight bytes", (one) => ofMost(one.window?.bytes, one.window?.bytes_max, bytes)],
];

/** A list of names and values; gives its element and how to show a connector in it. */
function facts(entries, kind) {
  const values = entries.map(() => h("dd", {}));
  const element = h("dl", { class: kind }, entries.map(([name], at) => h("div", {}, h("dt", {}, name), values[at])));
  return { element, update: (one) => entries.forEach(([, text], at) => setText(values[at], text(one))) };
}

class OverviewPart {
  #flow;
  #name;
  #tiles = facts(TILES, "tiles");
  #totals = facts(TOTALS, "facts");
  #plots;
  #steps;
  #stepTable;
  #noSteps = h("p", { class: "muted" }, "No step has run lately.");
  #latencies;
  #measured;

  constructor({ name, flow }) {
    this.#name = name;
    this.#flow = flow;
    this.#plots = [
      new Plot("Throughput", [{ name: "records/s", colour: "plot-a", values: (kept) => kept.records }], short, 2),
      new Plot(
        "Latency",
        [
          { name: "p50", colour: "plot-a", values: (kept) => kept.p50 },
          { name: "p99", colour: "plot-b", dashed: true, values: (kept) => kept.p99 },
        ],
        millis,
      ),
      new Plot("Lag", [{ name: "records", colour: "plot-c", values: (kept) => kept.lag }], short, 2),
    ];
    const numeric = (text) => ({ text, numeric: true });
    const steps = table("Where the time goes, by step", ["Step", "Share", numeric("Busy"), numeric("Blocked"), numeric("Starved")]);
    this.#steps = new Rows(steps.body, { key: (one) => one.step, create: createStep, update: updateStep });
    this.#stepTable = steps.element;
    const latencies = table("Latencies", ["From … to", ...["Records", "p50", "p90", "p99", "p99.9", "p99.99", "max"].map(numeric)]);
    this.#latencies = new Rows(latencies.body, { key: (one) => one.span, create: createLatency, update: updateLatency });
    this.#measured = section("Latencies", latencies.element);
    const legend = h("p", { class: "legend" }, ["busy", "blocked", "starved"].map((word) => h("span", { class: "key" }, h("span", { class: `swatch share-${word}`, "aria-hidden": "true" }), word)));
    this.element = h(
      "div",
      { class: "stack" },
      this.#tiles.element,
      h("section", { class: "card plots", "aria-label": "Over time" }, this.#plots.map((plot) => plot.element)),
      h("div", { class: "pair" }, section("Where the time goes", legend, this.#noSteps, steps.element), section("Since the start, and in flight", this.#totals.element)),
      this.#measured,
    );
  }

  update(one) {
    this.#tiles.update(one);
    this.#totals.update(one);
    const kept = this.#flow.history.get(this.#name);
    if (kept) for (const plot of this.#plots) plot.show(kept);
    const steps = one.steps ?? [];
    this.#noSteps.hidden = steps.length > 0;
    this.#stepTable.hidden = steps.length === 0;
    this.#steps.show(steps);
    const latencies = one.latency_ms ?? [];
    this.#measured.hidden = latencies.length === 0;
    this.#latencies.show(latencies);
  }

  close() {
    for (const plot of this.#plots) plot.close();
  }
}

function createStep(step) {
  const shares = ["busy", "blocked", "starved"].map((word) => h("span", { class: `share-${word}` }));
  const numbers = shares.map(() => h("td", { class: "number" }));
  const stack = h("td", { class: "stack-cell" }, h("span", { class: "share-track", "aria-hidden": "true" }, shares));
  return { element: h("tr", {}, h("th", { scope: "row" }, step.step), stack, numbers), shares, numbers };
}

function updateStep(row, step) {
  [step.busy, step.blocked, step.starved].forEach((share, at) => {
    const wanted = `${((share ?? 0) * 100).toFixed(1)}%`;
    if (row.shares[at].style.width !== wanted) row.shares[at].style.width = wanted;
    setText(row.numbers[at], percent(share));
  });
}

const QUANTILES = ["p50", "p90", "p99", "p999", "p9999", "max"];
const SPANS = {
  record_to_ack: "record's time → broker's confirmation",
  record_to_put: "record's time → put into the target",
  store_to_put: "stored at the broker → put into the target",
};

function createLatency(one) {
  const cells = ["count", ...QUANTILES].map(() => h("td", { class: "number" }));
  return { element: h("tr", {}, h("th", { scope: "row" }, Object.hasOwn(SPANS, one.span) ? SPANS[one.span] : one.span.replaceAll("_", " ")), cells), cells };
}

function updateLatency(row, one) {
  setText(row.cells[0], count(one.count));
  QUANTILES.forEach((quantile, at) => setText(row.cells[at + 1], one.count > 0 ? millis(one[quantile]) : "–"));
}
