// Builds elements, and changes what is shown into what should be shown without taking away the focus, a selection or what
// is being typed. Text becomes text nodes only: what strangers wrote is never markup.

const SVG = "http://www.w3.org/2000/svg";
const drawn = new Set(["svg", "path", "rect", "line", "polyline", "text", "g", "title"]);

// h makes an element. Attributes that are false, null or undefined are left out; true is an empty attribute.
export function h(tag, attributes, ...children) {
  const el = drawn.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    el.setAttribute(name, value === true ? "" : String(value));
  }
  append(el, children);
  return el;
}

function append(el, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(el, child);
    else if (child instanceof Node) el.append(child);
    else if (child !== null && child !== undefined && child !== false) el.append(document.createTextNode(String(child)));
  }
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

// morph makes live look like fresh. Both are the same kind of element. What the reader has set (an open <details>, the
// text of a field) stays, unless the field says data-set.
export function morph(live, fresh) {
  if (live.nodeType !== Node.ELEMENT_NODE) {
    if (live.data !== fresh.data) live.data = fresh.data;
    return;
  }
  attributes(live, fresh);
  children(live, fresh);
  if (fresh.hasAttribute("data-set") && live.value !== fresh.getAttribute("data-set")) live.value = fresh.getAttribute("data-set"); // after its options
}

function attributes(live, fresh) {
  for (const { name } of [...live.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && (live.nodeName === "DETAILS" || live.nodeName === "DIALOG"))) live.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
  if (live.nodeName === "INPUT" && live.type === "checkbox") live.checked = fresh.hasAttribute("checked");
  if (live.nodeName === "PROGRESS" && fresh.hasAttribute("value")) live.value = Number(fresh.getAttribute("value"));
}

function children(live, fresh) {
  const keyed = new Map();
  for (const node of live.childNodes) {
    const key = keyOf(node);
    if (key !== null) keyed.set(key, node);
  }
  let at = live.firstChild;
  for (const want of [...fresh.childNodes]) {
    const key = keyOf(want);
    const found = key === null ? at : keyed.get(key);
    if (found && alike(found, want)) {
      if (found === at) at = at.nextSibling;
      else live.insertBefore(found, at);
      morph(found, want);
    } else {
      live.insertBefore(want, at);
      settle(want);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// settle gives new fields the value that their data-set says.
function settle(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  for (const field of [node, ...node.querySelectorAll("[data-set]")]) {
    if (field.hasAttribute("data-set")) field.value = field.getAttribute("data-set");
  }
}

// show puts children into the element with this id.
export function show(id, ...parts) {
  const live = document.getElementById(id);
  const fresh = live.cloneNode(false);
  append(fresh, parts);
  children(live, fresh);
}

// say tells a screen reader.
export function say(text) {
  document.getElementById("live").textContent = text;
}

let noteTimer = 0;

// note tells everybody, for a few seconds.
export function note(text, bad = false) {
  const el = document.getElementById("note");
  el.textContent = text;
  el.className = bad ? "bad shown" : "shown";
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { el.className = ""; el.textContent = ""; }, bad ? 12000 : 5000);
}
