// The last exchanges, each with its attempts as a waterfall.

import { h } from "./dom.js";
import { column, command, copyable, count, empty, millis, outcome, plural, quote, when } from "./format.js";
import { steps, waterfall } from "./spark.js";
import { actions, changed, changes, state } from "./state.js";

const filter = { text: "", adapter: "", trouble: false };
let open = 0;       // number of the exchange that is shown whole
let held = null;    // what was there when the list was held

// arrive takes what the address of the page says.
export function arrive(query) {
  if (query.has("adapter")) filter.adapter = query.get("adapter");
  if (query.has("trouble")) filter.trouble = query.get("trouble") === "1";
  if (query.has("q")) filter.text = query.get("q");
  open = 0;
}

changes.exchanges = (field) => {
  filter[field.name] = field.type === "checkbox" ? field.checked : field.value;
  changed();
};
actions.exchange = (el) => { open = open === Number(el.dataset.number) ? 0 : Number(el.dataset.number); changed(); };
actions.hold = () => { held = held ? null : state.exchanges; changed(); };
actions.everything = () => { Object.assign(filter, { text: "", adapter: "", trouble: false }); changed(); };

// close shuts what is open and reports whether anything was.
export function close() {
  const was = open;
  open = 0;
  return was !== 0;
}

function matches(x) {
  if (filter.adapter && x.adapter !== filter.adapter) return false;
  if (filter.trouble && !x.error_type && x.attempts_total < 2) return false;
  const text = filter.text.trim().toLowerCase();
  return !text || [x.path, x.method, x.correlation_id, x.trace_id, x.tenant_id, x.letter_id, x.exchange_id, x.error_type, x.kind, x.operation, x.adapter, String(x.status)]
    .some((field) => field && field.toLowerCase().includes(text));
}

export function exchanges() {
  const all = held || state.exchanges || [], chosen = all.filter(matches), shown = all.find((x) => x.number === open);
  return h("div", { class: "split" + (shown ? " open" : "") },
    h("section", { "aria-labelledby": "title" },
      h("h1", { id: "title" }, "Exchanges", h("span", { class: "beside" }, "the last 100, and the last 100 that failed or were tried again")),
      filters(all),
      h("p", { class: "found", role: "status" }, plural(chosen.length, "exchange") + (held ? "; held still" : "")),
      chosen.length ? table(chosen) : nothing(all)),
    shown ? detail(shown) : null);
}

function filters() {
  const names = (state.status.adapters || []).map((a) => a.name);
  return h("form", { class: "filters", role: "search", "aria-label": "Exchanges" },
    h("label", { class: "grow" }, "Search", h("input", { type: "search", name: "text", "data-change": "exchanges", "data-filter": true, "data-set": filter.text, placeholder: "correlation id, path, tenant, letter …", autocomplete: "off", spellcheck: "false" })),
    h("label", {}, "Adapter", h("select", { name: "adapter", "data-change": "exchanges", "data-set": filter.adapter }, h("option", { value: "" }, "all"), names.map((n) => h("option", { value: n }, n)))),
    h("label", { class: "tick" }, h("input", { type: "checkbox", name: "trouble", "data-change": "exchanges", checked: filter.trouble }), "Only trouble"),
    h("button", { type: "button", class: "quiet", "data-do": "hold", "aria-pressed": String(Boolean(held)) }, held ? "Follow again" : "Hold still"));
}

function nothing(all) {
  if (all.length === 0) return empty("No call has come through yet", "Exchanges are kept in memory from the start of the sidecar. Send a call to see it here.");
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, "No exchange matches"), h("p", {}, "Older ones are in the log, found by their correlation id."), h("button", { type: "button", "data-do": "everything" }, "Show all"));
}

function table(list) {
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Exchanges, a wide table" }, h("table", { class: "exchanges" },
    h("thead", {}, h("tr", {}, ["When", "Adapter", "Call", "Outcome", "#Attempts", "#Took", "Waterfall"].map(column))),
    h("tbody", {}, list.map((x) => h("tr", { "data-key": x.number, class: x.number === open ? "current" : "" },
      h("td", {}, when(x.start)),
      h("td", {}, x.adapter),
      h("th", { scope: "row" }, h("button", { type: "button", class: "link", "data-row": true, "data-do": "exchange", "data-number": x.number, "aria-expanded": String(x.number === open) }, h("b", {}, x.method), " ", x.path), flags(x)),
      h("td", {}, outcome(x)),
      h("td", { class: "num" }, count(x.attempts_total)),
      h("td", { class: "num" }, millis(x.duration_ms)),
      h("td", {}, waterfall(x)))))));
}

function flags(x) {
  const words = [x.replay && "replay", x.async && "delivery of an accepted call", x.idempotency === "replayed" && "answered from memory", x.outcome_unknown && "outcome unknown", x.letter_lost && "letter lost", x.letter_id && "letter"].filter(Boolean);
  return words.length ? h("span", { class: "sub" }, words.join(" · ")) : null;
}

function detail(x) {
  const rows = [
    ["When", when(x.start)], ["Took", millis(x.duration_ms) + (x.limit_wait_ms ? ", of which " + millis(x.limit_wait_ms) + " waiting for a token" : "")],
    ["Correlation id", copyable(x.correlation_id, "the correlation id")], x.trace_id && ["Trace", copyable(x.trace_id, "the trace id")],
    x.tenant_id && ["Tenant", x.tenant_id], ["Operation", x.operation || "none of its own: the adapter's policies"],
    x.kind && ["The application was told", h("span", {}, h("code", {}, x.kind), " ", x.detail)],
    x.retries_ended && ["Retries ended by", x.retries_ended], x.idempotency && ["Idempotency", x.idempotency.replaceAll("_", " ")],
    x.exchange_id && ["Accepted as", copyable(x.exchange_id, "the id of the accepted exchange")],
    x.letter_id && ["Letter", h("a", { href: "#/letters?id=" + encodeURIComponent(x.letter_id) }, x.letter_id)],
    x.letter_lost && ["Letter", "LOST: the spool could not take it"],
  ].filter(Boolean);
  return h("aside", { class: "detail", "aria-labelledby": "detail-title", "data-key": x.number },
    h("div", { class: "detail-head" }, h("h2", { id: "detail-title" }, x.method + " " + x.path), h("button", { type: "button", class: "quiet", "data-do": "exchange", "data-number": x.number, "aria-label": "Close the details" }, "Close")),
    h("p", {}, outcome(x), " ", x.adapter),
    h("h3", {}, plural(x.attempts_total, "attempt") + (x.attempts_total > x.attempts.length ? ", the first " + x.attempts.length : "")),
    x.attempts.length ? steps(x.attempts, x.duration_ms) : h("p", {}, "Nothing was sent to the external system."),
    h("dl", {}, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h("h3", {}, "On the command line"),
    h("p", {}, x.letter_id ? command("dlq show " + quote(x.letter_id)) : copyable("grep -F " + quote(x.correlation_id) + " sidecar.log", "the command")));
}
