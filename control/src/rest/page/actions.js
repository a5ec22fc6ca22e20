// What changes a connector: each tells its result, and asks before what can't be taken back.

import { ask, pathOf } from "./api.js";
import { freshId, h, say } from "./dom.js";

/** Does something and tells how it went; gives the answer, or undefined when it failed. */
export async function attempt(what, done, work) {
  try {
    const answer = await work();
    say(typeof done === "function" ? done(answer) : done);
    return answer === undefined ? null : answer;
  } catch (error) {
    say(`${what} did not work: ${error.message}`, "wrong");
    return undefined;
  }
}

export const pause = (name) => attempt(`Pausing ${name}`, `${name} is told to pause.`, () => ask("PUT", pathOf(name, "/pause")));
export const resume = (name) => attempt(`Resuming ${name}`, `${name} is told to go on.`, () => ask("PUT", pathOf(name, "/resume")));
export const stop = (name) => attempt(`Stopping ${name}`, `${name} is told to stop; its configuration and place stay.`, () => ask("PUT", pathOf(name, "/stop")));
export const restart = (name, onlyFailed) =>
  attempt(`Restarting ${name}`, onlyFailed ? `Failed tasks of ${name} are started again.` : `All tasks of ${name} are started again.`, () =>
    ask("POST", pathOf(name, `/restart?includeTasks=true&onlyFailed=${onlyFailed}`)),
  );
export const restartTask = (name, task) =>
  attempt(`Restarting task ${task}`, `Task ${task} of ${name} is started again.`, () => ask("POST", pathOf(name, `/tasks/${task}/restart`)));

/**
 * A dialog; gives true if it was confirmed. The browser keeps the focus inside, closes it by Escape, and gives the focus
 * back. `word`: what has to be typed first. `more`: further elements.
 */
export function confirm({ title, text, action, danger = false, word = null, more = [] }) {
  return new Promise((resolve) => {
    const [titleId, inputId] = [freshId("dialog"), freshId("word")];
    const go = h("button", { type: "submit", class: danger ? "danger" : "primary", disabled: word !== null }, action);
    const input =
      word === null
        ? null
        : h("p", {}, h("label", { htmlFor: inputId }, "Type the connector's name to confirm: ", h("strong", {}, word)), h("input", {
            id: inputId,
            type: "text",
            autocomplete: "off",
            autofocus: true,
            spellcheck: "false",
            oninput: (event) => {
              go.disabled = event.target.value !== word;
            },
          }));
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    let confirmed = false;
    const form = h(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          confirmed = !go.disabled;
          dialog.close();
        },
      },
      h("h2", { id: titleId }, title),
      text ? h("p", {}, text) : null,
      input,
      more,
      h("p", { class: "buttons" }, cancel, go),
    );
    const dialog = open(titleId, form, () => resolve(confirmed));
  });
}

/** Shows something in a dialog with a button that closes it. */
export function show(title, ...content) {
  const titleId = freshId("dialog");
  const close = h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close");
  const dialog = open(titleId, h("div", {}, h("h2", { id: titleId }, title), ...content, h("p", { class: "buttons" }, close)), () => {});
}

function open(titleId, content, closed) {
  const dialog = h("dialog", { "aria-labelledby": titleId, onclose: () => {
    dialog.remove();
    closed();
  } }, content);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Deletes a connector after its name was typed; gives whether it is gone. */
export async function remove(name) {
  const positions = h("input", { type: "checkbox", id: freshId("positions") });
  const more = h("p", {}, h("label", { class: "check" }, positions, " Forget its positions too: one of the same name begins anew"));
  const text = "Its tasks drain and end, and its configuration is removed. Records that it moved stay where they are.";
  const wish = { title: `Delete ${name}?`, text, action: "Delete", danger: true, word: name, more };
  if (!(await confirm(wish))) return false;
  const query = positions.checked ? "?positions=true" : "";
  const done = await attempt(`Deleting ${name}`, `${name} is deleted.`, () => ask("DELETE", pathOf(name, query)));
  return done !== undefined;
}
