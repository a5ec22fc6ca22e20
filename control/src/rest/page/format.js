// Numbers and times as people read them. Unknown is an en dash, never 0.

const NONE = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** A count, exact. */
export const count = (value) => (known(value) ? WHOLE.format(value) : NONE);

/** A count or rate, short from 10,000 on. */
export function short(value) {
  if (!known(value)) return NONE;
  if (Math.abs(value) >= 10000) return SHORT.format(value);
  if (value !== 0 && Math.abs(value) < 10) return value.toFixed(1).replace(/\.0$/, "");
  return WHOLE.format(value);
}

/** Bytes. */
export function bytes(value) {
  if (!known(value)) return NONE;
  let rest = value;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (Math.abs(rest) < 1024 || unit === "TiB") return `${rest < 10 && unit !== "B" ? rest.toFixed(1) : WHOLE.format(rest)} ${unit}`;
    rest /= 1024;
  }
  return NONE;
}

/** A rate. */
export const perSecond = (value) => (known(value) ? `${short(value)}/s` : NONE);
export const bytesPerSecond = (value) => (known(value) ? `${bytes(value)}/s` : NONE);

/** A share of one. */
export function percent(value) {
  if (!known(value)) return NONE;
  return value > 0 && value < 0.005 ? "< 1 %" : `${Math.round(value * 100)} %`;
}

/** Milliseconds. */
export function millis(value) {
  if (!known(value)) return NONE;
  if (value >= 60000) return duration(value);
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  if (value >= 10) return `${Math.round(value)} ms`;
  if (value >= 1) return `${value.toFixed(1)} ms`;
  return value === 0 ? "0 ms" : `${Math.max(1, Math.round(value * 1000))} µs`;
}

/** A long time. */
export function duration(value) {
  if (!known(value)) return NONE;
  const seconds = Math.max(0, Math.round(value / 1000));
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ].filter(([number]) => number > 0);
  return parts.length === 0 ? "0 s" : parts.slice(0, 2).map(([number, unit]) => `${number} ${unit}`).join(" ");
}

/** A moment, in the reader's time zone. */
export function moment(at) {
  if (!known(at)) return NONE;
  const date = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A latency of one span of a connector, by quantile; null where it is unknown. */
export function latency(connector, quantile) {
  const measured = (connector.latency_ms ?? []).filter((one) => one.count > 0);
  const found = measured.find((one) => one.span === "record_to_put" || one.span === "record_to_ack") ?? measured[0];
  return found ? (found[quantile] ?? null) : null;
}

/** The last part of a Java class's name. */
export const simpleName = (name) => String(name ?? "").split(".").at(-1);
