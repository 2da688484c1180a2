// Talks to the admin API. The token, if the sidecar wants one, stays in this tab and goes out as a bearer token.

const place = "sidecar-token";
let token = sessionStorage.getItem(place) || "";

export function setToken(value) {
  token = value;
  if (value) sessionStorage.setItem(place, value);
  else sessionStorage.removeItem(place);
}

export const hasToken = () => token !== "";

// Refusal is an answer that is not the one asked for. status 0 is no answer at all.
export class Refusal extends Error {
  constructor(status, detail, faults) {
    super(detail);
    this.status = status;
    this.faults = faults || [];
  }
}

let locked = () => {};
export const onLocked = (f) => { locked = f; };

function headers(more) {
  return token ? { ...more, Authorization: "Bearer " + token } : more;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", redirect: "error", ...options });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Refusal(0, "The sidecar does not answer.");
  }
  if (response.ok) return response;
  let problem = {};
  try { problem = await response.json(); } catch { /* not a problem document: the status says enough */ }
  const refusal = new Refusal(response.status, problem.detail || "status " + response.status, problem.faults);
  if (response.status === 401) locked(refusal.message);
  throw refusal;
}

const json = async (response) => {
  try {
    return await response.json();
  } catch {
    throw new Refusal(0, "The sidecar's answer broke off.");
  }
};

export const get = async (path, signal) => json(await ask(path, { headers: headers({ Accept: "application/json" }), signal }));

export const post = async (path, body) => json(await ask(path, {
  method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body),
}));

// events calls back with each event (name, data) until the stream ends. EventSource cannot send a token, so the stream is
// read by hand.
export async function events(path, signal, each) {
  const response = await ask(path, { headers: headers({ Accept: "text/event-stream" }), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) event(block, each);
  }
}

function event(block, each) {
  let name = "message", data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  each(name, data === "" ? null : JSON.parse(data));
}
