// Creates and changes connectors: a form made from what the worker says about the keys, or the configuration as JSON.
// Every change is checked by the worker, a moment after the last keystroke.

import { attempt } from "./actions.js";
import { ApiError, ask, pageOf, pathOf } from "./api.js";
import { freshId, h, Rows, say, setAttribute, setText } from "./dom.js";
import { simpleName } from "./format.js";

const CHECK_AFTER_MS = 250;
const CLASS = "connector.class";

export class Form {
  #name;
  #editing;
  #flow;
  #values = {};
  #report = null;
  #touched = new Set();
  #submitted = false;
  #timer = 0;
  #checking = null;
  #elements = {};
  #groups;
  #json = false;
  #fields = new Map();

  /** `name`: the connector to edit; null for a new one. */
  constructor(name, flow) {
    this.#editing = name !== null;
    this.#name = name ?? "";
    this.#flow = flow;
    this.title = this.#editing ? `Edit ${name}` : "New connector";
    this.#build();
    this.#load();
  }

  update() {}

  close() {
    clearTimeout(this.#timer);
    this.#checking?.abort();
  }

  #build() {
    const [nameId, pluginId, jsonId] = [freshId("name"), freshId("plugin"), freshId("json")];
    const name = h("input", { id: nameId, type: "text", value: this.#name, disabled: this.#editing, autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": `${nameId}-error`, oninput: (event) => {
      this.#name = event.target.value.trim();
      this.#touched.add("name");
      this.#showErrors();
    } });
    const plugin = h("select", { id: pluginId, disabled: this.#editing, onchange: (event) => this.#choose(event.target.value) });
    const json = h("textarea", { id: jsonId, rows: 18, spellcheck: "false", "aria-describedby": `${jsonId}-error`, oninput: () => this.#readJson() });
    const groups = h("div", { class: "stack-small" });
    this.#groups = new Rows(groups, { key: (one) => one.name, create: (one) => this.#createGroup(one), update: (row, one) => this.#updateGroup(row, one) });
    const mode = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.#switch() }, "Edit as JSON");
    const summary = h("div", { class: "summary" });
    const count = h("p", { class: "summary-count", role: "status" }, "");
    this.#elements = {
      name, plugin, json, groups, mode, summary, count,
      nameError: h("p", { id: `${nameId}-error`, class: "field-error" }),
      jsonError: h("p", { id: `${jsonId}-error`, class: "field-error" }),
      jsonBox: h("div", { hidden: true }, h("label", { htmlFor: jsonId }, "Configuration as JSON"), json),
      send: h("button", { type: "submit", class: "primary" }, this.#editing ? "Save" : "Create"),
    };
    this.#elements.jsonBox.append(this.#elements.jsonError);
    const back = this.#editing ? pageOf(this.#name, "/config") : "#/";
    this.element = h(
      "div",
      { class: "stack" },
      h("p", { class: "crumb" }, h("a", { href: "#/" }, "Connectors"), h("span", { "aria-hidden": "true" }, " / "), this.title),
      h(
        "form",
        { class: "card stack-small", novalidate: true, "aria-label": this.title, onsubmit: (event) => {
          event.preventDefault();
          this.#submit();
        } },
        h("div", { class: "head-row" }, h("h1", { tabindex: "-1" }, this.title), mode),
        h("div", { class: "pair" }, h("div", { class: "field" }, h("label", { htmlFor: nameId }, "Name"), name, this.#elements.nameError), h("div", { class: "field" }, h("label", { htmlFor: pluginId }, "Connector"), plugin)),
        this.#elements.jsonBox,
        groups,
        h("div", { class: "verdict" }, count, summary),
        h("p", { class: "buttons" }, this.#elements.send, h("a", { class: "button", href: back }, "Cancel")),
      ),
    );
  }

  async #load() {
    try {
      const [plugins, config] = await Promise.all([
        ask("GET", "/v1/connector-plugins"),
        this.#editing ? ask("GET", pathOf(this.#name, "/config")) : null,
      ]);
      if (config) {
        delete config.name;
        this.#values = config;
      }
      this.#offer(plugins);
      await this.#check();
    } catch (error) {
      this.#tell(`This form can't be shown: ${error.message}`);
    }
  }

  #offer(plugins) {
    const option = (one) => h("option", { value: one.class }, `${simpleName(one.class)} (${one.type})`);
    const sorted = plugins.toSorted((a, b) => a.type.localeCompare(b.type) || simpleName(a.class).localeCompare(simpleName(b.class)));
    this.#elements.plugin.replaceChildren(...sorted.map(option));
    const given = this.#values[CLASS];
    if (given === undefined) this.#values[CLASS] = sorted[0]?.class ?? "";
    else if (!sorted.some((one) => one.class === given)) this.#elements.plugin.append(h("option", { value: given }, given));
    this.#elements.plugin.value = this.#values[CLASS];
  }

  /** Another plug-in: what was filled in for the last one does not fit. */
  #choose(plugin) {
    this.#values = { [CLASS]: plugin };
    this.#touched.clear();
    this.#submitted = false;
    this.#writeJson();
    this.#groups.show([]);
    this.#fields.clear();
    this.#check();
  }

  #switch() {
    this.#json = !this.#json;
    setAttribute(this.#elements.mode, "aria-pressed", this.#json);
    this.#elements.jsonBox.hidden = !this.#json;
    this.#elements.groups.hidden = this.#json;
    if (this.#json) this.#writeJson();
    else this.#check();
  }

  #writeJson() {
    this.#elements.json.value = JSON.stringify(this.#values, null, 2);
    this.#jsonWrong(null);
  }

  #readJson() {
    let read;
    try {
      read = JSON.parse(this.#elements.json.value);
      if (read === null || typeof read !== "object" || Array.isArray(read)) throw new Error("it is no object");
      this.#jsonWrong(null);
    } catch (error) {
      this.#jsonWrong(`This is no JSON object: ${error.message}`);
      return;
    }
    const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    this.#values = Object.fromEntries(Object.entries(read).map(([key, value]) => [key, text(value)]));
    if (this.#values[CLASS]) this.#elements.plugin.value = this.#values[CLASS];
    for (const key of Object.keys(this.#values)) this.#touched.add(key);
    this.#soon();
  }

  #jsonWrong(text) {
    setText(this.#elements.jsonError, text);
    setAttribute(this.#elements.json, "aria-invalid", text ? "true" : null);
    this.#elements.send.disabled = Boolean(text);
  }

  #set(key, value) {
    if (value === "") delete this.#values[key];
    else this.#values[key] = value;
    this.#touched.add(key);
    this.#soon();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), CHECK_AFTER_MS);
  }

  /** Lets the worker check all of it; an older check under way no longer counts. */
  async #check() {
    clearTimeout(this.#timer);
    this.#checking?.abort();
    const mine = new AbortController();
    this.#checking = mine;
    const plugin = this.#values[CLASS] || this.#elements.plugin.value;
    try {
      const path = `/v1/connector-plugins/${encodeURIComponent(plugin)}/config/validate`;
      const report = await ask("PUT", path, this.#values, { signal: mine.signal });
      if (mine.signal.aborted) return;
      this.#report = report;
      this.#groups.show(grouped(report));
      this.#showErrors();
    } catch (error) {
      if (mine.signal.aborted) return;
      this.#report = null;
      this.#tell(error.message);
    }
  }

  #createGroup(group) {
    const body = h("div", { class: "fields" });
    const rows = new Rows(body, { key: (one) => one.definition.name, create: (one) => this.#createField(one), update: (row, one) => this.#updateField(row, one) });
    const number = h("span", { class: "muted" });
    const element = h("details", { class: "group" }, h("summary", {}, h("span", { class: "group-name" }, group.title), " ", number), body);
    element.open = group.first || group.keys.some((one) => one.definition.required) || group.keys.some((one) => this.#values[one.definition.name] !== undefined && one.definition.name !== CLASS);
    return { element, rows, number };
  }

  #updateGroup(row, group) {
    row.rows.show(group.keys);
    const wrong = group.keys.filter((one) => this.#shows(one.definition.name) && one.value.errors.length > 0).length;
    setText(row.number, `${group.keys.length} ${group.keys.length === 1 ? "key" : "keys"}${wrong > 0 ? `, ${wrong} with errors` : ""}`);
    if (wrong > 0) row.element.open = true;
  }

  #createField({ definition, value }) {
    const id = freshId("field");
    const key = definition.name;
    const [doc, error] = [h("p", { id: `${id}-doc`, class: "doc" }, coded(definition.documentation)), h("p", { id: `${id}-error`, class: "field-error" })];
    const common = { id, "aria-describedby": `${id}-doc ${id}-error`, "aria-required": definition.required ? "true" : null };
    const input = value.recommended_values.length > 0 ? this.#createChoice(definition, value, common) : h("input", {
      ...common,
      type: definition.type === "PASSWORD" ? "password" : "text",
      inputmode: definition.type === "LONG" ? "numeric" : null,
      autocomplete: definition.type === "PASSWORD" ? "new-password" : "off",
      spellcheck: "false",
      placeholder: definition.default_value ? `default: ${definition.default_value}` : null,
      oninput: (event) => this.#set(key, event.target.value),
    });
    const label = h("label", { htmlFor: id }, key, definition.required ? h("span", { class: "tag" }, "required") : null);
    const element = h("div", { class: "field" }, label, input, error, doc);
    this.#fields.set(key, input);
    return { element, input, error };
  }

  #createChoice(definition, value, common) {
    const none = definition.default_value ? `default: ${definition.default_value}` : "choose…";
    const options = [h("option", { value: "" }, none), ...value.recommended_values.map((word) => h("option", { value: word }, word))];
    return h("select", { ...common, onchange: (event) => this.#set(definition.name, event.target.value) }, options);
  }

  #updateField(row, { definition, value }) {
    const key = definition.name;
    const given = this.#values[key] ?? "";
    // What is being typed is newer than the answer.
    if (document.activeElement !== row.input && row.input.value !== given) {
      if (row.input.tagName === "SELECT" && ![...row.input.options].some((one) => one.value === given)) row.input.append(h("option", { value: given }, given));
      row.input.value = given;
    }
    const wrong = this.#shows(key) ? value.errors.join(" ") : "";
    setText(row.error, wrong);
    setAttribute(row.input, "aria-invalid", wrong ? "true" : null);
  }

  #shows(key) {
    return this.#submitted || this.#editing || this.#touched.has(key);
  }

  /** Errors at their fields, and all of them in one place that is read out. */
  #showErrors() {
    if (!this.#report) return;
    this.#groups.show(grouped(this.#report));
    const nameless = this.#name === "" ? "A connector needs a name." : "";
    const nameWrong = this.#shows("name") ? nameless : "";
    setText(this.#elements.nameError, nameWrong);
    setAttribute(this.#elements.name, "aria-invalid", nameWrong ? "true" : null);
    const errors = this.#report.errors.filter((one) => this.#shows(one.key));
    const open = this.#report.errors.length - errors.length + (nameless && !nameWrong ? 1 : 0);
    const line = (one) => h("li", {}, this.#toField(one.key), `: ${one.reason}${one.remedy ? `. ${one.remedy}` : ""}`);
    const lines = errors.map(line);
    if (nameWrong) lines.unshift(h("li", {}, nameWrong));
    const warnings = this.#report.warnings.map((one) => h("li", { class: "warning" }, `${one.key}: ${one.reason}${one.likely ? `; did you mean ${one.likely}?` : ""}`));
    const text = lines.length > 0 ? `${lines.length} ${lines.length === 1 ? "error" : "errors"} to mend` : open > 0 ? `${open} required ${open === 1 ? "value is" : "values are"} still missing` : "The worker accepts this configuration.";
    setAttribute(this.#elements.count, "data-kind", lines.length > 0 ? "bad" : open > 0 ? "none" : "good");
    setText(this.#elements.count, lines.length > 0 ? `${text}: ${errors.map((one) => one.key).join(", ")}${nameWrong ? `${errors.length > 0 ? ", " : ""}name` : ""}` : text);
    const shown = JSON.stringify([errors, warnings.length, nameWrong]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#elements.summary.replaceChildren(...(lines.length + warnings.length > 0 ? [h("ul", {}, lines, warnings)] : []));
  }

  #shown = "";

  #toField(key) {
    const field = this.#fields.get(key);
    if (!field || this.#json) return h("strong", {}, key);
    const go = () => {
      field.closest("details").open = true;
      field.focus();
    };
    return h("button", { type: "button", class: "as-link", onclick: go }, key);
  }

  #tell(text) {
    setAttribute(this.#elements.count, "data-kind", "bad");
    setText(this.#elements.count, text);
  }

  async #submit() {
    this.#submitted = true;
    await this.#check();
    if (this.#name === "" || (this.#report && this.#report.errors.length > 0)) {
      this.#firstWrong();
      return;
    }
    this.#elements.send.disabled = true;
    const [name, config] = [this.#name, this.#values];
    const saved = await attempt(this.#editing ? "Saving" : "Creating", this.#editing ? `${name} is saved; its tasks start with it.` : `${name} is created; its tasks start.`, async () => {
      try {
        return await (this.#editing ? ask("PUT", pathOf(name, "/config"), config) : ask("POST", "/v1/connectors", { name, config }));
      } catch (error) {
        if (error instanceof ApiError) this.#tell(error.message);
        throw error;
      }
    });
    this.#elements.send.disabled = false;
    if (saved === undefined) return;
    this.#flow.soon();
    location.hash = pageOf(name);
  }

  #firstWrong() {
    if (this.#name === "") {
      this.#elements.name.focus();
      return;
    }
    const wrong = this.#report.configs.find((one) => one.value.errors.length > 0 && this.#fields.has(one.definition.name));
    const field = this.#json || !wrong ? null : this.#fields.get(wrong.definition.name);
    if (field) {
      field.closest("details").open = true;
      field.focus();
    } else {
      say(`${this.#report.errors.length} errors: ${this.#report.errors.map((one) => `${one.key}: ${one.reason}`).join("; ")}`, "wrong");
    }
  }
}

/** The keys by group, those of the connector itself first, required ones first in each. */
function grouped(report) {
  const hidden = new Set([CLASS, "name"]);
  const groups = report.groups.map((name) => {
    const keys = report.configs.filter((one) => one.definition.group === name && !hidden.has(one.definition.name));
    keys.sort((a, b) => Number(b.definition.required) - Number(a.definition.required) || a.definition.order - b.definition.order);
    return { name, title: title(name), keys, first: false };
  });
  const filled = groups.filter((group) => group.keys.length > 0);
  filled.sort((a, b) => rank(a) - rank(b));
  if (filled[0]) filled[0].first = true;
  return filled;
}

/** The connector's own keys (their group has its name, in small letters), those of its kind, and the rest as it comes. */
function rank({ name }) {
  if (/^[a-z]/.test(name)) return 0;
  return name === "Source" || name === "Sink" ? 1 : 2;
}

/** A text whose parts in back quotes are code. */
const coded = (text) => text.split("`").map((part, at) => (at % 2 === 1 ? h("code", {}, part) : part));

const title = (name) => (/^[a-z]/.test(name) && !name.includes(".") ? name[0].toUpperCase() + name.slice(1).replaceAll("-", " ") : name);
