// Builds and changes elements. Everything that comes from outside becomes a text node or a property, never markup.

/** An element. Properties that begin with "on" are listeners, `dataset` and `aria-*` and other attributes are set as such. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PROPERTIES = { value: 1, checked: 1, disabled: 1, htmlFor: 1, hidden: 1, tabIndex: 1 };

/** Sets an element's text if it is another one. */
export function setText(element, text) {
  const given = text === null || text === undefined ? "" : String(text);
  // A text node that stays costs less than a new one.
  const only = element.firstChild;
  if (only?.nodeType === Node.TEXT_NODE && only === element.lastChild) {
    if (only.data !== given) only.data = given;
  } else if (element.textContent !== given) {
    element.textContent = given;
  }
}

/** Sets or removes an attribute if it changes. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

/** Sets a style property if it changes. */
export function setStyle(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/**
 * Keeps one child an item, in the items' order: `key` tells items apart, `create` makes a child, `update` shows an item in
 * it. Children that stay are not touched but by `update`, so focus and selection stay too.
 */
export class Rows {
  #parent;
  #options;
  #known = new Map();

  constructor(parent, options) {
    this.#parent = parent;
    this.#options = options;
  }

  show(items) {
    const { key, create, update } = this.#options;
    const seen = new Set();
    const wanted = [];
    for (const item of items) {
      const id = key(item);
      if (seen.has(id)) continue;
      seen.add(id);
      let row = this.#known.get(id);
      if (!row) {
        row = create(item);
        this.#known.set(id, row);
      }
      update(row, item);
      wanted.push(row.element ?? row);
    }
    for (const [id, row] of this.#known) {
      if (!seen.has(id)) {
        (row.element ?? row).remove();
        this.#known.delete(id);
      }
    }
    // From the end: only what stands in another place is moved.
    let next = null;
    for (let at = wanted.length - 1; at >= 0; at -= 1) {
      const element = wanted[at];
      if (element.parentNode !== this.#parent || element.nextSibling !== next) this.#parent.insertBefore(element, next);
      next = element;
    }
  }
}

let number = 0;

/** An id that no other element has. */
export function freshId(word) {
  number += 1;
  return `${word}-${number}`;
}

let forget = 0;

/** Tells what was done, on the screen and to screen readers. */
export function say(text, kind = "done") {
  const said = document.getElementById("said");
  clearTimeout(forget);
  said.replaceChildren(h("p", { class: `toast ${kind}` }, text));
  forget = setTimeout(() => said.replaceChildren(), kind === "wrong" ? 20000 : 8000);
}

/** A word with a coloured mark whose shape differs too. */
export function badge(word) {
  const element = h("span", { class: "badge" }, h("span", { class: "mark", "aria-hidden": "true" }), h("span", {}, ""));
  setBadge(element, word);
  return element;
}

const KINDS = {
  RUNNING: "good",
  HEALTHY: "good",
  CATCHING_UP: "busy",
  STARTING: "busy",
  RESTARTING: "warn",
  STOPPING: "busy",
  UNASSIGNED: "busy",
  DEGRADED: "warn",
  STALLED: "bad",
  FAILED: "bad",
  PAUSED: "idle",
  STOPPED: "idle",
};

/** How alarming a word is. */
export const kindOf = (word) => (Object.hasOwn(KINDS, word ?? "") ? KINDS[word] : "none");

/** Shows another word. */
export function setBadge(element, word) {
  setAttribute(element, "data-kind", kindOf(word));
  setText(element.lastChild, word ? word.replaceAll("_", " ").toLowerCase() : "unknown");
}

/** A section with a heading. */
export function section(title, ...children) {
  const id = freshId("section");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** A table in a region that scrolls by itself; `columns` are texts, or {text, numeric, narrow}. */
export function table(label, columns) {
  const heads = columns.map((column) => {
    const { text, numeric, narrow } = typeof column === "string" ? { text: column } : column;
    const kind = [numeric && "number", narrow === false && "wide-only"].filter(Boolean).join(" ");
    return h("th", { scope: "col", class: kind || null }, text);
  });
  const body = h("tbody");
  const element = h(
    "div",
    { class: "scroll", role: "region", "aria-label": `Table: ${label}`, tabindex: "0" },
    h("table", {}, h("caption", { class: "hidden" }, label), h("thead", {}, h("tr", {}, heads)), body),
  );
  return { element, body };
}
