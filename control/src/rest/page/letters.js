// Dead letters: a look at them, and another chance for them.

import { attempt, confirm, show } from "./actions.js";
import { ask, pathOf } from "./api.js";
import { freshId, h, say, section, setText, table } from "./dom.js";
import { bytes, count, moment } from "./format.js";

const LIMITS = [20, 50, 200];
/** Longest beginning of a body in the list, in characters. */
const PREVIEW = 80;

export class LettersPart {
  #name;
  #flow;
  #body;
  #summary;
  #note;
  #table;
  #all;
  #limit;
  #abort = new AbortController();

  constructor({ name, flow }) {
    this.#name = name;
    this.#flow = flow;
    const letters = table("Dead letters", ["Stored", "Broker / queue / offset", "Stage", "Error", "Body", "Action"]);
    this.#body = letters.body;
    this.#table = letters.element;
    this.#summary = h("p", { class: "muted" });
    this.#note = h("p", { class: "muted", role: "status" }, "Loading…");
    const id = freshId("limit");
    this.#limit = h("select", { id, onchange: () => this.refresh() }, LIMITS.map((limit) => h("option", { value: String(limit) }, `last ${limit}`)));
    this.#all = h("button", { type: "button", class: "primary", onclick: () => this.#replayAll() }, "Replay all");
    const tools = h(
      "div",
      { class: "tools" },
      h("label", { htmlFor: id, class: "hidden" }, "Letters shown"),
      this.#limit,
      h("button", { type: "button", onclick: () => this.refresh() }, "Refresh"),
      this.#all,
    );
    this.element = section("Dead letters", this.#summary, tools, this.#note, this.#table);
    this.refresh();
  }

  update() {}

  close() {
    this.#abort.abort();
  }

  async refresh() {
    const options = { signal: this.#abort.signal };
    try {
      const [summary, { letters, of_others: others }] = await Promise.all([
        ask("GET", pathOf(this.#name, "/dlq/summary"), undefined, options),
        ask("GET", pathOf(this.#name, `/dlq?limit=${this.#limit.value}`), undefined, options),
      ]);
      this.#summarize(summary);
      this.#body.replaceChildren(...letters.map((letter) => this.#row(letter)));
      this.#table.hidden = letters.length === 0;
      this.#all.disabled = summary.letters === 0;
      const foreign = others > 0 ? ` ${count(others)} of other connectors are not shown.` : "";
      setText(this.#note, letters.length === 0 ? `There is no dead letter.${foreign}` : `The newest ${letters.length === 1 ? "one" : count(letters.length)}.${foreign}`);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#table.hidden = true;
      this.#all.disabled = true;
      setText(this.#note, error.message);
    }
  }

  #summarize(summary) {
    const counts = (title, by) => {
      const parts = Object.entries(by).map(([what, number]) => `${what} ${count(number)}`);
      return parts.length > 0 ? ` ${title}: ${parts.join(", ")}.` : "";
    };
    const waiting = summary.queues.reduce((all, one) => all + Math.max(0, one.max - Math.max(one.min, one.replayed_to ?? one.min)), 0);
    const text = `Topic ${summary.topic}: ${count(summary.letters)} ${summary.letters === 1 ? "letter" : "letters"}, ${count(waiting)} not replayed yet.`;
    setText(this.#summary, text + counts("By stage", summary.by_stage) + counts("By error", summary.by_exception));
  }

  #row(letter) {
    const place = `${letter.broker} / ${letter.queue} / ${letter.queue_offset}`;
    const error = letter.error["exception.message"] ?? letter.error["exception.class.name"] ?? "";
    const preview = letter.body.length > PREVIEW ? `${letter.body.slice(0, PREVIEW)}…` : letter.body;
    const button = (text, onclick) => h("button", { type: "button", class: "small", "aria-label": `${text} letter ${place}`, onclick }, text);
    return h(
      "tr",
      {},
      h("td", {}, h("time", {}, moment(letter.store_ms))),
      h("td", {}, place),
      h("td", {}, letter.error.stage ?? "–"),
      h("td", { class: "pre" }, h("span", { class: "clamp" }, error || "–")),
      h("td", { class: "pre" }, preview),
      h("td", {}, h("span", { class: "buttons" }, button("Show", () => showLetter(letter, place)), button("Replay", () => this.#replayOne(letter, place)))),
    );
  }

  async #replayOne(letter, place) {
    const text = "It is sent to the topic that it came from, without what tells of the error. It stays in the dead letter queue.";
    if (!(await confirm({ title: `Replay letter ${place}?`, text, action: "Replay" }))) return;
    const body = { broker: letter.broker, queue: letter.queue, from: letter.queue_offset, to: letter.queue_offset + 1 };
    await this.#replay(body);
  }

  async #replayAll() {
    let plan;
    try {
      plan = await ask("POST", pathOf(this.#name, "/dlq/replay"), { dry_run: true });
    } catch (error) {
      say(`Replaying did not work: ${error.message}`, "wrong");
      return;
    }
    if (plan.replayed === 0) {
      say("All letters were replayed before; one by one they can be replayed again.");
      return;
    }
    const topics = Object.entries(plan.by_topic).map(([topic, number]) => `${count(number)} to ${topic}`);
    const text = `Those that were not replayed before are sent again: ${topics.join(", ")}. The queue remembers how far it came.`;
    if (await confirm({ title: plan.replayed === 1 ? "Replay one letter?" : `Replay ${count(plan.replayed)} letters?`, text, action: "Replay" })) await this.#replay({});
  }

  async #replay(body) {
    const done = (sent) => `${count(sent.replayed)} ${sent.replayed === 1 ? "letter was" : "letters were"} replayed${sent.left > 0 ? `, ${count(sent.left)} are left` : ""}.`;
    await attempt("Replaying", done, () => ask("POST", pathOf(this.#name, "/dlq/replay"), body, { patience: 90000 }));
    await this.refresh();
    this.#flow.soon();
  }
}

function showLetter(letter, place) {
  const list = (title, entries) => {
    if (entries.length === 0) return [];
    return [h("h3", {}, title), h("dl", { class: "properties" }, entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: "pre" }, value))))];
  };
  const size = `${bytes(letter.body_bytes)}, ${letter.encoding}${letter.cut ? ", its beginning" : ""}`;
  show(
    `Letter ${place}`,
    h("p", { class: "muted" }, `Born ${moment(letter.born_ms)}, stored ${moment(letter.store_ms)}`),
    ...list("Error", Object.entries(letter.error)),
    ...list("Properties", Object.entries(letter.properties)),
    h("h3", {}, `Body (${size})`),
    h("pre", { tabindex: "0", "aria-label": "Body" }, pretty(letter.body)),
  );
}

/** JSON on several lines; anything else as it is. */
function pretty(text) {
  try {
    const read = JSON.parse(text);
    // Numbers beyond a double would change.
    return typeof read === "object" && !/\d{16}/.test(text) ? JSON.stringify(read, null, 2) : text;
  } catch {
    return text;
  }
}
