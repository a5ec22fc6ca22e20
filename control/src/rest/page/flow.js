// Asks for what flows, once a second while somebody can see it, and remembers the last ten minutes for the plots.

import { ask } from "./api.js";
import { latency } from "./format.js";

const EVERY_MS = 1000;
const PAUSE_MAX_MS = 15000;
const PATIENCE_MS = 10000;
/** Samples kept of a connector: ten minutes, and some to spare so that not each one moves all. */
const KEPT = 600;
const SPARE = 120;

export class Flow {
  /** The last answer; null before the first. */
  last = null;
  /** Samples by connector: arrays of equal length. */
  history = new Map();
  #show;
  #tell;
  #timer = 0;
  #failures = 0;
  #asking = false;
  #again = false;

  /** `show` gets each answer; `tell` gets the state of the link: {state, text}. */
  constructor(show, tell) {
    this.#show = show;
    this.#tell = tell;
    document.addEventListener("visibilitychange", () => this.#visible());
  }

  /** Asks now, or right after the request under way. */
  soon() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    if (this.#asking) this.#again = true;
    else this.#ask();
  }

  #visible() {
    if (document.hidden) {
      clearTimeout(this.#timer);
      this.#tell({ state: "idle", text: "Paused while hidden" });
    } else {
      this.#failures = 0;
      this.soon();
    }
  }

  async #ask() {
    const began = performance.now();
    this.#asking = true;
    let pause = EVERY_MS;
    try {
      const flow = await ask("GET", "/v1/flow", undefined, { patience: PATIENCE_MS });
      this.#failures = 0;
      this.last = flow;
      this.#remember(flow);
      this.#tell({ state: "live", text: "Live" });
      this.#show(flow);
    } catch (error) {
      this.#failures += 1;
      pause = Math.min(EVERY_MS * 2 ** this.#failures, PAUSE_MAX_MS);
      this.#tell({ state: "lost", text: `${error.message} Next try in ${Math.round(pause / 1000)} s.` });
      if (!error.status && error.name !== "Error") console.warn(error);
    }
    this.#asking = false;
    if (document.hidden) return;
    const wait = this.#again ? 0 : Math.max(0, pause - (performance.now() - began));
    this.#again = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), wait);
  }

  #remember(flow) {
    const names = new Set();
    for (const one of flow.connectors) {
      names.add(one.name);
      let kept = this.history.get(one.name);
      if (!kept) {
        kept = { at: [], records: [], bytes: [], p50: [], p99: [], lag: [] };
        this.history.set(one.name, kept);
      }
      kept.at.push(flow.at_ms);
      kept.records.push(one.records_per_second);
      kept.bytes.push(one.bytes_per_second);
      kept.p50.push(latency(one, "p50"));
      kept.p99.push(latency(one, "p99"));
      kept.lag.push(one.lag_records);
      if (kept.at.length > KEPT + SPARE) for (const values of Object.values(kept)) values.splice(0, SPARE);
    }
    for (const name of this.history.keys()) if (!names.has(name)) this.history.delete(name);
  }
}
