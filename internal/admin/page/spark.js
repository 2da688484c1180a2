// Small drawings. Each says in words what it shows, so that nobody needs to see it.

import { h } from "./dom.js";
import { count, millis } from "./format.js";

const W = 180, H = 30;

// calls draws each step's successes upwards and its failures downwards.
export function calls(series, name) {
  const middle = 19, n = series.success.length, width = W / n;
  const most = Math.max(1, ...series.success, ...series.failed);
  const up = [], down = [];
  for (let i = 0; i < n; i++) {
    const x = (i * width).toFixed(1);
    if (series.success[i]) up.push("M" + x + " " + middle + "v-" + Math.max(1.5, (middle - 1) * series.success[i] / most).toFixed(1) + "h" + (width - 0.4).toFixed(1) + "V" + middle + "z");
    if (series.failed[i]) down.push("M" + x + " " + (middle + 1) + "v" + Math.max(2, (H - middle - 2) * series.failed[i] / most).toFixed(1) + "h" + (width - 0.4).toFixed(1) + "V" + (middle + 1) + "z");
  }
  return h("svg", { class: "spark", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${name}, last 15 minutes: ${count(series.total)} calls, ${count(series.failures)} failed. Successes point up, failures down.` },
    h("line", { class: "axis", x1: 0, x2: W, y1: middle + 0.5, y2: middle + 0.5 }),
    h("path", { class: "up", d: up.join("") }), h("path", { class: "down", d: down.join("") }));
}

// latency draws the 95th percentile as a line, the median as an area.
export function latency(series, name) {
  const n = series.p95_ms.length, most = Math.max(1, ...series.p95_ms);
  const y = (ms) => (H - 2 - (H - 5) * ms / most).toFixed(1), x = (i) => (i * W / (n - 1)).toFixed(1);
  const lines = [], areas = [];
  let run = [];
  const flush = () => {
    if (run.length === 0) return;
    const first = run[0], last = run[run.length - 1];
    const to = run.length === 1 ? Number(x(first)) + 1.5 : x(last);
    lines.push("M" + run.map((i) => x(i) + " " + y(series.p95_ms[i])).join("L") + (run.length === 1 ? "h1.5" : ""));
    areas.push("M" + x(first) + " " + (H - 1) + "L" + run.map((i) => x(i) + " " + y(series.p50_ms[i])).join("L") + "L" + to + " " + (H - 1) + "z");
    run = [];
  };
  for (let i = 0; i < n; i++) {
    if (series.p95_ms[i]) run.push(i);
    else flush();
  }
  flush();
  return h("svg", { class: "spark", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${name}, latency of the last 15 minutes: half of the calls below ${millis(series.total_p50_ms)}, 95 of 100 below ${millis(series.total_p95_ms)}.` },
    h("line", { class: "axis", x1: 0, x2: W, y1: H - 0.5, y2: H - 0.5 }),
    h("path", { class: "median", d: areas.join("") }), h("path", { class: "tail", d: lines.join("") }));
}

const failed = (a) => Boolean(a.error) || a.status >= 500 || a.status === 408 || a.status === 425 || a.status === 429;

// waterfall draws the attempts of an exchange on its own time; failed ones are hatched by notches at both ends.
export function waterfall(x, width = 160) {
  const all = Math.max(x.duration_ms, 0.01), scale = (ms) => Math.min(width, width * ms / all);
  return h("svg", { class: "waterfall", viewBox: `0 0 ${width} 14`, preserveAspectRatio: "none", width, height: 14, role: "img", "aria-label": words(x) },
    h("line", { class: "axis", x1: 0, x2: width, y1: 7, y2: 7 }),
    x.attempts.map((a) => {
      const from = scale(a.offset_ms), long = Math.max(2.5, scale(a.duration_ms));
      return failed(a)
        ? h("rect", { class: "failed", x: Math.min(from, width - long).toFixed(1), y: 4, width: long.toFixed(1), height: 6 })
        : h("rect", { class: "fine", x: Math.min(from, width - long).toFixed(1), y: 1, width: long.toFixed(1), height: 12 });
    }));
}

const words = (x) => (x.attempts.length === 0 ? "No attempt was made" : "Attempts: " + x.attempts.map((a) => millis(a.offset_ms) + " " + (a.error || a.status)).join(", "));

// steps is the waterfall in full: a row for each attempt, and for each wait between them.
export function steps(attempts, all) {
  const rows = [];
  let end = 0;
  attempts.forEach((a, i) => {
    const gap = a.offset_ms - end;
    if (gap > Math.max(1, all / 200)) rows.push(step("wait", null, end, gap, all, i === 0 ? "before sending" : "pause"));
    rows.push(step(failed(a) ? "failed" : "fine", i + 1, a.offset_ms, a.duration_ms, all, (a.error || "status " + a.status) + (a.sent ? "" : ", not sent")));
    end = a.offset_ms + a.duration_ms;
  });
  return h("table", { class: "steps" },
    h("caption", { class: "unseen" }, "Attempts and waits, in order"),
    h("thead", { class: "unseen" }, h("tr", {}, ["Attempt", "Began after", "Took", "Result", "Drawing"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, rows));
}

function step(kind, n, from, took, all, said) {
  const x = Math.min(197, 200 * from / Math.max(all, 0.01)), long = Math.max(3, Math.min(200 - x, 200 * took / Math.max(all, 0.01)));
  return h("tr", { class: kind }, h("td", { class: "n" }, n === null ? "wait" : "#" + n), h("td", { class: "num" }, "+" + millis(from)), h("td", { class: "num" }, millis(took)),
    h("td", {}, said),
    h("td", { class: "bar" }, h("svg", { viewBox: "0 0 200 12", preserveAspectRatio: "none", role: "img", "aria-label": n === null ? "a wait" : "attempt " + n }, h("rect", { class: kind, x: x.toFixed(1), y: kind === "fine" ? 1 : kind === "wait" ? 5 : 3, width: long.toFixed(1), height: kind === "fine" ? 10 : kind === "wait" ? 2 : 6 }))));
}
