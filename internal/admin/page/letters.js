// Letters: found by filters, read whole, and handed to a replay.

import { get, Refusal } from "./api.js";
import { h } from "./dom.js";
import { letter as letterDetail } from "./letter.js";
import { column, count, empty, now, plural, tag, when } from "./format.js";
import { discard, replay } from "./replay.js";
import { actions, changed, changes, state } from "./state.js";

const pageSize = 200;
const none = { text: "", adapter: "", error_type: "", state: "open", since: "", tenant: "", key: "" };
const filter = { ...none };
const list = { letters: null, more: false, loading: false, error: "", stale: false };
const picked = new Set();
let open = null; // {id, letter, error}

const types = ["server_error", "network", "timeout", "outcome_unknown", "circuit_open", "rate_limited", "client_error", "credentials", "idempotency", "validation", "canceled", "internal"];
const states = { open: "waiting", dead: "dead", forwarded: "forwarded", replayed: "replayed", resolved: "resolved", discarded: "discarded", all: "all" };
const spans = { "": "any time", 900: "last 15 min", 3600: "last hour", 21600: "last 6 hours", 86400: "last day", 604800: "last week" };

export function arrive(query) {
  if (query.has("adapter")) Object.assign(filter, none, { adapter: query.get("adapter") });
  open = null;
  if (query.has("id")) read(query.get("id"));
  sooner();
}

// query is the filter as the API and the command line take it.
function query() {
  const q = new URLSearchParams();
  for (const name of ["adapter", "error_type", "tenant", "key"]) if (filter[name].trim()) q.set(name, filter[name].trim());
  q.set("state", filter.state === "open" ? "dead,forwarded" : filter.state);
  if (filter.since) q.set("since", new Date(now() - Number(filter.since) * 1000).toISOString());
  return q;
}

let asking = null, again = 0;

// refresh reads the list anew. When the spool is large that takes a while: then it is done less often.
export async function refresh() {
  if (list.loading) { list.stale = true; return; }
  list.loading = true;
  const began = performance.now(), q = query();
  q.set("newest", "true");
  q.set("limit", String(pageSize));
  asking = new AbortController();
  try {
    const page = await get("/api/v1/letters?" + q, asking.signal);
    Object.assign(list, { letters: page.letters, more: page.more, error: "" });
  } catch (err) {
    if (err.name !== "AbortError") list.error = err.message;
  }
  clearTimeout(again);
  again = setTimeout(() => { list.loading = false; if (list.stale) { list.stale = false; refresh(); } }, 4 * (performance.now() - began));
  changed();
}

// sooner reads the list at once: the filter has changed.
function sooner() {
  clearTimeout(again);
  if (asking) asking.abort();
  list.loading = list.stale = false;
  picked.clear();
  refresh();
}

let typing = 0;
changes.letters = (field) => {
  filter[field.name] = field.value;
  clearTimeout(typing);
  if (field.name !== "text") typing = setTimeout(sooner, field.nodeName === "SELECT" ? 0 : 300);
  changed();
};
changes.pick = (field) => {
  const ids = field.value === "all" ? shown().filter(waits).map((l) => l.id) : [field.value];
  for (const id of ids) field.checked ? picked.add(id) : picked.delete(id);
  changed();
};
actions.letter = (el) => { open && open.id === el.dataset.id ? close() : read(el.dataset.id); changed(); };
actions.older = async () => {
  const q = query();
  q.set("newest", "true");
  q.set("limit", String(pageSize));
  q.set("after", list.letters[list.letters.length - 1].id);
  const page = await get("/api/v1/letters?" + q);
  list.letters = [...list.letters, ...page.letters];
  list.more = page.more;
  changed();
};
actions.unfilter = () => { Object.assign(filter, none); sooner(); };
actions.replay = (el) => replay(choice(el), after);
actions.discard = (el) => discard(choice(el), after);

// choice is what an action is about: one letter, those that are ticked, or all that match.
function choice(el) {
  if (el.dataset.id) return { ids: [el.dataset.id], words: "this letter", flags: el.dataset.id };
  const ticked = shown().filter((l) => picked.has(l.id)).map((l) => l.id);
  if (ticked.length) return { ids: ticked.reverse(), words: plural(ticked.length, "letter"), flags: ticked.length <= 5 ? ticked.join(" ") : "" };
  const q = query();
  return { query: q, words: "all letters that match", flags: flags(q) };
}

function flags(q) {
  const out = [];
  for (const [name, value] of q) {
    if (name !== "state") out.push("--" + name.replace("_", "-") + " '" + value.replaceAll("'", "'\\''") + "'");
  }
  return out.join(" ") || "--all";
}

function after() {
  picked.clear();
  if (open) read(open.id);
  sooner();
}

export function close() {
  const was = open !== null;
  open = null;
  return was;
}

async function read(id) {
  const mine = open && open.id === id ? open : { id, letter: null, error: "" };
  open = mine;
  try {
    mine.letter = await get("/api/v1/letters/" + encodeURIComponent(id));
    mine.error = "";
  } catch (err) {
    mine.error = err instanceof Refusal ? err.message : String(err);
  }
  changed();
}

const waits = (l) => l.state === "dead" || l.state === "forwarded";

function shown() {
  const text = filter.text.trim().toLowerCase();
  if (!text) return list.letters || [];
  return (list.letters || []).filter((l) => [l.id, l.originalMessage.url, l.originalMessage.operation, l.metadata.correlationId, l.metadata.idempotencyKey, l.metadata.tenantId, l.error.message, l.error.code]
    .some((field) => field && field.toLowerCase().includes(text)));
}

export function letters() {
  const found = shown();
  return h("div", { class: "split" + (open ? " open" : "") },
    h("section", { "aria-labelledby": "title" },
      h("h1", { id: "title" }, "Letters", h("span", { class: "beside" }, "writes that finally failed, kept to be sent again")),
      filters(), acts(found),
      list.error ? h("p", { class: "error", role: "alert" }, list.error) : null,
      list.letters === null ? h("p", { class: "found" }, "Reading the spool …") : found.length ? table(found) : nothing(),
      list.more ? h("p", {}, h("button", { type: "button", "data-do": "older" }, "Show older ones")) : null),
    open ? letterDetail(open) : null);
}

function select(name, label, options) {
  return h("label", {}, label, h("select", { name, "data-change": "letters", "data-set": filter[name] }, options.map(([value, word]) => h("option", { value }, word))));
}

function filters() {
  const names = (state.status.adapters || []).map((a) => a.name);
  const field = (name, label) => h("label", {}, label, h("input", { name, "data-change": "letters", "data-set": filter[name], autocomplete: "off", spellcheck: "false" }));
  return h("form", { class: "filters", role: "search", "aria-label": "Letters" },
    h("label", { class: "grow" }, "Search", h("input", { type: "search", name: "text", "data-change": "letters", "data-filter": true, "data-set": filter.text, placeholder: "correlation id, path, letter id, error …", autocomplete: "off", spellcheck: "false" })),
    select("adapter", "Adapter", [["", "all"], ...names.map((n) => [n, n])]),
    select("error_type", "Error", [["", "all"], ...types.map((t) => [t, t.replaceAll("_", " ")])]),
    select("state", "State", Object.entries(states)),
    select("since", "Kept", Object.entries(spans).sort(([a], [b]) => Number(a) - Number(b))),
    field("tenant", "Tenant"), field("key", "Idempotency key"));
}

function acts(found) {
  const ticked = found.filter((l) => picked.has(l.id)).length, waiting = found.filter(waits).length;
  const some = ticked > 0 || (waiting > 0 && !filter.text.trim() && (filter.state === "open" || filter.state === "dead" || filter.state === "forwarded" || filter.state === "all"));
  const words = ticked ? plural(ticked, "letter") + " ticked" : list.letters === null ? "" : (list.more ? "more than " : "") + plural(found.length, "letter");
  return h("div", { class: "acts" }, h("p", { class: "found", role: "status" }, words),
    h("button", { type: "button", class: "main", "data-do": "replay", disabled: !some }, ticked ? "Replay " + plural(ticked, "letter") + " …" : "Replay all that match …"),
    h("button", { type: "button", "data-do": "discard", disabled: !ticked }, "Discard …"));
}

function nothing() {
  if (Object.keys(none).every((k) => filter[k] === none[k])) return empty("No letter waits", "A letter is kept when a write finally failed. Every write since then has arrived, or its letter was replayed, resolved or discarded.");
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, "No letter matches"), h("p", {}, "The filter leaves out what there is."), h("button", { type: "button", "data-do": "unfilter" }, "Show all that wait"));
}

const look = { dead: ["warn", "dead"], forwarded: ["info", "forwarded"], replayed: ["good", "replayed"], resolved: ["good", "resolved"], discarded: ["idle", "discarded"] };
export const stateTag = (s) => tag(...(look[s] || ["idle", s]));

const path = (url) => { try { return new URL(url).pathname; } catch { return url; } };

function table(found) {
  const able = found.filter(waits), all = able.length > 0 && able.every((l) => picked.has(l.id));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Letters, a wide table" }, h("table", { class: "letters" },
    h("thead", {}, h("tr", {},
      h("th", { scope: "col" }, h("input", { type: "checkbox", "data-change": "pick", value: "all", checked: all, disabled: able.length === 0, "aria-label": "All letters shown that wait" })),
      ["Kept", "Adapter", "Call", "Failed with", "#Attempts", "State", "Tenant"].map(column))),
    h("tbody", {}, found.map((l) => {
      const current = open && open.id === l.id;
      return h("tr", { "data-key": l.id, class: current ? "current" : "" },
        h("td", {}, h("input", { type: "checkbox", "data-change": "pick", value: l.id, checked: picked.has(l.id), disabled: !waits(l), "aria-label": "Letter " + l.id })),
        h("td", {}, when(l.metadata.created)), h("td", {}, l.metadata.adapter || l.metadata.adapterId),
        h("th", { scope: "row" }, h("button", { type: "button", class: "link", "data-row": true, "data-do": "letter", "data-id": l.id, "aria-expanded": String(Boolean(current)) }, h("b", {}, l.originalMessage.method), " ", path(l.originalMessage.url)),
          h("span", { class: "sub" }, l.metadata.correlationId)),
        h("td", {}, l.error.type.replaceAll("_", " "), h("span", { class: "sub" }, l.error.code)),
        h("td", { class: "num" }, count(l.metadata.attempts)), h("td", {}, stateTag(l.state)), h("td", {}, l.metadata.tenantId || "–"));
    }))));
}
