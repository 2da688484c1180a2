// How numbers, times and states are written.

import { h } from "./dom.js";

let skew = 0; // how far this machine's clock is ahead of the sidecar's, in milliseconds

export const setClock = (now) => { skew = Date.now() - Date.parse(now); };
export const now = () => Date.now() - skew;

export const count = (n) => Number(n).toLocaleString("en-US");
export const plural = (n, one, many = one + "s") => count(n) + " " + (n === 1 ? one : many);

export function millis(ms) {
  if (!ms) return "0 ms";
  if (ms < 1) return ms.toFixed(2) + " ms";
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(ms < 10000 ? 2 : 1) + " s";
  return span(ms);
}

export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min" + (s < 600 && s % 60 ? " " + (s % 60) + " s" : "");
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return plural(Math.floor(s / 86400), "day") + " " + Math.floor((s % 86400) / 3600) + " h";
}

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
}

// goDuration reads what the API writes, such as 1m2.5s, into milliseconds.
export function goDuration(text) {
  const unit = { h: 3600000, m: 60000, s: 1000, ms: 1, "µs": 0.001, us: 0.001, ns: 0.000001 };
  let ms = 0;
  for (const [, n, u] of String(text || "").matchAll(/([\d.]+)(h|ms|m|µs|us|ns|s)/g)) ms += Number(n) * unit[u];
  return ms;
}

const two = (n) => String(n).padStart(2, "0");

// clock is a time as a wall clock shows it, with the day when it is not today's.
export function clock(at) {
  const d = new Date(at), today = new Date(now());
  const time = two(d.getHours()) + ":" + two(d.getMinutes()) + ":" + two(d.getSeconds());
  return d.toDateString() === today.toDateString() ? time : d.getFullYear() + "-" + two(d.getMonth() + 1) + "-" + two(d.getDate()) + " " + time;
}

export const ago = (at) => {
  const ms = now() - new Date(at).getTime();
  return ms < 1500 ? "just now" : span(ms) + " ago";
};

// when shows a time both ways; the whole of it is in its title.
export function when(at) {
  return h("time", { class: "when", datetime: new Date(at).toISOString(), title: new Date(at).toISOString() },
    h("span", { class: "clock" }, clock(at)), " ", h("span", { class: "ago" }, ago(at)));
}

const marks = { good: "✓", warn: "▲", bad: "✕", idle: "○", info: "●" };

// tag is a state: a shape and a word, and a colour for who sees it.
export function tag(level, word, title) {
  return h("span", { class: "tag " + level, title }, h("span", { class: "mark", "aria-hidden": "true" }, marks[level]), " ", word);
}

export function outcome(x) {
  if (x.accepted) return tag("info", "202 accepted");
  if (x.put_back) return tag("info", "put back");
  const word = (x.status || "no answer") + (x.error_type ? " " + x.error_type.replaceAll("_", " ") : "");
  return tag(x.error_type ? (x.error_type === "client_error" || x.error_type === "canceled" ? "warn" : "bad") : "good", word);
}

export function copyable(text, label) {
  return h("span", { class: "copyable" }, h("code", {}, text),
    h("button", { type: "button", class: "quiet small", "data-do": "copy", "data-text": text, "aria-label": "Copy " + (label || text) }, "Copy"));
}

// command is a command line to copy. It names this sidecar when it is not where the commands look by themselves.
export function command(args, offline = false) {
  const where = offline || location.host === "127.0.0.1:9901" || location.host === "localhost:9901" ? "" : " --admin " + location.host;
  return copyable("sidecar " + args + where, "the command");
}

// quote writes a word as a shell takes it.
export const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'");

// column is the head of a column; one of numbers begins with #.
export const column = (title) => h("th", { scope: "col", class: title[0] === "#" ? "num" : null }, title.replace("#", ""));

export function empty(title, ...why) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), why.map((w) => h("p", {}, w)));
}
