// The one dialog of the page. What is in it is drawn anew whenever it changes.

import { h, show } from "./dom.js";
import { command } from "./format.js";
import { actions, changes, remember, state, who } from "./state.js";

let current = null; // {draw, mayClose, closed}
const element = () => document.getElementById("dialog");

export function openDialog(draw, options = {}) {
  current = { draw, ...options };
  const el = element();
  el.className = options.wide ? "wide-dialog" : "";
  changeDialog();
  if (!el.open) el.showModal();
}

let focused = "";

export function changeDialog() {
  if (!current) return;
  show("dialog", current.draw());
  // A new stage has a new heading; what had the focus is gone with the old one.
  const title = document.getElementById("dialog-title").textContent, el = element();
  if (title !== focused || !el.contains(document.activeElement)) {
    focused = title;
    const first = el.querySelector("[autofocus]:not([disabled])") || el.querySelector("input:not([disabled]), button:not([disabled])");
    if (first && el.open) first.focus();
  }
}

export function shutDialog() {
  if (element().open) element().close();
}

actions.shut = shutDialog;

export function watchDialog() {
  const el = element();
  el.addEventListener("cancel", (event) => { if (current && current.mayClose && !current.mayClose()) event.preventDefault(); });
  el.addEventListener("close", () => {
    const was = current;
    current = null;
    focused = "";
    show("dialog");
    if (was && was.closed) was.closed();
  });
}

// confirm asks a question and who asks for it; it resolves to whether the answer was yes.
export function confirm(q) {
  return new Promise((answer) => {
    let yes = false;
    actions["confirm-yes"] = () => { if (who()) { yes = true; shutDialog(); } };
    changes.confirm = (field) => { remember("who", field.value); changeDialog(); };
    openDialog(() => [
      h("h2", { id: "dialog-title" }, q.title), h("p", {}, q.text),
      h("div", { class: "fields" }, h("label", {}, "Your name, for the audit", h("input", { name: "who", placeholder: "needed to go on", "data-change": "confirm", "data-set": state.who, autocomplete: "username", maxlength: "64", required: true, autofocus: !who() }))),
      q.command ? [h("p", { class: "sub" }, "The same on the command line:"), h("p", {}, command(q.command))] : null,
      h("p", { class: "buttons" }, h("button", { type: "button", "data-do": "shut" }, "Cancel"), h("button", { type: "button", class: "main" + (q.bad ? " bad" : ""), "data-do": "confirm-yes", disabled: !who(), autofocus: Boolean(who()) }, q.yes)),
    ], { closed: () => answer(yes) });
  });
}
