// Lines over time on a canvas, with the same values as a table.

import { freshId, h, setAttribute, setText, table } from "./dom.js";
import { moment } from "./format.js";

const SPAN_MS = 600000;
/** A line is broken where there was no sample for so long. */
const GAP_MS = 5000;
const HEIGHT = 150;
const EDGE = { left: 58, right: 10, top: 8, bottom: 20 };
const ROWS = 30;

/** A plot of `lines`: [{name, colour (a CSS variable), values(history)}]; `format` makes texts of values; the scale ends at `least` or higher. */
export class Plot {
  #lines;
  #format;
  #canvas;
  #now;
  #body;
  #details;
  #history = null;
  #stroked = "";
  #least;

  constructor(title, lines, format, least = 0) {
    this.#least = least;
    this.#lines = lines;
    this.#format = format;
    const id = freshId("plot");
    this.#canvas = h("canvas", { class: "plot", role: "img", "aria-labelledby": id });
    this.#now = lines.map(() => h("strong", {}, "–"));
    const legend = lines.map((line, at) =>
      h("span", { class: "key" }, h("span", { class: `swatch ${line.dashed ? "dashed" : ""} ${line.colour}`, "aria-hidden": "true" }), line.name, " ", this.#now[at]),
    );
    const values = table(`${title}: values`, ["Time", ...lines.map((line) => ({ text: line.name, numeric: true }))]);
    this.#body = values.body;
    this.#details = h("details", { class: "values", ontoggle: () => this.#tabulate() }, h("summary", {}, "Values as a table"), values.element);
    this.element = h(
      "figure",
      { class: "plot-box" },
      h("figcaption", { id }, h("span", { class: "plot-title" }, title), h("span", { class: "legend" }, legend)),
      this.#canvas,
      this.#details,
    );
    this.observer = new ResizeObserver(() => {
      this.#stroked = "";
      this.#draw();
    });
    this.observer.observe(this.#canvas);
  }

  close() {
    this.observer.disconnect();
  }

  show(history) {
    this.#history = history;
    this.#lines.forEach((line, at) => setText(this.#now[at], this.#format(line.values(history).at(-1))));
    this.#draw();
    this.#tabulate();
  }

  /** The newest values first, while the table is open. */
  #tabulate() {
    if (!this.#details.open || !this.#history) return;
    const { at } = this.#history;
    const rows = [];
    for (let index = at.length - 1; index >= 0 && rows.length < ROWS; index -= 1) {
      const cells = this.#lines.map((line) => h("td", { class: "number" }, this.#format(line.values(this.#history)[index])));
      rows.push(h("tr", {}, h("td", {}, moment(at[index])), cells));
    }
    this.#body.replaceChildren(...rows);
  }

  #draw() {
    const width = this.#canvas.clientWidth;
    if (!width || !this.#history) return;
    const ratio = window.devicePixelRatio || 1;
    const [across, down] = [Math.round(width * ratio), Math.round(HEIGHT * ratio)];
    const { at } = this.#history;
    const end = at.at(-1) ?? Date.now();
    const mark = `${across}/${end}/${document.documentElement.dataset.theme ?? ""}/${matchMedia("(prefers-color-scheme: dark)").matches}`;
    if (mark === this.#stroked) return;
    this.#stroked = mark;
    if (this.#canvas.width !== across) this.#canvas.width = across;
    if (this.#canvas.height !== down) this.#canvas.height = down;
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, HEIGHT);
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    // A young history fills the width as well, from one minute on.
    const span = Math.min(SPAN_MS, Math.max(60000, end - (at[0] ?? end)));
    const start = end - span;
    const top = nice(Math.max(this.#least, this.#highest(start)));
    const x = (time) => EDGE.left + ((time - start) / span) * (width - EDGE.left - EDGE.right);
    const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
    this.#grid(pen, { style, colour, top, start, end, span, x, y, width });
    for (const line of this.#lines) this.#line(pen, line, colour(line.colour), start, x, y);
  }

  #highest(start) {
    let highest = 0;
    const { at } = this.#history;
    for (const line of this.#lines) {
      const values = line.values(this.#history);
      for (let index = at.length - 1; index >= 0 && at[index] >= start; index -= 1) {
        if (values[index] > highest) highest = values[index];
      }
    }
    return highest;
  }

  #grid(pen, { style, colour, top, start, end, span, x, y, width }) {
    pen.font = `11px ${style.fontFamily}`;
    pen.fillStyle = colour("muted");
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let step = 0; step <= 2; step += 1) {
      const value = (top * step) / 2;
      const height = Math.round(y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(EDGE.left, height);
      pen.lineTo(width - EDGE.right, height);
      pen.stroke();
      pen.fillText(this.#format(value), EDGE.left - 8, height);
    }
    pen.textBaseline = "alphabetic";
    const every = span > 300000 ? 120000 : span > 150000 ? 60000 : 30000;
    for (let time = end; time >= start; time -= every) {
      const ago = end - time;
      pen.textAlign = ago === 0 ? "right" : "center";
      if (x(time) < EDGE.left + 10) continue;
      pen.fillText(ago === 0 ? "now" : ago % 60000 === 0 ? `−${ago / 60000} min` : `−${ago / 1000} s`, x(time), HEIGHT - 4);
    }
  }

  #line(pen, line, colour, start, x, y) {
    const { at } = this.#history;
    const values = line.values(this.#history);
    pen.strokeStyle = colour;
    pen.fillStyle = colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.setLineDash(line.dashed ? [5, 3] : []);
    pen.beginPath();
    let before = null;
    let first = null;
    let last = null;
    for (let index = 0; index < at.length; index += 1) {
      const value = values[index];
      if (at[index] < start || typeof value !== "number") {
        before = null;
        continue;
      }
      if (before === null || at[index] - before > GAP_MS) pen.moveTo(x(at[index]), y(value));
      else pen.lineTo(x(at[index]), y(value));
      before = at[index];
      first ??= at[index];
      last = [x(at[index]), y(value)];
    }
    pen.stroke();
    pen.setLineDash([]);
    if (last) {
      pen.beginPath();
      pen.arc(last[0], last[1], 2.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

/** The least round number that is not below the value. */
function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

/** A bar of a share; its text stands beside it, so it is hidden from screen readers. */
export function bar() {
  const fill = h("span", { class: "fill" });
  return { element: h("span", { class: "bar-track", "aria-hidden": "true" }, fill), fill };
}

/** Sets a bar's share and how alarming it is. */
export function setBar({ fill }, share) {
  const whole = Math.max(0, Math.min(1, share ?? 0));
  const wanted = `${(whole * 100).toFixed(1)}%`;
  if (fill.style.width !== wanted) fill.style.width = wanted;
  setAttribute(fill, "data-level", whole > 0.9 ? "high" : whole > 0.7 ? "mid" : "low");
}
