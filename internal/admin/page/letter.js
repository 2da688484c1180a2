// One letter, whole.

import { h } from "./dom.js";
import { bytes, command, copyable, plural, tag, when } from "./format.js";
import { steps } from "./spark.js";
import { stateTag } from "./letters.js";

export function letter(open) {
  const head = (title) => h("div", { class: "detail-head" }, h("h2", { id: "detail-title" }, title), h("button", { type: "button", class: "quiet", "data-do": "letter", "data-id": open.id, "aria-label": "Close the letter" }, "Close"));
  if (open.error) return h("aside", { class: "detail", "aria-labelledby": "detail-title" }, head("Letter"), h("p", { class: "error", role: "alert" }, open.error));
  if (!open.letter) return h("aside", { class: "detail", "aria-labelledby": "detail-title" }, head("Letter"), h("p", {}, "Reading …"));
  const l = open.letter, m = l.originalMessage;
  return h("aside", { class: "detail", "aria-labelledby": "detail-title", "data-key": l.id },
    head(m.method + " " + m.target.split("?")[0]),
    h("p", {}, stateTag(l.state), " ", l.metadata.adapter),
    buttons(l),
    h("h3", {}, "Why it failed"),
    h("p", {}, tag("bad", l.error.type.replaceAll("_", " ")), " ", h("code", {}, l.error.code)),
    h("p", {}, l.error.message),
    advice(l),
    h("h3", {}, plural(l.metadata.attempts, "attempt")), attempts(l),
    h("h3", {}, "The call"), facts(l),
    audit(l), headers(m), body(m),
    h("h3", {}, "On the command line"), h("p", {}, command("dlq show " + l.id)),
    waiting(l) ? [h("p", {}, command("dlq replay " + l.id + " --dry-run")), h("p", {}, command("dlq replay " + l.id))] : null);
}

const waiting = (l) => l.state === "dead" || l.state === "forwarded";

function buttons(l) {
  if (!waiting(l)) return null;
  return h("p", { class: "ways" }, h("button", { type: "button", class: "main", "data-do": "replay", "data-id": l.id }, "Replay …"), h("button", { type: "button", "data-do": "discard", "data-id": l.id }, "Discard …"));
}

function advice(l) {
  if (l.error.type !== "outcome_unknown") return null;
  return h("p", { class: "then" }, h("b", {}, "Careful: "), "the call was sent, and nobody knows whether it took effect. A replay is refused unless the provider honours keys or a lookup proves that nothing happened.");
}

function attempts(l) {
  const list = l.attempts || [];
  if (list.length === 0) return h("p", {}, "Nothing was sent to the external system.");
  const start = Date.parse(list[0].start);
  const steady = list.map((a) => ({ offset_ms: Date.parse(a.start) - start, duration_ms: a.durationNanoseconds / 1e6, status: a.status, error: a.error, sent: a.sent }));
  const end = Math.max(...steady.map((a) => a.offset_ms + a.duration_ms));
  return steps(steady, end);
}

function facts(l) {
  const m = l.metadata, rows = [
    ["Kept", when(m.created)], ["Letter", copyable(l.id, "the letter's id")], ["Correlation id", copyable(m.correlationId, "the correlation id")],
    ["Idempotency key", m.idempotencyKey ? copyable(m.idempotencyKey, "the idempotency key") : "none"], m.tenantId && ["Tenant", m.tenantId], m.userId && ["User", m.userId],
    ["Operation", l.originalMessage.operation || "none of its own"], ["URL", h("span", { class: "url" }, l.originalMessage.url)],
  ].filter(Boolean);
  return h("dl", {}, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function audit(l) {
  if (!l.audit || l.audit.length === 0) return null;
  return [h("h3", {}, "What was done to it"), h("ol", { class: "audit" }, l.audit.map((a) => h("li", {}, when(a.time), " ", h("b", {}, a.who), " ", a.action + (a.forced ? " (forced)" : "") + ": " + a.outcome, a.run ? h("span", { class: "sub" }, a.run) : null)))];
}

function headers(m) {
  const list = fields(m.headers);
  return h("details", {}, h("summary", {}, plural(list.length, "header field")),
    list.length ? h("dl", { class: "mono" }, list.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null,
    h("p", { class: "sub" }, "Credentials and signatures are never kept."));
}

// fields reads headers as the letter writes them: a list of names and values, or an object.
function fields(headers) {
  if (!headers) return [];
  if (Array.isArray(headers)) return headers.map((f) => (Array.isArray(f) ? f : [f.name || f.Name, f.value || f.Value]));
  return Object.entries(headers).flatMap(([name, values]) => [].concat(values).map((v) => [name, v]));
}

const longest = 64 * 1024;

function body(m) {
  if (m.bodyOmitted) return h("p", {}, "The body was not kept (dlq.body: omit), so this letter cannot be replayed.");
  if (m.sealedWith) return h("p", {}, "The body is sealed with the key " + m.sealedWith + ", which is not configured.");
  if (!m.body) return h("p", {}, "The call had no body.");
  const raw = Uint8Array.from(atob(m.body), (c) => c.charCodeAt(0));
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(raw.subarray(0, longest));
  } catch {
    return h("details", {}, h("summary", {}, "Body, " + bytes(raw.length) + ", not text"), h("pre", { tabindex: "0" }, [...raw.subarray(0, 512)].map((b) => b.toString(16).padStart(2, "0")).join(" ")));
  }
  if (raw.length <= longest) try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
  return h("details", {}, h("summary", {}, "Body, " + bytes(raw.length) + (raw.length > longest ? ", the first " + bytes(longest) : "")), h("pre", { tabindex: "0" }, text));
}
