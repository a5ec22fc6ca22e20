// What the browser does in each test.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { flow, HOSTILE, hostile, many, unknown } from "./fixture.mjs";

/** From the start of a load to a table with the connectors in it, in ms. */
const LOAD_MS_MAX = 300;
/** Work of one update with 500 connectors, in ms. */
const UPDATE_MS_MAX = 100;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { width: 360, height: 740 };
const DESK = { width: 1360, height: 860 };

const row = (page, name) => page.locator("table.connectors tbody tr").filter({ has: page.getByRole("link", { name, exact: true }) });
const said = (page, text) => page.getByRole("status").filter({ hasText: text }).first().waitFor();
const live = (page) => page.locator("body[data-link=live]").waitFor();

/** Goes to a view and waits until it shows the worker's data. */
async function view(page, url, hash) {
  await page.goto(`${url}/${hash}`);
  await live(page);
}

/** Tries until it holds, without an opinion on how often. */
async function until(what, holds, deadline = 30000) {
  const end = Date.now() + deadline;
  let last;
  while (Date.now() < end) {
    last = await holds();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: not within ${deadline} ms, last ${JSON.stringify(last)}`);
}

const get = async (url, path) => (await fetch(`${url}${path}`)).json();
const stateOf = async (url, name) => (await get(url, `/v1/connectors/${name}/status`)).connector?.state;

/** Plays an answer for /v1/flow; `make` gets how many were played. */
async function play(page, make) {
  let turn = 0;
  await page.route("**/v1/flow", (route) => {
    turn += 1;
    return route.fulfill({ json: make(turn) });
  });
  return () => turn;
}

/** How long one cold load takes: to the load event, and to the first row of the table. */
async function timed(page, url) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.clearBrowserCache");
  await session.detach();
  await page.goto(`${url}/`);
  await row(page, "orders-in").waitFor();
  return page.evaluate(() => {
    const [navigation] = performance.getEntriesByType("navigation");
    return { load: Math.round(navigation.loadEventEnd), filled: Math.round(window.filledAt) };
  });
}

async function load({ page, url, watch }) {
  const answer = await fetch(`${url}/`, { headers: { accept: "text/html" } });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-security-policy"), /^default-src 'self';/);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  const again = await fetch(`${url}/`, { headers: { accept: "text/html", "if-none-match": answer.headers.get("etag") } });
  assert.equal(again.status, 304);
  await page.addInitScript(() => {
    // Set once, by the first row that a reader can see.
    new MutationObserver((_, observer) => {
      if (!document.querySelector("table.connectors tbody tr td.col-rate")?.textContent) return;
      window.filledAt = performance.now();
      observer.disconnect();
    }).observe(document, { childList: true, subtree: true, characterData: true });
  });
  const times = [];
  for (let tries = 0; tries < 3; tries += 1) {
    const time = await timed(page, url);
    times.push(time);
    if (time.filled < LOAD_MS_MAX && time.load < LOAD_MS_MAX) break;
  }
  console.log(`cold loads, ms: ${JSON.stringify(times)}`);
  const best = Math.min(...times.map((time) => Math.max(time.filled, time.load)));
  assert.ok(best < LOAD_MS_MAX, `the page is filled after ${best} ms, at best`);

  // The policy forbids what the page does not do: scripts in the markup, and other hosts.
  watch.expected.push(/Content Security Policy/i, /Refused to/i, /foreign\.example/);
  const broken = await page.evaluate(async () => {
    const broken = [];
    document.addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.head.append(script);
    await fetch("http://foreign.example/").catch(() => {});
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    return { broken, ran: window.ran === true };
  });
  assert.equal(broken.ran, false);
  assert.ok(broken.broken.some((one) => one.startsWith("script-src")) && broken.broken.includes("connect-src"), JSON.stringify(broken));
}

async function liveScenario({ page, url }) {
  await view(page, url, "");
  const total = async () => (await page.locator(".tiles, .facts dd").allInnerTexts()).join("|");
  await until("the sink's rate is shown", async () => /\d/.test(await row(page, "orders-out").locator(".col-rate").innerText()));
  const before = await total();
  await until("the worker's line changes", async () => (await total()) !== before);
  await until("the failing sink says why", async () => /Not a directory|taken/.test(await row(page, "archive").locator(".col-cause").innerText()));
  assert.ok((await page.locator(".cores li").count()) === 2, "a bar for each core");

  await page.getByRole("searchbox").fill("archive");
  await until("the filter leaves one row", async () => (await page.locator("table.connectors tbody tr").count()) === 1);
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: "Records/s" }).click();
  assert.equal(await page.locator("th.col-rate").getAttribute("aria-sort"), "descending");
  await page.getByRole("button", { name: "In trouble" }).click();
  assert.ok((await row(page, "archive").count()) === 1 && (await row(page, "orders-out").count()) === 0);

  await view(page, url, "#/connectors/orders-out");
  const records = page.locator("dl.facts > div").filter({ has: page.locator("dt", { hasText: /^Records$/ }) }).locator("dd");
  const first = await until("records are counted", async () => /\d/.test(await records.innerText()) && records.innerText());
  await until("the count grows", async () => (await records.innerText()) !== first);
  const values = page.locator(".values").first();
  await values.getByText("Values as a table").click();
  await until("the plot's values are a table", async () => (await values.locator("tbody tr").count()) > 1);
  const painted = () => page.locator("canvas.plot").first().evaluate((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0));
  assert.ok(await painted(), "the plot is drawn");

  await page.getByRole("link", { name: "Tasks", exact: true }).click();
  await page.getByRole("button", { name: "Restart task 0" }).click();
  await said(page, "Task 0 of orders-out is started again.");
  await page.getByRole("link", { name: "Configuration" }).click();
  await page.getByRole("rowheader", { name: "connect.topicnames" }).waitFor();
  await page.getByRole("link", { name: "Offsets" }).click();
  await until("offsets are shown", async () => /orders/.test(await page.getByRole("table", { name: "Offsets" }).innerText()));

  // While nobody can see the page it asks for nothing.
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.getByText("Paused while hidden").waitFor();
  await page.evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await live(page);
}

async function create({ page, url }) {
  await view(page, url, "#/new");
  const plugin = page.getByLabel("Connector", { exact: true });
  await until("plug-ins are offered", async () => (await plugin.locator("option").count()) > 1);
  await plugin.selectOption({ label: "FileSinkConnector (sink)" });
  const field = (key) => page.getByLabel(new RegExp(`^${key.replaceAll(".", "\\.")}( ?required)?$`));
  await field("filename").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("copy");
  await field("max.tasks").evaluate((input) => {
    input.closest("details").open = true;
  });
  await field("max.tasks").fill("many");
  const errorOf = async (input) => page.locator(`[id="${(await input.getAttribute("aria-describedby")).split(" ").find((id) => id.endsWith("-error"))}"]`).innerText();
  await until("the wrong number is told at its field", async () => /many/.test(await errorOf(field("max.tasks"))));
  assert.equal(await field("max.tasks").getAttribute("aria-invalid"), "true");
  await until("and read out", async () => /max\.tasks/.test(await page.locator(".summary-count").innerText()));
  // Sent as it is, it is not created, and what is missing is told too.
  await page.getByRole("button", { name: "Create" }).click();
  await until("what is missing is told at its field", async () => (await errorOf(field("filename"))) !== "");
  assert.equal((await get(url, "/v1/connectors")).includes("copy"), false);

  await field("max.tasks").fill("1");
  await field("filename").fill(`${process.env.RMQC_HOME}/copy.txt`);
  await page.getByRole("button", { name: "Edit as JSON" }).click();
  const json = page.getByLabel("Configuration as JSON");
  const config = JSON.parse(await json.inputValue());
  assert.equal(config["max.tasks"], "1");
  await json.fill("{");
  await until("broken JSON is told", async () => (await json.getAttribute("aria-invalid")) === "true");
  await json.fill(JSON.stringify({ ...config, "connect.topicnames": "orders" }));
  await page.getByRole("button", { name: "Edit as JSON" }).click();
  await until("JSON and form agree", async () => (await field("connect.topicnames").inputValue()) === "orders");
  await page.getByRole("button", { name: "Create" }).click();
  await said(page, "copy is created");
  await until("it runs", async () => /running/.test(await page.locator(".head-state").innerText()));
  assert.equal(await stateOf(url, "copy"), "RUNNING");

  await page.getByRole("link", { name: "Edit" }).click();
  await until("its configuration is in the form", async () => (await field("connect.topicnames").inputValue()) === "orders");
  assert.equal(await page.getByLabel("Name", { exact: true }).isDisabled(), true);
  await field("uncommitted.records").evaluate((input) => {
    input.closest("details").open = true;
  });
  await field("uncommitted.records").fill("77");
  await page.getByRole("button", { name: "Save" }).click();
  await said(page, "copy is saved");
  assert.equal((await get(url, "/v1/connectors/copy/config"))["uncommitted.records"], "77");
}

/** Presses Tab until the focus is on something of this name; each stop on the way must be visible. */
async function tabTo(page, name) {
  for (let presses = 0; presses < 120; presses += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const one = document.activeElement;
      const style = getComputedStyle(one);
      const ring = style.outlineStyle !== "none" || style.boxShadow !== "none";
      return { text: (one.getAttribute("aria-label") ?? one.innerText ?? "").trim(), body: one === document.body, ring };
    });
    if (focus.body) continue;
    assert.ok(focus.ring, `the focus on "${focus.text}" can't be seen`);
    if (focus.text === name) return;
  }
  throw new Error(`"${name}" is not reached by Tab`);
}

async function keyboard({ page, url }) {
  await view(page, url, "");
  await row(page, "orders-in").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await tabTo(page, "orders-in");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "orders-in" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1", "a new view begins at its heading");

  await tabTo(page, "Pause");
  await page.keyboard.press("Enter");
  await said(page, "orders-in is told to pause.");
  await page.getByRole("button", { name: "Resume", exact: true }).waitFor();
  assert.equal(await stateOf(url, "orders-in"), "PAUSED");
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Resume", "the focus stays");
  await page.keyboard.press("Space");
  await said(page, "orders-in is told to go on.");
  await until("it runs again", async () => (await stateOf(url, "orders-in")) === "RUNNING");
  await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
  await tabTo(page, "Stop");
  await page.keyboard.press("Enter");
  await said(page, "orders-in is told to stop");
  await until("it is stopped", async () => (await stateOf(url, "orders-in")) === "STOPPED");
  await page.keyboard.press("Shift+Tab");
  await page.getByRole("button", { name: "Resume", exact: true }).waitFor();
  await page.keyboard.press("Enter");
  await until("it runs once more", async () => (await stateOf(url, "orders-in")) === "RUNNING");
  await tabTo(page, "Restart");
  await page.keyboard.press("Enter");
  await said(page, "All tasks of orders-in are started again.");

  await tabTo(page, "Delete");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Delete orders-in?" });
  await dialog.waitFor();
  assert.ok(await dialog.evaluate((one) => one.contains(document.activeElement)), "the focus is in the dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Delete", "the focus comes back");
  await page.keyboard.press("Enter");
  await dialog.waitFor();
  assert.ok(await dialog.getByRole("textbox").evaluate((input) => document.activeElement === input), "typing goes to the box");
  await page.keyboard.type("orders");
  assert.equal(await dialog.getByRole("button", { name: "Delete" }).isDisabled(), true, "half a name is not enough");
  await page.keyboard.press("Enter");
  assert.equal(await stateOf(url, "orders-in"), "RUNNING");
  await page.keyboard.type("-in");
  await page.keyboard.press("Enter");
  await said(page, "orders-in is deleted.");
  await page.getByRole("heading", { level: 1, name: "Connectors" }).waitFor({ state: "attached" });
  await until("its row goes", async () => (await row(page, "orders-in").count()) === 0);
  assert.deepEqual(await get(url, "/v1/connectors"), ["orders-out"]);
}

async function letters({ page, url, watch }) {
  await view(page, url, "#/connectors/numbers-out/letters");
  const rows = page.getByRole("table", { name: "Dead letters" }).locator("tbody tr");
  await until("the letter is listed", async () => (await rows.count()) === 1);
  assert.match(await rows.first().innerText(), /no JSON <b>at all<\/b>/);
  await page.getByRole("button", { name: /^Show letter/ }).click();
  const shown = page.getByRole("dialog");
  assert.match(await shown.innerText(), /CONVERTER/);
  assert.match(await shown.innerText(), /no JSON <b>at all<\/b>/);
  assert.equal(await shown.locator("b").count(), 0, "a body is text");
  await shown.getByRole("button", { name: "Close" }).click();

  await page.getByRole("button", { name: /^Replay letter/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal((await get(url, "/v1/connectors/numbers-out/dlq/summary")).letters, 1, "cancelled is not replayed");
  await page.getByRole("button", { name: /^Replay letter/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
  await said(page, "1 letter was replayed.");
  // It is as bad as before, so it comes back as another letter.
  await until("it comes back", async () => (await get(url, "/v1/connectors/numbers-out/dlq/summary")).letters === 2);
  await page.getByRole("button", { name: "Refresh" }).click();
  await until("both are listed", async () => (await rows.count()) === 2);
  await page.getByRole("button", { name: "Replay all" }).click();
  await page.getByRole("dialog", { name: "Replay one letter?" }).getByRole("button", { name: "Replay" }).click();
  await until("the second comes back", async () => (await get(url, "/v1/connectors/numbers-out/dlq/summary")).letters === 3);
  await page.getByRole("link", { name: "Errors" }).click();
  await page.getByRole("heading", { name: "Records that failed lately" }).waitFor();

  watch.expected.push(/status of 404/);
  await view(page, url, "#/connectors/numbers-in/letters");
  await page.getByText("names no dead letter queue").waitFor();
}

/** Every view, with what shows that it is ready. */
const VIEWS = [
  ["#/", (page) => row(page, "orders-out").waitFor()],
  ["#/new", (page) => page.getByLabel(/^max\.tasks/).waitFor({ state: "attached" })],
  ["#/connectors/orders-out", (page) => page.locator("canvas.plot").first().waitFor()],
  ["#/connectors/archive/tasks", (page) => page.getByRole("button", { name: "Restart task 0" }).waitFor()],
  ["#/connectors/numbers-out/errors", (page) => page.getByRole("heading", { name: "Records that failed lately" }).waitFor()],
  ["#/connectors/numbers-out/letters", (page) => page.getByRole("button", { name: /^Show letter/ }).waitFor()],
  ["#/connectors/numbers-out/config", (page) => page.getByRole("rowheader", { name: "value.converter", exact: true }).waitFor()],
  ["#/connectors/orders-out/offsets", (page) => page.getByRole("table", { name: "Offsets" }).locator("tbody tr").first().waitFor()],
  ["#/connectors/orders-out/edit", (page) => page.getByText("The worker accepts this configuration.").waitFor()],
  ["#/connectors/nobody", (page) => page.getByText("There is no connector nobody.").waitFor()],
];

async function examine(page, what) {
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { rules: { "target-size": { enabled: true } } });
    return violations.map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 5).map((node) => `${node.target} ${node.failureSummary}`) }));
  });
  assert.deepEqual(found, [], what);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wider <= 0, `${what}: the page is ${wider} px wider than the window`);
}

async function access({ page, url }) {
  let looks = 0;
  for (const [scheme, size] of [["light", DESK], ["dark", DESK], ["light", PHONE], ["dark", PHONE]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize(size);
    for (const [hash, ready] of VIEWS) {
      await view(page, url, hash);
      await ready(page);
      await page.evaluate(AXE);
      await examine(page, `${hash} ${scheme} ${size.width}`);
      looks += 1;
    }
    await page.goto(`${url}/#/connectors/orders-out`);
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").waitFor();
    await page.evaluate(AXE);
    await examine(page, `dialog ${scheme} ${size.width}`);
    await page.keyboard.press("Escape");
    looks += 1;
  }
  const still = await page.locator(".dot").evaluate((dot) => getComputedStyle(dot).animationName);
  assert.equal(still, "none", "nothing moves for those who asked for it");
  console.log(`axe-core found nothing in ${looks} looks`);

  // The switch goes before the system's wish, and is remembered.
  await page.emulateMedia({ colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const bright = await ground();
  await page.getByLabel("Theme").selectOption("dark");
  assert.notEqual(await ground(), bright);
  await page.reload();
  assert.notEqual(await ground(), bright);
}

async function hostileScenario({ page, url, watch }) {
  await play(page, hostile);
  watch.expected.push(/Failed to load resource/);
  await view(page, url, "");
  await until("all are listed", async () => (await page.locator("table.connectors tbody tr").count()) === HOSTILE.length);
  const names = await page.locator("table.connectors tbody tr th").evaluateAll((cells) => cells.map((cell) => cell.textContent));
  assert.deepEqual(names.sort(), [...HOSTILE].sort());
  for (const name of HOSTILE) {
    for (const part of ["", "/tasks", "/errors", "/letters", "/config", "/offsets"]) {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#/connectors/${encodeURIComponent(name)}${part}`);
      await until(`${name} ${part} is shown`, async () => (await page.locator("h1").first().textContent()) === name);
      const strange = await page.evaluate(() => document.querySelectorAll("main img, main script, main iframe, main b, [onerror], a[href^='javascript']").length);
      assert.equal(strange, 0, `${name} became markup`);
    }
  }
  await page.setViewportSize(PHONE);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  const widest = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1).map((one) => `${one.tagName}.${one.className}`).slice(0, 8));
  assert.ok(wider <= 0, `a long name makes the page ${wider} px wider than the phone: ${widest}`);

  await page.unroute("**/v1/flow");
  await play(page, unknown);
  for (const part of ["", "/tasks", "/errors"]) {
    await view(page, url, `#/connectors/nothing-known${part}`);
    await page.getByRole("heading", { level: 1, name: "nothing-known" }).waitFor();
    assert.doesNotMatch(await page.locator("main").innerText(), /NaN|undefined|null|Infinity/);
  }
  await page.unroute("**/v1/flow");
  await play(page, () => flow([]));
  await view(page, url, "");
  await page.reload();
  await page.getByRole("link", { name: "Create the first one" }).waitFor();
}

async function manyScenario({ page, url }) {
  const turns = await play(page, (turn) => many(500, turn));
  await view(page, url, "");
  await until("all are listed", async () => (await page.locator("table.connectors tbody tr").count()) === 500);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const metrics = async () => {
    const { metrics: all } = await session.send("Performance.getMetrics");
    return Object.fromEntries(all.map((one) => [one.name, one.value]));
  };
  const marked = await page.locator("table.connectors tbody tr").first().evaluateHandle((element) => element);
  const [before, from] = [await metrics(), turns()];
  await page.evaluate(() => window.scrollTo(0, 4000));
  const inside = page.locator("table.connectors tbody tr").nth(90).locator(".col-rate");
  const rate = await inside.innerText();
  await until("five updates", async () => turns() - from >= 6);
  const after = await metrics();
  const each = (name) => ((after[name] - before[name]) * 1000) / (turns() - from);
  const work = { script: each("ScriptDuration"), layout: each("LayoutDuration"), style: each("RecalcStyleDuration") };
  console.log(`one update of 500 connectors, ms: ${JSON.stringify(work)}`);
  assert.ok(work.script < UPDATE_MS_MAX, "an update takes too much scripting");
  assert.ok(work.layout + work.style < UPDATE_MS_MAX, "an update takes too much layout");
  assert.notEqual(await inside.innerText(), rate, "a row in the window shows new numbers");
  assert.ok(await marked.evaluate((element) => element.isConnected), "rows stay, their texts change");
  const typed = Date.now();
  await page.getByRole("searchbox").fill("connector-0123");
  await until("the filter is done", async () => (await page.locator("table.connectors tbody tr").count()) === 1);
  console.log(`filtering 500 connectors to one, with the browser's round trips: ${Date.now() - typed} ms`);
}

async function away({ page, url, watch }) {
  await view(page, url, "");
  watch.expected.push(/ERR_FAILED|Failed to load resource/);
  await page.route("**/v1/flow", (route) => route.abort());
  await page.getByRole("alert").filter({ hasText: "can't be reached. Next try in" }).waitFor();
  await page.unroute("**/v1/flow");
  await live(page);
  await page.route("**/v1/flow", (route) => route.fulfill({ status: 503, json: { error_code: 503, message: "The worker is going down" } }));
  await page.getByRole("alert").filter({ hasText: "The worker is going down" }).waitFor();
}

async function foreign({ page, url, watch }) {
  const attempts = (target) => `<!doctype html><title>foreign</title><img src="${target}/connectors/orders-in/stop"><img src="${target}/connectors/stop/all">
    <form method="post" action="${target}/connectors/evil" enctype="text/plain"><input name='{"connector.class":"generator-source","x":"' value='"}'></form>
    <script>fetch("${target}/v1/connectors", { method: "POST", mode: "no-cors", body: '{"name":"evil","config":{"connector.class":"generator-source"}}' }).catch(() => {});</script>`;
  const server = createServer((request, answer) => answer.writeHead(200, { "content-type": "text/html" }).end(attempts(url)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  watch.expected.push(/.*/);
  try {
    // Of the same site on another port, and of another site.
    for (const host of ["127.0.0.1", "localhost"]) {
      const answers = [];
      // The browser keeps refused images from the page, so that for them there is an end but no answer to look at.
      let ended = 0;
      const end = (request) => {
        ended += request.url().startsWith(url) ? 1 : 0;
      };
      const listen = (answer) => answer.url().startsWith(url) && answers.push(answer.status());
      page.on("response", listen).on("requestfinished", end).on("requestfailed", end);
      await page.goto(`http://${host}:${server.address().port}/`);
      await until("all but the form were answered", () => ended >= 3);
      await page.evaluate(() => document.querySelector("form").submit());
      await until("all were answered", () => ended >= 4);
      page.off("response", listen).off("requestfinished", end).off("requestfailed", end);
      assert.deepEqual([...new Set(answers)], [403], JSON.stringify(answers));
    }
  } finally {
    server.close();
  }
  assert.deepEqual((await get(url, "/v1/connectors")).sort(), ["orders-in", "orders-out"]);
  assert.equal(await stateOf(url, "orders-in"), "RUNNING");
  // A program sends no Origin: the Java API's paths are as they were.
  const own = await (await fetch(`${url}/connectors/orders-in/pause`)).json();
  assert.equal(own.status, 200);
}

const PICTURE_BYTES_MAX = 200 * 1024;
/** Samples that a picture's plots show. */
const PICTURE_SAMPLES = 75;

async function screenshots({ page, url }) {
  const keep = process.env.UPDATE_SCREENSHOTS === "1";
  let answers = 0;
  page.on("response", (answer) => {
    answers += answer.url().endsWith("/v1/flow") ? 1 : 0;
  });
  const folder = keep ? process.env.RMQC_DOCS : process.env.RMQC_HOME;
  const take = async (name, more) => {
    const path = `${folder}/page-${name}.png`;
    await page.screenshot({ path, animations: "disabled", ...more });
    const { size } = statSync(path);
    assert.ok(size > 5000 && size < PICTURE_BYTES_MAX, `${path} has ${size} bytes`);
  };
  await page.setViewportSize({ width: 1280, height: 760 });
  await view(page, url, "#/");
  await row(page, "orders-out").waitFor();
  await fetch(`${url}/v1/connectors/numbers-in/pause`, { method: "PUT" });
  await until("there is something to see", () => answers >= (keep ? PICTURE_SAMPLES : 2), 150000);
  await take("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.evaluate(() => {
    location.hash = "#/connectors/orders-out";
  });
  await page.locator("canvas.plot").first().waitFor();
  const seen = answers;
  await until("the plots are in dark colours", () => answers > seen + 1);
  await page.evaluate(() => document.activeElement.blur());
  await take("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.evaluate(() => {
    location.hash = "#/";
  });
  await row(page, "orders-out").waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await take("phone");
}

export const scenarios = { load, live: liveScenario, create, keyboard, letters, access, hostile: hostileScenario, many: manyScenario, away, foreign, screenshots };
