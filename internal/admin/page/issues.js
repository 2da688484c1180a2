// What is wrong, since when, and what to do: the first thing the page says.

import { count, goDuration, plural, span } from "./format.js";

// issues lists what is wrong, the worst first.
export function issues(state) {
  const s = state.status, out = [];
  process(s, out);
  for (const a of s.adapters || []) {
    const before = out.length;
    adapter(a, state.series && state.series.adapters[a.name], state.series, out);
    if (out.length === before && state.series) failures(a, state, out);
  }
  spool(s, out);
  neighbours(s, out);
  const order = { bad: 0, warn: 1, info: 2 };
  return out.sort((a, b) => order[a.level] - order[b.level]);
}

function process(s, out) {
  if (s.draining) {
    out.push({ key: "draining", level: "warn", title: "The sidecar is draining", what: "It was told to stop: calls in flight are finished, new ones are refused.", then: "A new process takes over when this one has ended. Nothing to do, unless you did not expect it." });
  } else if (!s.ready) {
    out.push({ key: "ready", level: "bad", title: "The sidecar is not ready", what: "It does not serve the application.", then: "Look at its log." });
  }
  if (!s.reload.success) {
    out.push({ key: "reload", level: "warn", title: "The last configuration was refused", since: s.reload.time, what: "The one before is in force. The file has faults:", faults: (s.reload.error || "").split("\n"), then: "Correct the file; it is read again by itself.", link: ["#/configuration", "Configuration"] });
  }
}

function adapter(a, series, all, out) {
  const b = a.breaker, name = a.name, link = a.open_letters ? ["#/letters?adapter=" + encodeURIComponent(name), plural(a.open_letters, "waiting letter")] : null;
  if (b.state === "open" && b.manual) {
    out.push({ key: name, level: "bad", title: name + ": breaker opened by hand", since: b.since, what: "Every call is answered 503 at once. It stays so until somebody closes it.", then: "Close it when the external system is well again.", act: { do: "breaker", adapter: name, action: "close", label: "Close the breaker" }, link });
  } else if (b.state === "open") {
    out.push({ key: name, level: "bad", title: name + ": breaker open", since: b.since, what: sentence(a.message), then: "Ask the provider. Calls are answered 503 until a probe succeeds" + (b.retry_after ? "; the next one is due in " + span(goDuration(b.retry_after)) : "") + ". Writes that fail are kept as letters: replay them when the breaker has closed.", link });
  } else if (a.check && a.check.state === "down") {
    out.push({ key: name, level: a.health === "fail" ? "bad" : "warn", title: name + ": health check fails", since: a.check.since, what: sentence(a.check.message || a.message), then: "Ask the provider. If calls go through all the same, look at the path of the check (health).", link: link || ["#/exchanges?adapter=" + encodeURIComponent(name) + "&trouble=1", "Its failed calls"] });
  } else if (a.health === "fail") {
    out.push({ key: name, level: "bad", title: name + ": failing", since: failingSince(series, all), what: sentence(a.message), then: "When a credential is named, look at where it comes from; the log has the reason. Else see what its last calls met.", link: ["#/configuration?adapter=" + encodeURIComponent(name), "Its configuration"] });
  } else if (b.state === "half-open") {
    out.push({ key: name, level: "warn", title: name + ": breaker half-open", since: b.since, what: "The next calls are probes. If they succeed it closes.", then: "Wait for the probes.", link });
  } else if (a.health === "warn") {
    out.push({ key: name, level: "warn", title: name + ": not well", since: failingSince(series, all), what: sentence(a.message), then: "One failure may be chance. See what its last calls met.", link: ["#/exchanges?adapter=" + encodeURIComponent(name) + "&trouble=1", "Its failed calls"] });
  }
  const l = a.limiter;
  if (l && l.tokens < 1) {
    out.push({ key: name + " limit", level: "warn", title: name + ": bucket empty", what: "Calls wait for tokens, or are answered 429: " + count(l.capacity) + " at once, " + l.rate_per_second + " a second.", then: "A burst passes by itself. If it stays, the application calls more than the limit allows, or the provider asked for a pause." });
  }
}

const lately = 12; // steps of 10 s
const advice = {
  rate_limited: "The application calls more than the limit allows, or the provider throttles. Look at the bucket and at rate_limit.",
  client_error: "The provider refuses what it is sent (4xx): look at what changed in the application or in the contract.",
  validation: "The sidecar refuses what it is sent: look at what changed in the application.",
  credentials: "A credential cannot be read; the log names the reference.",
  canceled: "The application went away before the answer: its own timeout may be shorter than the sidecar's.",
  idempotency: "Keys are missing, reused or still in flight: look at what the application sends.",
};

// failures tells of an adapter whose calls fail although it is well itself.
function failures(a, state, out) {
  const series = state.series.adapters[a.name];
  if (!series) return;
  const sum = (list) => list.slice(-lately).reduce((x, y) => x + y, 0);
  const failed = sum(series.failed), total = failed + sum(series.success);
  if (total < 5 || failed / total < 0.1) return;
  const kinds = {};
  for (const x of state.exchanges || []) if (x.adapter === a.name && x.error_type) kinds[x.error_type] = (kinds[x.error_type] || 0) + 1;
  const [kind] = Object.entries(kinds).sort((x, y) => y[1] - x[1])[0] || ["failures"];
  out.push({ key: a.name + " rate", level: "warn", title: a.name + ": " + Math.round(100 * failed / total) + " % of calls fail", since: failingSince(series, state.series), what: count(failed) + " of " + plural(total, "call") + " in the last 2 min, most of them " + kind.replaceAll("_", " ") + ".", then: advice[kind] || "See what its last calls met.", link: ["#/exchanges?adapter=" + encodeURIComponent(a.name) + "&trouble=1", "Its failed calls"] });
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".") : "");

// failingSince is the start of the latest run of steps in which calls failed.
function failingSince(series, all) {
  if (!series) return null;
  let first = -1;
  for (let i = series.failed.length - 1; i >= 0; i--) {
    if (series.failed[i] > 0) first = i;
    else if (series.success[i] > 0) break;
  }
  return first < 0 ? null : Date.parse(all.now) - (series.failed.length - 1 - first) * all.step_seconds * 1000;
}

function spool(s, out) {
  const p = s.spool, open = (p.letters.dead || 0) + (p.letters.forwarded || 0);
  if (p.failing) {
    out.push({ key: "lost", level: "bad", title: "Letters are being lost", since: p.last_lost, what: plural(p.lost, "letter") + " could not be kept since the sidecar started: " + p.failing + ".", then: "Make room on the volume, or discard letters that nobody needs. The log names every call whose letter was lost." });
  } else if (p.lost) {
    out.push({ key: "lost", level: "warn", title: plural(p.lost, "letter was", "letters were") + " lost", since: p.last_lost, what: "The spool could not take them then; it takes letters again now.", then: "The log names them: letter_lost." });
  }
  if (p.max_bytes && p.bytes > 0.8 * p.max_bytes) {
    out.push({ key: "full", level: "warn", title: "The spool is " + Math.round(100 * p.bytes / p.max_bytes) + " % full", what: "A full spool keeps no more letters.", then: "Replay or discard letters." });
  }
  if (open) {
    out.push({ key: "letters", level: "info", title: plural(open, "letter waits", "letters wait"), since: p.oldest, what: "Writes that finally failed, kept to be sent again.", then: "Replay them when their external system is well. A dry run says what would be sent.", link: ["#/letters", "Letters"] });
  }
}

function neighbours(s, out) {
  const { redis, vault, sink, accepted } = s;
  if (redis && !redis.up) out.push({ key: "redis", level: "bad", title: "Redis does not answer", since: redis.since, what: redis.why || "", then: "Limits are this sidecar's own, and keys as each adapter's idempotency.store says. It is found again by itself." });
  if (redis && redis.warning) out.push({ key: "redis set-up", level: "warn", title: "Redis is not set up well", what: redis.warning, then: "Tell who runs it." });
  if (vault && !vault.up) out.push({ key: "vault", level: "bad", title: "Vault does not answer", since: vault.since, what: vault.why || "", then: "Secrets that are known stay in use for vault.stale_for; then calls that need them are refused." });
  if (sink && sink.failing_since) out.push({ key: "sink", level: "warn", title: "Letters are not forwarded", since: sink.failing_since, what: sink.sink + ": " + (sink.last_error || ""), then: plural(sink.waiting, "letter waits", "letters wait") + " on disk and " + (sink.waiting === 1 ? "is" : "are") + " forwarded when it answers again." });
  if (accepted && accepted.failing) out.push({ key: "accepted", level: "bad", title: "Calls are not accepted for later", what: accepted.failing, then: "Asynchronous calls are answered 503 until the disk takes them again." });
  if (accepted && accepted.damaged) out.push({ key: "damaged", level: "bad", title: plural(accepted.damaged, "accepted exchange") + " could not be read", what: "They were set aside on disk.", then: "Look at the log." });
}
