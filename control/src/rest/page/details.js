// The parts of a connector's page that list things: tasks and queues, errors, configuration, offsets.

import { restartTask } from "./actions.js";
import { ask, pageOf, pathOf } from "./api.js";
import { badge, h, Rows, section, setBadge, setText, table } from "./dom.js";
import { bytesPerSecond, count, duration, millis, moment, perSecond } from "./format.js";
import { bar, setBar } from "./plot.js";

const numeric = (text) => ({ text, numeric: true });
/** What is not in the flow is asked for no more often than this. */
const ASIDE_MS = 3000;

/** Asks for something beside the flow, again and again while its part is shown. */
class Aside {
  #path;
  #show;
  #fail;
  #last = 0;
  #asking = false;
  #abort = new AbortController();

  constructor(path, show, fail) {
    this.#path = path;
    this.#show = show;
    this.#fail = fail;
  }

  async refresh(force = false) {
    if (this.#asking || (!force && performance.now() - this.#last < ASIDE_MS && this.#last > 0)) return;
    this.#asking = true;
    try {
      this.#show(await ask("GET", this.#path, undefined, { signal: this.#abort.signal }));
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error);
    }
    this.#last = performance.now();
    this.#asking = false;
  }

  close() {
    this.#abort.abort();
  }
}

export class TasksPart {
  #tasks;
  #queues;
  #none;
  #changes;
  #aside;

  constructor({ name, flow }) {
    const tasks = table("Tasks", ["Task", "Core", "State", "Health", numeric("Records/s"), numeric("Bytes/s"), numeric("Lag"), "What it waits for", "Action"]);
    this.#tasks = new Rows(tasks.body, { key: (one) => one.task, create: (one) => createTask(name, one, flow), update: updateTask });
    const queues = table("Queues", ["Topic", "Broker", numeric("Queue"), numeric("Task"), numeric("Done"), numeric("End"), numeric("Lag"), numeric("Behind by"), "Share of the lag"]);
    this.#queues = new Rows(queues.body, { key: (one) => `${one.topic}/${one.broker}/${one.queue_id}`, create: createQueue, update: updateQueue });
    this.#none = h("p", { class: "muted" }, "No queue is read by this connector now.");
    this.#changes = h("div", { class: "stack-small" }, h("p", { class: "muted" }, "Loading…"));
    this.#aside = new Aside(
      pathOf(name, "/status"),
      (status) => this.#history(status),
      (error) => this.#changes.replaceChildren(h("p", { class: "wrong-text" }, error.message)),
    );
    this.element = h("div", { class: "stack" }, section("Tasks", tasks.element), section("Queues", this.#none, queues.element), section("History", this.#changes));
    this.#queuesElement = queues.element;
  }

  #queuesElement;

  update(one) {
    this.#tasks.show(one.tasks ?? []);
    const queues = (one.tasks ?? []).flatMap((task) => (task.queues ?? []).map((queue) => ({ ...queue, task: task.task })));
    const most = Math.max(1, ...queues.map((queue) => queue.lag_records ?? 0));
    this.#none.hidden = queues.length > 0;
    this.#queuesElement.hidden = queues.length === 0;
    this.#queues.show(queues.map((queue) => ({ ...queue, share: (queue.lag_records ?? 0) / most })));
    this.#aside.refresh();
  }

  #history(status) {
    const entries = (status.tasks ?? []).flatMap((task) => (task.history ?? []).map((one) => ({ ...one, what: `Task ${task.id}: ${one.cause}` })));
    const change = status.last_change;
    if (change) entries.push({ at_ms: change.at_ms, what: `Configuration ${change.kind}`, then: change.cause ?? "" });
    entries.sort((a, b) => b.at_ms - a.at_ms);
    const mark = JSON.stringify(entries);
    if (mark === this.#mark) return;
    this.#mark = mark;
    if (entries.length === 0) {
      this.#changes.replaceChildren(h("p", { class: "muted" }, "Nothing failed and nothing was changed since the worker started."));
      return;
    }
    const list = entries.map((one) => h("li", {}, h("time", {}, moment(one.at_ms)), " ", h("span", { class: "pre" }, one.what), one.then ? h("span", { class: "muted" }, ` → ${one.then}`) : null));
    this.#changes.replaceChildren(h("ul", { class: "log" }, list));
  }

  #mark = "";

  close() {
    this.#aside.close();
  }
}

function createTask(name, task, flow) {
  const cells = Array.from({ length: 3 }, () => h("td", { class: "number" }));
  const [state, health, core, holding] = [badge(task.state), badge(null), h("td", {}), h("td", { class: "pre" })];
  const button = h("button", {
    type: "button",
    class: "small",
    "aria-label": `Restart task ${task.task}`,
    onclick: async () => {
      await restartTask(name, task.task);
      flow.soon();
    },
  }, "Restart");
  const element = h("tr", {}, h("th", { scope: "row" }, String(task.task)), core, h("td", {}, state), h("td", {}, health), cells, holding, h("td", {}, button));
  return { element, state, health, core, cells, holding };
}

function updateTask(row, task) {
  setText(row.core, task.shard ?? "–");
  setBadge(row.state, task.state);
  setBadge(row.health, task.health?.state);
  setText(row.cells[0], perSecond(task.records_per_second));
  setText(row.cells[1], bytesPerSecond(task.bytes_per_second));
  setText(row.cells[2], count(task.lag_records));
  const { holding, health } = task;
  const held = holding ? `${holding.stage}: ${holding.cause} (${count(holding.tries)} tries, for ${duration(holding.since_ms)})` : "";
  setText(row.holding, held || (health && health.state !== "HEALTHY" ? health.cause : "") || "–");
}

function createQueue(queue) {
  const cells = Array.from({ length: 5 }, () => h("td", { class: "number" }));
  const share = bar();
  const element = h("tr", {}, h("th", { scope: "row" }, queue.topic), h("td", {}, queue.broker), h("td", { class: "number" }, String(queue.queue_id)), cells, h("td", { class: "stack-cell" }, share.element));
  return { element, cells, share };
}

function updateQueue(row, queue) {
  [count(queue.task), count(queue.done), count(queue.end), count(queue.lag_records), millis(queue.lag_ms)].forEach((text, at) => setText(row.cells[at], text));
  setBar(row.share, queue.share);
}

export class ErrorsPart {
  #rows;
  #none;
  #list;

  constructor() {
    this.#list = h("div", { class: "stack-small" });
    this.#rows = new Rows(this.#list, { key: (one) => `${one.task}/${one.at_ms}/${one.position}/${one.stage}`, create: createFailed, update: () => {} });
    this.#none = h("p", { class: "muted" }, "No record failed lately.");
    this.element = section("Records that failed lately", this.#none, this.#list);
  }

  update(one) {
    const failed = (one.tasks ?? []).flatMap((task) => (task.failed ?? []).map((record) => ({ ...record, task: task.task })));
    failed.sort((a, b) => b.at_ms - a.at_ms);
    this.#none.hidden = failed.length > 0;
    this.#rows.show(failed);
  }
}

function createFailed(one) {
  const fact = (name, value, kind) => h("div", {}, h("dt", {}, name), h("dd", { class: kind ?? null }, value || "–"));
  return h(
    "article",
    { class: "failed" },
    h("p", { class: "failed-head" }, h("time", {}, moment(one.at_ms)), h("strong", {}, `task ${one.task} · ${one.stage}`), h("span", { class: "tag" }, one.outcome)),
    h("p", { class: "pre wrong-text" }, one.error),
    h("dl", { class: "facts" }, fact("Position", one.position, "pre")),
    h("pre", { tabindex: "0", "aria-label": "Value of the record" }, one.value),
  );
}

export class ConfigPart {
  #aside;
  #body;

  constructor({ name }) {
    const keys = table("Configuration", ["Key", "Value"]);
    this.#body = keys.body;
    this.element = section("Configuration", h("p", { class: "tools" }, h("a", { class: "button", href: pageOf(name, "/edit") }, "Edit"), h("span", { class: "muted" }, "Secrets are shown as ******.")), keys.element);
    this.#aside = new Aside(
      pathOf(name, "/config"),
      (config) => this.#show(config),
      (error) => this.#body.replaceChildren(h("tr", {}, h("td", { colspan: 2, class: "wrong-text" }, error.message))),
    );
    this.#aside.refresh();
  }

  #show(config) {
    const rows = Object.entries(config).map(([key, value]) => h("tr", {}, h("th", { scope: "row", class: "pre" }, key), h("td", { class: "pre" }, value)));
    this.#body.replaceChildren(...rows);
  }

  update() {}

  close() {
    this.#aside.close();
  }
}

export class OffsetsPart {
  #aside;
  #rows;
  #note;

  constructor({ name }) {
    const offsets = table("Offsets", ["Partition", "Offset", numeric("First there"), numeric("End"), numeric("Lag")]);
    this.#note = h("p", { class: "muted" }, "Loading…");
    this.#rows = new Rows(offsets.body, { key: (one) => JSON.stringify(one.partition), create: createOffset, update: updateOffset });
    const refresh = h("button", { type: "button", onclick: () => this.#aside.refresh(true) }, "Refresh");
    this.element = section("Offsets", h("p", { class: "tools" }, refresh, this.#note), offsets.element);
    this.#aside = new Aside(
      pathOf(name, "/offsets"),
      ({ offsets: all }) => {
        this.#rows.show(all);
        setText(this.#note, all.length === 0 ? "No offset is stored yet." : `${all.length} ${all.length === 1 ? "partition" : "partitions"}, as of ${moment(Date.now())}`);
      },
      (error) => setText(this.#note, error.message),
    );
  }

  update() {
    this.#aside.refresh();
  }

  close() {
    this.#aside.close();
  }
}

const members = (object) =>
  object === null || object === undefined
    ? "–"
    : Object.entries(object)
        .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
        .join(", ");

function createOffset(one) {
  const cells = Array.from({ length: 3 }, () => h("td", { class: "number" }));
  const offset = h("td", { class: "pre" });
  return { element: h("tr", {}, h("th", { scope: "row", class: "pre" }, members(one.partition)), offset, cells), offset, cells };
}

function updateOffset(row, one) {
  setText(row.offset, members(one.offset));
  [one.min, one.max, one.lag].forEach((value, at) => setText(row.cells[at], count(value)));
}
