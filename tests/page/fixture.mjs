// Answers of /v1/flow as no test set-up can have them: many connectors, unknown numbers, hostile names.

/** Repeatable numbers from 0 to 1. */
export function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const latencies = (p50) => [{ span: "record_to_put", count: 100, p50, p90: p50 * 2, p99: p50 * 4, p999: p50 * 6, p9999: p50 * 8, max: p50 * 9 }];

export function connector(name, more = {}) {
  return {
    name,
    type: "sink",
    class: "org.apache.rocketmq.connect.file.FileSinkConnector",
    state: "RUNNING",
    health: { state: "HEALTHY", cause: "" },
    limit: { by: "target", sentence: "The target takes all its time.", confidence: 0.9, advice: "Give it more tasks." },
    records_per_second: 10,
    bytes_per_second: 1000,
    lag_records: 5,
    lag_ms: 20,
    catch_up_seconds: null,
    latency_ms: latencies(2),
    steps: [{ step: "put", busy: 0.6, starved: 0.3, blocked: 0.1 }],
    window: { records: 1, records_max: 10, bytes: 100, bytes_max: 1000 },
    batch_fill: 0.5,
    copied_bytes_per_record: 0,
    records_total: 100,
    bytes_total: 10000,
    retries: 0,
    dead_letters: 0,
    skipped: 0,
    filtered: 0,
    restarts: 0,
    tasks: [],
    ...more,
  };
}

export function flow(connectors, more = {}) {
  return {
    at_ms: Date.now(),
    window_ms: 1000,
    worker: { id: "w", version: "0", commit: "c", uptime_ms: 1, driver: "epoll", driver_reason: "", pinned: false, pin_reason: "", rss_bytes: 1, cpu_share: null, cluster: "embedded" },
    shards: [],
    connectors,
    ...more,
  };
}

/** Many connectors, whose numbers change with each call. */
export function many(number, turn) {
  const next = random(turn + 1);
  const states = ["HEALTHY", "HEALTHY", "HEALTHY", "CATCHING_UP", "DEGRADED", "FAILED"];
  return flow(
    Array.from({ length: number }, (_, at) => {
      const state = states[at % states.length];
      const cause = state === "HEALTHY" ? "" : `Queue ${at} has fallen behind.`;
      return connector(`connector-${String(at).padStart(4, "0")}`, {
        health: { state, cause },
        records_per_second: Math.round(next() * 5000),
        lag_records: Math.round(next() * 1000),
        latency_ms: latencies(1 + next() * 20),
      });
    }),
  );
}

/** An answer in which everything that may be unknown is. */
export function unknown() {
  const nothing = Object.fromEntries(
    ["records_per_second", "bytes_per_second", "lag_records", "lag_ms", "catch_up_seconds", "batch_fill", "copied_bytes_per_record", "limit", "health", "window"].map((key) => [key, null]),
  );
  const task = { task: 0, shard: null, state: "UNASSIGNED", health: null, records_per_second: null, bytes_per_second: null, lag_records: null, lag_ms: null, steps: [], holding: null, queues: [], failed: [] };
  return flow([connector("nothing-known", { ...nothing, latency_ms: [], steps: [], tasks: [task], state: "UNASSIGNED" })], {
    shards: [{ shard: 0, busy: null, tasks: 0, connections: null, received_bytes_per_second: null, sent_bytes_per_second: null, stalls: 0, last_stall: null, replaced: 0, commands_waiting: 0, steps: [] }],
  });
}

export const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "</td><script>alert(1)</script>",
  "javascript:alert(1)",
  "__proto__",
  "a/b?c#d%2e%",
  "\u202egnp.exe",
  "x".repeat(900),
];

/** Connectors whose every text is hostile. */
export function hostile() {
  return flow(
    HOSTILE.map((text) => {
      const queue = { topic: text, broker: text, queue_id: 0, done: 1, end: 2, lag_records: 1, lag_ms: 1 };
      const failed = { at_ms: 1, stage: text, error: text, position: text, value: text, outcome: text };
      const task = { task: 0, shard: 0, state: text, health: { state: text, cause: text }, records_per_second: 1, bytes_per_second: 1, lag_records: 1, lag_ms: 1, steps: [], holding: { stage: text, cause: text, since_ms: 1, tries: 1 }, queues: [queue], failed: [failed] };
      return connector(text, { class: text, type: text, state: text, health: { state: text, cause: text }, limit: { by: text, sentence: text, confidence: 1, advice: text }, steps: [{ step: text, busy: 1, starved: 0, blocked: 0 }], tasks: [task] });
    }),
  );
}
