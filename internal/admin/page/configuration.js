// The configuration in force: every value, and the line that set it.

import { get, post } from "./api.js";
import { confirm } from "./dialog.js";
import { h, note } from "./dom.js";
import { column, command, empty, plural, quote, tag, when } from "./format.js";
import { actions, changed, changes, state, who } from "./state.js";

const filter = { adapter: "", operation: "", text: "", written: false };
let faults = null, loading = false, of = "";

export function arrive(query) {
  if (query.has("adapter")) { filter.adapter = query.get("adapter"); filter.operation = ""; }
  read();
}

async function read() {
  of = state.status ? state.status.reload.time : "";
  try {
    state.config = await get("/api/v1/config");
  } catch (err) {
    note(err.message, true);
  }
  changed();
}

// heard is told of each status: after a reload another configuration is in force.
export function heard() {
  if (of === state.status.reload.time) return;
  if (state.status.reload.success) faults = null; // of a file that was corrected since
  if (state.view === "configuration" && state.config) read();
}

changes.configuration = (field) => {
  filter[field.name] = field.type === "checkbox" ? field.checked : field.value;
  if (field.name === "adapter") filter.operation = "";
  changed();
};

actions.reload = async () => {
  if (loading || !await confirm({ title: "Read the configuration again?", text: "A file with faults changes nothing. Calls in flight finish under the policies they began with. Breakers, buckets and connections of unchanged adapters stay.", yes: "Reload" })) return;
  loading = true;
  faults = null;
  changed();
  try {
    await post("/api/v1/reload", { who: who() });
    note("The configuration is loaded.");
  } catch (err) {
    faults = { said: err.message, list: err.faults || [] };
  }
  loading = false;
  read();
};

export function configuration() {
  const c = state.config;
  if (!c) return [h("h1", {}, "Configuration"), h("p", { class: "found" }, "Reading …")];
  const adapter = c.adapters.find((a) => a.name === filter.adapter) || c.adapters[0];
  return [h("h1", {}, "Configuration", h("span", { class: "beside" }, "what is in force, and the line that set it")), reload(c),
    adapter ? values(c, adapter) : empty("No adapter is configured", "Write one into " + c.file + ".")];
}

function reload(c) {
  const r = state.status.reload;
  const list = faults ? faults.list : r.success ? [] : (r.error || "").split("\n");
  return h("section", { class: "reload", "aria-label": "Reload" },
    h("div", { class: "acts" }, h("p", {}, tag(r.success ? "good" : "warn", r.success ? "loaded" : "last one refused"), " ", h("code", {}, c.file), " ", when(r.time)),
      h("button", { type: "button", "data-do": "reload", disabled: loading }, loading ? "Loading …" : "Reload …")),
    list.length ? h("div", { class: "issue warn", role: "alert" }, h("p", {}, faults ? faults.said : "The configuration was not taken; the one before is in force."), h("ul", { class: "faults" }, list.map((f) => h("li", {}, f)))) : null,
    c.warnings ? h("details", {}, h("summary", {}, plural(c.warnings.length, "warning")), h("ul", { class: "faults" }, c.warnings.map((w) => h("li", {}, w)))) : null);
}

function values(c, adapter) {
  const operation = (adapter.operations || []).find((o) => o.name === filter.operation);
  const own = new Map(adapter.settings.map((s) => [s.path, s])), text = filter.text.trim().toLowerCase();
  const rows = (operation ? operation.settings : adapter.settings).filter((s) => (!filter.written || s.origin !== "built-in") &&
    (!text || s.path.toLowerCase().includes(text) || s.value.toLowerCase().includes(text) || s.origin.toLowerCase().includes(text)));
  const sample = operation ? operation.name.split(" ") : ["GET", "/"];
  return h("section", { "aria-label": "Values" }, filters(c, adapter),
    h("p", { class: "found" }, h("b", {}, adapter.name), (adapter.id === adapter.name ? "" : " " + adapter.id) + " v" + adapter.version + " → ", h("span", { class: "url" }, adapter.upstream)),
    rows.length ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Values, a wide table" }, h("table", { class: "values" },
      h("thead", {}, h("tr", {}, ["Setting", "Value", "Set by"].map(column))),
      h("tbody", {}, rows.map((s) => value(s, operation && own.get(s.path)))))) : empty("No value matches", "Every other value is built in, or left out by the filter."),
    h("p", { class: "sub" }, "What a call would meet, and why:"), h("p", {}, explained(c.file, adapter.name, sample)));
}

// explained is explain: it reads the file and asks no running sidecar.
function explained(file, adapter, [method, path]) {
  return command("explain --config " + quote(file) + " " + (method === "*" ? "GET" : method) + " " + quote("/" + adapter + path), true);
}

function filters(c, adapter) {
  return h("form", { class: "filters", role: "search", "aria-label": "Configuration" },
    h("label", {}, "Adapter", h("select", { name: "adapter", "data-change": "configuration", "data-set": adapter.name }, c.adapters.map((a) => h("option", { value: a.name }, a.name)))),
    h("label", {}, "Operation", h("select", { name: "operation", "data-change": "configuration", "data-set": filter.operation }, h("option", { value: "" }, "the adapter's own"), (adapter.operations || []).map((o) => h("option", { value: o.name }, o.name)))),
    h("label", { class: "grow" }, "Search", h("input", { type: "search", name: "text", "data-change": "configuration", "data-filter": true, "data-set": filter.text, placeholder: "retry, timeout, line …", autocomplete: "off", spellcheck: "false" })),
    h("label", { class: "tick" }, h("input", { type: "checkbox", name: "written", "data-change": "configuration", checked: filter.written }), "Only what the file sets"));
}

const base = (origin) => { const at = origin.lastIndexOf("/"); return at < 0 ? origin : origin.slice(at + 1); };

function value(s, ofAdapter) {
  const builtIn = s.origin === "built-in", other = ofAdapter && ofAdapter.value !== s.value;
  return h("tr", { "data-key": s.path, class: builtIn ? "built-in" : "" },
    h("th", { scope: "row" }, h("code", {}, s.path)),
    h("td", {}, h("code", {}, s.value), other ? h("span", { class: "sub" }, "the adapter's own: " + ofAdapter.value) : null),
    h("td", {}, builtIn ? "built-in" : h("code", { title: s.origin }, base(s.origin))));
}
