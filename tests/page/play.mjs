// Plays one scenario in Chromium: node play.mjs SCENARIO URL. Ends with 1 and the reason if something is not as it must be.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { scenarios } from "./scenarios.mjs";

const [scenario, url] = process.argv.slice(2);
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

function program() {
  const named = process.env.CHROMIUM;
  const found = named ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
  assert.ok(found, "Chromium is needed for this test: apt-get install chromium, or name one by CHROMIUM");
  return found;
}

/** What every page of a scenario is held to: no request leaves the host, no error in the console, no policy broken. */
class Watch {
  requests = [];
  complaints = [];
  /** Complaints that a scenario means to cause. */
  expected = [];

  on(page) {
    page.on("request", (request) => this.requests.push(request.url()));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(`console ${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`error: ${error.stack ?? error}`));
    page.on("dialog", (dialog) => {
      this.complaints.push(`a script opened a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
  }

  check() {
    const foreign = this.requests.filter((one) => !one.startsWith(`${url}/`) && !this.expected.some((known) => known.test(one)));
    assert.deepEqual(foreign, [], "requests left the host");
    const wrong = this.complaints.filter((one) => !this.expected.some((known) => known.test(one)));
    assert.deepEqual(wrong, [], "the browser complained");
  }
}

const watch = new Watch();
const context = await chromium.launchPersistentContext(process.env.RMQC_PROFILE, {
  executablePath: program(),
  headless: true,
  args: FLAGS,
  viewport: { width: 1360, height: 860 },
  locale: "en-GB",
  timezoneId: "UTC",
  colorScheme: "light",
});
context.setDefaultTimeout(20000);
let page;
try {
  context.on("page", (opened) => watch.on(opened));
  page = context.pages()[0] ?? (await context.newPage());
  watch.on(page);
  assert.ok(scenarios[scenario], `there is no scenario ${scenario}`);
  await scenarios[scenario]({ page, context, url, watch });
  watch.check();
  console.log(`${scenario}: passed`);
} catch (error) {
  console.error(`${scenario}: ${error.stack ?? error}`);
  console.error(`the browser's complaints: ${JSON.stringify(watch.complaints, null, 1)}`);
  if (page) console.error(`what the page says: ${await page.locator("body").innerText({ timeout: 2000 }).catch(() => "?")}`.slice(0, 4000));
  process.exitCode = 1;
} finally {
  await context.close();
}
