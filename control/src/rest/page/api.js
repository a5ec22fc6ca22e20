// Requests to the worker. Changes carry a JSON content type, which no other site's page can send unasked.

const PATIENCE_MS = 30000;

/** A refusal: the HTTP status (0 without an answer), what the worker says, and what is wrong key by key. */
export class ApiError extends Error {
  constructor(status, message, errors = []) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** One request; gives the JSON of the answer, null for an empty one. Throws an ApiError. */
export async function ask(method, path, body, { signal, patience = PATIENCE_MS } = {}) {
  const limits = [AbortSignal.timeout(patience), signal].filter(Boolean);
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["Content-Type"] = "application/json";
  let answer;
  let text;
  try {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(path, { method, headers, body: sent, signal: AbortSignal.any(limits), cache: "no-store" });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = error.name === "TimeoutError" ? `gave no answer within ${patience / 1000} s` : "can't be reached";
    throw new ApiError(0, `The worker ${why}.`);
  }
  const read = parse(text);
  if (!answer.ok) {
    throw new ApiError(answer.status, read?.message ?? `The worker answers HTTP ${answer.status}.`, read?.errors ?? []);
  }
  return read ?? null;
}

function parse(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** The path of a connector under /v1. */
export const pathOf = (name, rest = "") => `/v1/connectors/${encodeURIComponent(name)}${rest}`;
/** The page's own address of a connector. */
export const pageOf = (name, rest = "") => `#/connectors/${encodeURIComponent(name)}${rest}`;
