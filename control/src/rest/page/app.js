// The page's frame: which view is shown, the link's state, the theme.

import { Connector } from "./connector.js";
import { setAttribute, setText } from "./dom.js";
import { Flow } from "./flow.js";
import { Form } from "./form.js";
import { Overview } from "./overview.js";

const main = document.getElementById("main");
const link = document.getElementById("link");
let view = null;
let shownFlow = null;

const flow = new Flow(
  (answer) => {
    shownFlow = answer;
    view?.update(answer);
  },
  ({ state, text }) => {
    setAttribute(link, "data-state", state);
    setText(document.getElementById("link-text"), text);
    // Read out when the worker is lost and when it is back, not each second.
    setAttribute(link, "role", state === "lost" ? "alert" : null);
    setAttribute(document.body, "data-link", state);
  },
);

/** The view that an address means. */
function viewOf(hash) {
  const [place, name, part] = hash.replace(/^#\/?/, "").split("/").map(decode);
  if (place === "new") return new Form(null, flow);
  if (place === "connectors" && name) return part === "edit" ? new Form(name, flow) : new Connector(name, part ?? "", flow);
  return new Overview();
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function go(first) {
  const before = document.activeElement?.closest?.(".parts") ? document.activeElement.getAttribute("href") : null;
  view?.close?.();
  // A dialog belongs to the view that opened it.
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  view = viewOf(location.hash);
  document.title = `${view.title} · rmqc-fast`;
  main.replaceChildren(view.element);
  const place = location.hash.replace(/^#\/?/, "").split("/")[0];
  setAttribute(document.getElementById("nav-overview"), "aria-current", place === "" ? "page" : null);
  setAttribute(document.getElementById("nav-new"), "aria-current", place === "new" ? "page" : null);
  if (shownFlow) view.update(shownFlow);
  if (first) return;
  // A new view is read from its heading on; within a connector's page the focus stays on the part that was chosen.
  const part = before && [...main.querySelectorAll(".parts a")].find((one) => one.getAttribute("href") === before);
  const goal = part || main.querySelector("h1") || main;
  goal.focus({ preventScroll: Boolean(part) });
  if (!part) window.scrollTo(0, 0);
}

function theme() {
  const choice = document.getElementById("theme");
  choice.value = document.documentElement.dataset.theme ?? "auto";
  choice.addEventListener("change", () => {
    if (choice.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice.value;
    try {
      localStorage.setItem("rmqc-theme", choice.value);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    if (shownFlow) view?.update(shownFlow);
  });
}

// The address holds the view, so the link can't move the focus by the address.
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", () => go(false));
flow.soon();
theme();
go(true);
