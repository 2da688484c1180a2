// What the page knows, and who has to be told when it changes.

const remembered = (name, otherwise) => localStorage.getItem("sidecar-" + name) || otherwise;

export const state = {
  view: "overview",
  connected: false, // to the stream of events
  heard: 0,         // when the sidecar was last heard of, by this machine's clock
  lost: "",         // why it is not heard of
  locked: "",       // why a token is asked for
  status: null,
  series: null,
  exchanges: null,
  config: null,
  who: remembered("who", ""),
  theme: remembered("theme", "auto"),
};

export function remember(name, value) {
  state[name] = value;
  localStorage.setItem("sidecar-" + name, value);
}

// who is the name for the audit. It is kept as it is typed: a space at its end may be the middle of a name.
export const who = () => state.who.trim();

let render = () => {};
let asked = false;
export const onChange = (f) => { render = f; };

// changed draws the page anew, once for all changes of a moment.
export function changed() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; render(); });
}

// actions are what buttons and links with data-do do, fields with data-change when they are changed.
export const actions = {};
export const changes = {};
