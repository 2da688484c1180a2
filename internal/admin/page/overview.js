// The first view: what is wrong, every adapter, and what they share.

import { h } from "./dom.js";
import { ago, bytes, clock, column, count, goDuration, millis, plural, span, tag, when, empty } from "./format.js";
import { issues } from "./issues.js";
import { calls, latency } from "./spark.js";
import { state } from "./state.js";

export function overview() {
  const found = issues(state), s = state.status;
  return [h("h1", { class: "unseen" }, "Overview"), verdict(found, s), adapters(s), neighbours(s)];
}

function verdict(found, s) {
  const bad = found.filter((i) => i.level !== "info").length;
  const title = bad ? plural(bad, "thing is", "things are") + " wrong" : "Nothing is wrong";
  return h("section", { class: "verdict" + (bad ? "" : " well"), "aria-labelledby": "verdict" },
    h("h2", { id: "verdict" }, tag(bad ? (found.some((i) => i.level === "bad") ? "bad" : "warn") : "good", title)),
    bad ? null : h("p", { class: "calm" }, plural((s.adapters || []).length, "adapter") + " serving, every breaker closed."),
    found.length ? h("ul", { class: "issues" }, found.map(issue)) : null);
}

const levels = { bad: "failing", warn: "warning", info: "waiting" };

function issue(i) {
  return h("li", { class: "issue " + i.level, "data-key": i.key },
    h("div", { class: "issue-head" }, tag(i.level, levels[i.level]), h("strong", {}, i.title), i.since ? h("span", { class: "since" }, "since ", when(i.since)) : null),
    h("div", {}, i.what ? h("p", {}, i.what) : null, i.faults ? h("ul", { class: "faults" }, i.faults.map((f) => h("li", {}, f))) : null),
    h("p", { class: "then" }, h("b", {}, "Do: "), i.then),
    i.link || i.act ? h("p", { class: "ways" },
      i.act ? h("button", { type: "button", "data-do": i.act.do, "data-adapter": i.act.adapter, "data-action": i.act.action }, i.act.label) : null,
      i.link ? h("a", { href: i.link[0] }, i.link[1]) : null) : null);
}

function adapters(s) {
  const list = s.adapters || [];
  return h("section", { "aria-labelledby": "adapters" }, h("h2", { id: "adapters" }, "Adapters"),
    list.length === 0 ? empty("No adapter is configured", "An adapter is one external system. Write one into the configuration file.") :
      h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Adapters, a wide table" }, h("table", { class: "adapters" },
        h("thead", {}, h("tr", {}, ["Adapter", "Health", "Breaker", "Bucket", "Calls, last 15 min", "Latency", "#In flight", "#Letters", "Breaker by hand"].map(column))),
        h("tbody", {}, list.map(row)))));
}

function row(a) {
  const series = state.series && state.series.adapters[a.name], link = encodeURIComponent(a.name);
  return h("tr", { "data-key": a.name, "data-adapter": a.name },
    h("th", { scope: "row" }, h("a", { href: "#/exchanges?adapter=" + link, "data-row": true }, a.name),
      h("span", { class: "sub" }, (a.id === a.name ? "" : a.id + " ") + "v" + a.version), h("span", { class: "sub url" }, a.upstream)),
    h("td", {}, health(a)),
    h("td", {}, breaker(a.breaker)),
    h("td", {}, bucket(a)),
    h("td", { class: "drawn" }, series && series.total ? [calls(series, a.name), h("span", { class: "sub" }, rate(series))] : h("span", { class: "none" }, "no calls")),
    h("td", { class: "drawn" }, series && series.total ? [latency(series, a.name), h("span", { class: "sub" }, "p50 " + millis(series.total_p50_ms) + " · p95 " + millis(series.total_p95_ms))] : h("span", { class: "none" }, "–")),
    h("td", { class: "num" }, count(a.in_flight)),
    h("td", { class: "num" }, a.open_letters ? h("a", { href: "#/letters?adapter=" + link, "aria-label": plural(a.open_letters, "letter") + " of " + a.name }, count(a.open_letters)) : "0"),
    h("td", { class: "hand" }, hand(a)));
}

const healthy = { pass: ["good", "well"], warn: ["warn", "degraded"], fail: ["bad", "failing"] };

function health(a) {
  const [level, word] = healthy[a.health] || ["idle", a.health || "unknown"];
  return [tag(level, word), a.message ? h("span", { class: "sub reason" }, a.message) : null,
    a.check && a.check.at ? h("span", { class: "sub", title: new Date(a.check.at).toISOString() }, "checked " + ago(a.check.at) + ", " + millis(a.check.latency)) : null];
}

function breaker(b) {
  if (b.state === "off") return tag("idle", "off");
  if (b.state === "open") return [tag("bad", b.manual ? "open, by hand" : "open"), h("span", { class: "sub" }, b.manual ? "until closed" : b.retry_after ? "probes in " + span(goDuration(b.retry_after)) : "")];
  if (b.state === "half-open") return tag("warn", "half-open");
  return [tag("good", "closed"), b.failures ? h("span", { class: "sub" }, plural(b.failures, "failure") + " in a row") : null];
}

function bucket(a) {
  const l = a.limiter;
  if (!l) return h("span", { class: "none" }, "no limit");
  const level = Math.max(0, Math.floor(l.tokens));
  return [h("meter", { min: 0, max: l.capacity, value: level, "aria-label": "Tokens of " + a.name }),
    h("span", { class: "sub" }, count(level) + " of " + count(l.capacity) + ", " + l.rate_per_second + "/s" + (l.tenants ? ", emptiest of " + plural(l.tenants, "tenant") : ""))];
}

function rate(series) {
  const share = 100 * (series.total - series.failures) / series.total;
  const text = share === 100 ? "100 %" : Math.min(share, 99.9).toFixed(1) + " %"; // never round a failure away
  return text + " of " + count(series.total) + (series.failures ? ", " + count(series.failures) + " failed" : "");
}

function hand(a) {
  if (a.breaker.state === "off") return h("span", { class: "none" }, "–");
  const button = (action, label) => h("button", { type: "button", class: "quiet small", "data-do": "breaker", "data-adapter": a.name, "data-action": action, "aria-label": label + " the breaker of " + a.name }, label);
  return a.breaker.state === "closed" ? [button("open", "Open"), button("reset", "Reset")] : [button("close", "Close"), a.breaker.manual ? null : button("open", "Hold open")];
}

function card(title, level, word, ...lines) {
  return h("div", { class: "card", "data-key": title }, h("h3", {}, title), tag(level, word), lines.filter(Boolean).map((l) => h("p", {}, l)));
}

function neighbours(s) {
  const cards = [spool(s.spool)];
  const { accepted, sink, redis, vault, reload } = s;
  if (accepted) cards.push(card("Accepted for later", accepted.failing ? "bad" : "good", accepted.failing ? "not accepting" : "accepting", plural(accepted.waiting, "exchange") + " waiting, " + count(accepted.running) + " running", accepted.oldest && accepted.waiting ? ["oldest of ", when(accepted.oldest)] : null));
  if (sink) cards.push(card("Sink", sink.failing_since ? "warn" : "good", sink.failing_since ? "not taking" : "taking", sink.sink, count(sink.forwarded) + " forwarded, " + count(sink.waiting) + " waiting"));
  if (redis) cards.push(card("Redis", redis.up ? "good" : "bad", redis.up ? "up" : "down", redis.up ? "keys and limits are shared" : "this sidecar is on its own", redis.since ? ["since ", when(redis.since)] : null));
  if (vault) cards.push(card("Vault", vault.up ? "good" : "bad", vault.up ? "up" : "down", vault.address, plural(vault.secrets, "secret") + " kept"));
  cards.push(card("Configuration", reload.success ? "good" : "warn", reload.success ? "loaded" : "last one refused", h("span", { class: "url" }, reload.file), ["read ", when(reload.time)], h("a", { href: "#/configuration" }, "What is in force")));
  return h("section", { "aria-labelledby": "shared" }, h("h2", { id: "shared" }, "What they share"), h("div", { class: "cards" }, cards));
}

function spool(p) {
  const states = Object.entries(p.letters).filter(([, n]) => n > 0);
  return card("Spool of letters", p.failing ? "bad" : "good", p.failing ? "losing letters" : "keeping letters",
    states.length ? states.map(([name, n]) => count(n) + " " + name).join(", ") : "no letters",
    [h("meter", { min: 0, max: p.max_bytes || 1, high: 0.8 * p.max_bytes, value: p.bytes, "aria-label": "How full the spool is" }), " ", bytes(p.bytes) + " of " + bytes(p.max_bytes)],
    p.oldest ? ["oldest open of " + clock(p.oldest)] : null);
}
