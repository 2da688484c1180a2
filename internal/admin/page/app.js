// The status page: starts it, keeps it up to date, and hears what its reader does.

import { events, get, hasToken, onLocked, post, setToken } from "./api.js";
import { changeDialog, confirm, openDialog, watchDialog } from "./dialog.js";
import { h, note, show } from "./dom.js";
import { count, setClock, span, tag } from "./format.js";
import { actions, changed, changes, onChange, remember, state, who } from "./state.js";
import * as configuration from "./configuration.js";
import * as exchanges from "./exchanges.js";
import * as letters from "./letters.js";
import { overview } from "./overview.js";

const views = {
  overview: { name: "Overview", draw: overview },
  exchanges: { name: "Exchanges", draw: exchanges.exchanges, ...exchanges },
  letters: { name: "Letters", draw: letters.letters, ...letters },
  configuration: { name: "Configuration", draw: configuration.configuration, ...configuration },
};

function waiting() {
  const l = state.status ? state.status.spool.letters : {};
  return (l.dead || 0) + (l.forwarded || 0);
}

function head() {
  const s = state.status;
  const up = !s ? tag("idle", "asking") : !state.connected ? tag("bad", "no answer") : s.draining ? tag("warn", "draining") : s.ready ? tag("good", "ready") : tag("bad", "not ready");
  return [h("div", { class: "brand" }, h("b", {}, "integration sidecar"), h("span", { class: "state" }, up), s ? h("span", { class: "sub" }, s.version + " · up " + span(Date.now() - Date.parse(s.started))) : null),
    h("nav", { "aria-label": "Views" }, Object.entries(views).map(([id, v]) => h("a", { href: "#/" + id, "aria-current": state.view === id ? "page" : null }, v.name, id === "letters" && waiting() ? h("span", { class: "badge" }, count(waiting()), h("span", { class: "unseen" }, " waiting")) : null))),
    h("div", { class: "tools" },
      h("button", { type: "button", class: "quiet", "data-do": "keys", title: "Keys (?)" }, "Keys"),
      h("button", { type: "button", class: "quiet", "data-do": "theme" }, { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[state.theme]),
      hasToken() ? h("button", { type: "button", class: "quiet", "data-do": "forget" }, "Forget token") : null)];
}

function body() {
  if (state.locked) return locked();
  if (!state.status) return h("p", { class: "found" }, state.lost || "Asking the sidecar …");
  return [state.connected ? null : h("p", { class: "error", role: "alert" }, "No answer from the sidecar for " + span(Date.now() - state.heard) + ": " + state.lost + " What is shown is from then. It is asked again and again."), views[state.view].draw()];
}

function locked() {
  return h("form", { class: "locked", "data-submit": "token" }, h("h1", {}, "This sidecar wants its admin token"), h("p", {}, "It is the secret that ", h("code", {}, "listen.admin_token"), " refers to. It stays in this tab and is forgotten with it."),
    h("label", {}, "Token", h("input", { type: "password", name: "token", autocomplete: "off", required: true, "data-filter": true })),
    state.locked === "again" ? h("p", { class: "error", role: "alert" }, "That is not the token.") : null,
    h("p", { class: "buttons" }, h("button", { class: "main" }, "Open")));
}

function draw() {
  document.documentElement.dataset.theme = state.theme;
  show("head", head());
  show("main", body());
  document.title = (state.connected ? "" : "no answer · ") + views[state.view].name + " · integration sidecar";
}

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const view = views[path] ? path : "overview", moved = view !== state.view;
  state.view = view;
  if (state.status && views[view].arrive) views[view].arrive(new URLSearchParams(query || ""));
  draw();
  if (moved) document.getElementById("main").focus({ preventScroll: true });
}

// follow keeps what is shown up to date: the sidecar tells of changes, and the rest is asked for when it has changed.
let connection = new AbortController();

async function follow() {
  for (let failures = 0; ; failures++) {
    connection = new AbortController();
    try {
      await events("/api/v1/events", connection.signal, (name, event) => {
        if (name === "status") { failures = 0; heard(event); }
      });
      state.lost = "it ended the connection.";
    } catch (err) {
      state.lost = err.status ? err.message : "it cannot be reached.";
      if (err.status === 503) await poll();
    }
    if (state.locked) return;
    state.connected = state.connected && Date.now() - state.heard < 2000;
    changed();
    await new Promise((go) => setTimeout(go, Math.min(1000 * 2 ** failures, 10000)));
    state.connected = Date.now() - state.heard < 2500;
  }
}

// poll asks once, for a page that cannot be told.
async function poll() {
  try {
    heard({ now: new Date().toISOString(), status: await get("/api/v1/status"), last_exchange: -1 });
  } catch { /* said by follow */ }
}

let last = null, spool = "";

function heard(event) {
  const first = !state.status, unlocked = state.trying;
  setClock(event.now);
  Object.assign(state, { status: event.status, connected: true, heard: Date.now(), lost: "", locked: "", trying: false });
  if (event.last_exchange !== last) { last = event.last_exchange; recent(); }
  const now = JSON.stringify([event.status.spool.letters, event.status.spool.bytes, event.status.spool.oldest]);
  if (now !== spool) { spool = now; if (state.view === "letters") letters.refresh(); }
  configuration.heard();
  if (first || unlocked) route(); // what the view asked for while it was locked was refused
  changed();
}

let asked = 0, due = 0;

// recent asks for exchanges and series, at most every two seconds.
function recent() {
  if (due) return;
  due = setTimeout(async () => {
    due = 0;
    asked = Date.now();
    try {
      const [list, series] = await Promise.all([get("/api/v1/exchanges"), get("/api/v1/series")]);
      state.exchanges = list.exchanges;
      state.series = series;
      changed();
    } catch { /* said by follow */ }
  }, Math.max(0, 2000 - (Date.now() - asked)));
}

actions.copy = async (el) => {
  try {
    await navigator.clipboard.writeText(el.dataset.text);
    note("Copied.");
  } catch {
    note("The browser does not let this page copy.", true);
  }
};
actions.theme = () => { remember("theme", { auto: "light", light: "dark", dark: "auto" }[state.theme]); changed(); };
actions.forget = () => { setToken(""); location.reload(); };
actions.breaker = async (el) => {
  const { adapter, action } = el.dataset;
  const text = { open: "Every call to it is answered 503 at once, until somebody closes the breaker.", close: "Calls go to it again. If they fail, the breaker opens by itself.", reset: "The breaker is closed, and the failures it has counted are forgotten." }[action];
  if (!await confirm({ title: action[0].toUpperCase() + action.slice(1) + " the breaker of " + adapter + "?", text, yes: action[0].toUpperCase() + action.slice(1), bad: action === "open", command: "breaker " + action + " " + adapter })) return;
  try {
    const done = await post("/api/v1/breakers/" + encodeURIComponent(adapter) + "/" + action, { who: who() });
    note("The breaker of " + adapter + " is " + done.breaker.state + " now.");
  } catch (err) {
    note(err.message, true);
  }
};
actions.keys = () => openDialog(() => [h("h2", { id: "dialog-title" }, "Keys"),
  h("dl", { class: "keys" }, [["1 2 3 4", "overview, exchanges, letters, configuration"], ["/", "search"], ["j k", "down and up in a list"], ["Enter", "open what has the focus"], ["x", "tick a letter"], ["r", "replay what is ticked, or all that match, after a dry run"], ["Esc", "close"], ["?", "this list"]].flatMap(([key, does]) => [h("dt", {}, key.split(" ").map((k) => h("kbd", {}, k))), h("dd", {}, does)])),
  h("p", { class: "buttons" }, h("button", { type: "button", class: "main", "data-do": "shut", autofocus: true }, "Close"))]);

const submits = {
  token: (form) => { setToken(form.elements.token.value.trim()); state.locked = ""; state.trying = true; changed(); follow(); },
};
onLocked(() => { state.locked = state.trying ? "again" : "first"; setToken(""); connection.abort(); changed(); });

function move(by) {
  const rows = [...document.querySelectorAll("#main [data-row]")];
  const at = rows.findIndex((r) => r === document.activeElement || r.closest("tr").contains(document.activeElement));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
  if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
}

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.getElementById("dialog").open) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape") {
    if (typing) typing.blur();
    const row = document.querySelector('#main [data-row][aria-expanded="true"]');
    if (views[state.view].close && views[state.view].close()) { changed(); if (row) row.focus(); }
    return;
  }
  if (typing) return;
  const keys = {
    "/": () => { const field = document.querySelector("[data-filter]"); if (field) field.focus(); },
    "?": actions.keys, j: () => move(1), k: () => move(-1),
    x: () => { const row = document.activeElement.closest("tr"), box = row && row.querySelector("input[type=checkbox]:not([disabled])"); if (box) box.click(); },
    r: () => { const button = document.querySelector('.acts [data-do="replay"]:not([disabled])'); if (button) button.click(); },
  };
  Object.keys(views).forEach((id, i) => { keys[i + 1] = () => { location.hash = "#/" + id; }; });
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
}

function listen() {
  document.addEventListener("click", (event) => {
    const el = event.target.closest("[data-do]");
    if (el && !el.disabled) Promise.resolve(actions[el.dataset.do](el)).catch((err) => note(err.message, true));
  });
  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      const el = event.target.closest("[data-change]");
      if (el && (kind === "input") === (el.matches("input:not([type=checkbox])"))) changes[el.dataset.change](el);
    });
  }
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = event.target.dataset.submit;
    if (name) submits[name](event.target);
  });
  document.addEventListener("keydown", press);
  window.addEventListener("hashchange", route);
  setInterval(() => { changed(); if (state.view === "overview" && state.connected && Date.now() - asked > 10000) recent(); }, 5000);
}

onChange(() => { draw(); changeDialog(); });
watchDialog();
listen();
route();
follow();
