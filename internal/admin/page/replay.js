// A replay: look first, then confirm, then send one after the other, as sidecar dlq replay does.

import { get, post } from "./api.js";
import { changeDialog, confirm, openDialog } from "./dialog.js";
import { h, note, say } from "./dom.js";
import { column, command, count, plural, quote, tag } from "./format.js";
import { actions, changes, remember, state, who } from "./state.js";

let job = null;

// replay begins with a dry run of a choice of letters. after is called when letters may have changed.
export function replay(choice, after) {
  if (job) return;
  job = { choice, after, stage: "look", ids: choice.ids || [], looked: [], results: [], stop: false, force: false, rate: "0", run: name(), failure: "" };
  openDialog(draw, { wide: true, mayClose: () => !job || job.stage !== "run", closed });
  look(job);
}

function closed() {
  if (!job) return;
  const mine = job;
  mine.stop = true;
  job = null;
  if (mine.results.length) mine.after();
}

// name makes the name of a run, as the command line does.
function name() {
  const stamp = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  return "run-" + stamp + "-" + [...crypto.getRandomValues(new Uint8Array(2))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

// look asks of each letter whether it would be sent. Nothing is.
async function look(mine) {
  try {
    if (mine.choice.query) mine.ids = await collect(mine);
    for (const id of mine.ids) {
      if (mine.stop) return;
      mine.looked.push(await one(id, { dry_run: true, who: who() || "status page" }));
      changeDialog();
    }
    mine.stage = "ready";
    const n = mine.looked.filter(sendable).length;
    say("Dry run finished: " + plural(n, "letter") + " would be sent, " + count(mine.looked.length - n) + " would not.");
  } catch (err) {
    mine.stage = "ready";
    mine.failure = err.message;
  }
  changeDialog();
}

// collect asks for all letters that match, oldest first: that is the order in which they are sent.
async function collect(mine) {
  const ids = [], q = new URLSearchParams(mine.choice.query);
  q.set("limit", "1000");
  if (q.get("state") === "all") q.set("state", "dead,forwarded");
  for (;;) {
    const page = await get("/api/v1/letters?" + q);
    ids.push(...page.letters.map((l) => l.id));
    if (!page.more || page.letters.length === 0 || mine.stop) return ids;
    q.set("after", ids[ids.length - 1]);
  }
}

// one asks the sidecar about one letter. What the sidecar refuses is a result; when it does not answer, that is an error.
async function one(id, order) {
  try {
    return await post("/api/v1/letters/" + encodeURIComponent(id) + "/replay", order);
  } catch (err) {
    if (!err.status || err.status === 401) throw err;
    return { id, result: "failed", reason: err.message };
  }
}

const sendable = (r) => r.result === "would-send" || r.result === "would-resolve";
const forcible = (r) => !sendable(r) && !r.retryable; // what is refused only for now cannot be forced
const chosen = (mine) => mine.looked.filter((r) => sendable(r) || (mine.force && forcible(r))).map((r) => r.id);

changes.job = (field) => {
  if (!job) return;
  if (field.name === "who") remember("who", field.value);
  else job[field.name] = field.type === "checkbox" ? field.checked : field.value;
  changeDialog();
};
actions["job-stop"] = () => { job.stop = true; changeDialog(); };
actions["job-send"] = () => { if (job && job.stage === "ready" && who() && chosen(job).length) send(job); };

async function send(mine) {
  const ids = chosen(mine), pause = Number(mine.rate) ? 1000 / Number(mine.rate) : 0;
  Object.assign(mine, { stage: "run", total: ids.length, stop: false });
  window.addEventListener("beforeunload", stay);
  changeDialog();
  let told = 0;
  for (const id of ids) {
    if (mine.stop) break;
    const began = performance.now();
    try {
      mine.results.push(await one(id, { run: mine.run, force: mine.force, who: who() }));
    } catch (err) {
      mine.failure = err.message;
      break;
    }
    if (performance.now() - told > 3000) { told = performance.now(); say(count(mine.results.length) + " of " + count(mine.total) + " tried"); }
    changeDialog();
    const rest = pause - (performance.now() - began);
    if (rest > 0 && !mine.stop) await new Promise((go) => setTimeout(go, rest));
  }
  window.removeEventListener("beforeunload", stay);
  mine.stage = "done";
  say((mine.failure || mine.stop ? "Replay stopped: " : "Replay finished: ") + tally(mine.results));
  changeDialog();
  mine.after();
}

const stay = (event) => event.preventDefault();

function tally(results) {
  const n = {};
  for (const r of results) n[r.result] = (n[r.result] || 0) + 1;
  return Object.entries(n).map(([result, times]) => count(times) + " " + result).join(", ") || "nothing was sent";
}

function draw() {
  const title = { look: "Dry run", ready: "Replay " + job.choice.words, run: "Replaying", done: "Replay " + (job.stop || job.failure ? "stopped" : "finished") }[job.stage];
  return [h("h2", { id: "dialog-title" }, title), { look: looking, ready, run: running, done }[job.stage](job)];
}

function bar(label, value, max) {
  return [h("progress", { value, max: Math.max(max, 1), "aria-label": label }), h("p", { class: "found" }, count(value) + " of " + count(max))];
}

function looking(mine) {
  return [h("p", {}, "Asking of each letter whether it would be sent. Nothing is sent yet."), bar("Dry run", mine.looked.length, mine.ids.length),
    h("p", { class: "buttons" }, h("button", { type: "button", "data-do": "shut" }, "Cancel"))];
}

function reasons(results) {
  const groups = new Map();
  for (const r of results) {
    const key = r.result + "\n" + (r.reason || "");
    groups.set(key, { ...r, n: (groups.get(key) ? groups.get(key).n : 0) + 1 });
  }
  return h("table", { class: "reasons" }, h("thead", {}, h("tr", {}, ["#Letters", "Result", "Reason"].map(column))),
    h("tbody", {}, [...groups.values()].sort((a, b) => b.n - a.n).map((g) => h("tr", {}, h("td", { class: "num" }, count(g.n)), h("td", {}, result(g)), h("td", {}, g.reason || "–")))));
}

const level = { "would-send": "good", "would-resolve": "info", replayed: "good", resolved: "good", refused: "warn", failed: "bad" };
const result = (r) => tag(level[r.result] || "idle", r.result.replace("-", " "));

function ready(mine) {
  const n = chosen(mine).length, forced = mine.looked.filter(forcible).length, later = mine.looked.filter((r) => r.retryable).length;
  return [
    mine.failure ? h("p", { class: "error", role: "alert" }, mine.failure) : null,
    mine.looked.length === 0 ? h("p", {}, "No letter that waits was chosen.") : [
      h("p", {}, "Each passes the whole chain again: the key of then, the limits, the breaker and the secrets of now."), reasons(mine.looked)],
    later ? h("p", { class: "sub" }, plural(later, "letter is", "letters are") + " refused only for now: nothing is wrong with " + (later === 1 ? "it" : "them") + ". Come back when the breaker has closed.") : null,
    forced ? h("label", { class: "tick danger" }, h("input", { type: "checkbox", name: "force", "data-change": "job", checked: mine.force }),
      h("span", {}, h("b", {}, "Send " + plural(forced, "refused one") + " too."), " What " + (forced === 1 ? "it asks" : "they ask") + " for may then happen twice.")) : null,
    h("div", { class: "fields" },
      h("label", {}, "Your name, for the audit", h("input", { name: "who", placeholder: "needed to go on", "data-change": "job", "data-set": state.who, autocomplete: "username", maxlength: "64", required: true, autofocus: !who() })),
      h("label", {}, "Pace", h("select", { name: "rate", "data-change": "job", "data-set": mine.rate }, [["0", "as the limits allow"], ["1", "1 a second"], ["5", "5 a second"], ["20", "20 a second"]].map(([v, t]) => h("option", { value: v }, t))))),
    h("p", { class: "sub" }, "The same on the command line:"), h("p", {}, command("dlq replay " + (mine.choice.flags || "ID …") + (mine.force ? " --force" : ""))),
    h("p", { class: "buttons" }, h("button", { type: "button", "data-do": "shut" }, "Cancel"),
      h("button", { type: "button", class: mine.force ? "main bad" : "main", "data-do": "job-send", disabled: n === 0 || !who(), autofocus: Boolean(who()) }, mine.force ? "Replay " + plural(n, "letter") + " by force" : "Replay " + plural(n, "letter")))];
}

function running(mine) {
  return [bar("Replay", mine.results.length, mine.total), h("p", {}, tally(mine.results)),
    h("p", { class: "sub" }, "A letter under way goes on to its end even if this page is closed; the ones after it are not sent then."),
    h("p", { class: "buttons" }, h("button", { type: "button", "data-do": "job-stop", disabled: mine.stop, autofocus: true }, mine.stop ? "Stopping after this letter …" : "Stop"))];
}

function done(mine) {
  const left = mine.total - mine.results.length;
  return [
    mine.failure ? h("p", { class: "error", role: "alert" }, mine.failure + " The last letter may have been sent: look at its audit before you go on.") : null,
    h("progress", { value: mine.results.length, max: Math.max(mine.total, 1), "aria-label": "Replay" }),
    h("p", { class: "result", role: "status" }, h("b", {}, tally(mine.results)), left ? "; " + plural(left, "letter") + " not tried" : ""),
    left && mine.choice.query ? [h("p", { class: "sub" }, "To go on with the same run:"), h("p", {}, command("dlq replay " + mine.choice.flags + " --run " + quote(mine.run)))] : null,
    h("div", { class: "wide results", tabindex: "0", role: "region", "aria-label": "Results" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Letter", "Result", "#Status", "#Attempts", "Reason"].map(column))),
      h("tbody", {}, mine.results.map((r) => h("tr", {}, h("td", {}, h("code", {}, r.id)), h("td", {}, result(r)), h("td", { class: "num" }, r.status || "–"), h("td", { class: "num" }, r.attempts || "–"), h("td", {}, r.reason || "–")))))),
    h("p", { class: "sub" }, "This run is " + mine.run + "; it is written on each letter."),
    h("p", { class: "buttons" }, h("button", { type: "button", class: "main", "data-do": "shut", autofocus: true }, "Done"))];
}

// discard marks letters as not needed any more, after a question.
export async function discard(choice, after) {
  if (!choice.ids || job) return;
  if (!await confirm({ title: "Discard " + choice.words + "?", text: "Nobody needs it any more: it is neither sent nor counted as waiting. It stays on disk until its retention ends.", yes: "Discard " + choice.words, bad: true, command: choice.flags && "dlq discard " + choice.flags })) return;
  let done = 0, failed = "";
  for (const id of choice.ids) {
    try {
      await post("/api/v1/letters/" + encodeURIComponent(id) + "/discard", { who: who() });
      done++;
    } catch (err) {
      failed = err.message;
      if (!err.status) break;
    }
  }
  note(plural(done, "letter") + " discarded" + (failed ? "; " + failed : ""), Boolean(failed));
  after();
}
