"use strict";
// Everything is put in as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 200;
const NODES = 2500;
const byId = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const verbs = (mask) => data.actions.filter((_, index) => mask & (1 << index)).join(", ");

const rows = data.rows.map(([subject, where, before, after, change, chains]) => ({
  subject: data.names[subject], where: data.names[where], before: verbs(before),
  after: verbs(after), change, chains: chains.map((chain) => data.chains[chain]),
}));
const columns = ["subject", "where", "before", "after", "change"].filter(
  (name) => byId("table") && byId("table").querySelector(`[data-column="${name}"]`));
const state = { sort: "", down: false, shown: PAGE, found: rows };

function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const change = byId("change") ? byId("change").value : "";
  state.found = rows.filter((row) => {
    if (change && row.change !== change) return false;
    if (!words.length) return true;
    const text = `${row.subject} ${row.where} ${row.before} ${row.after} ${row.change} ${row.chains.join(" ")}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (state.sort) {
    const sign = state.down ? -1 : 1;
    state.found.sort((a, b) => sign * a[state.sort].localeCompare(b[state.sort], "en"));
  }
  state.shown = PAGE;
  show();
}

function show() {
  const body = byId("table").tBodies[0];
  const made = document.createDocumentFragment();
  for (const row of state.found.slice(0, state.shown)) {
    const line = make("tr");
    columns.forEach((name, index) => {
      const cell = make(index ? "td" : "th", undefined, name === "change" ? row.change : "");
      if (!index) cell.scope = "row";
      cell.append(make("span", row[name] || "–"));
      line.append(cell);
    });
    const evidence = make("td");
    const details = make("details");
    const first = row.chains[0] || "";
    details.append(make("summary", row.chains.length > 1 ? `${first} (+${row.chains.length - 1})` : first));
    const list = make("ul");
    for (const chain of row.chains) list.append(make("li", chain));
    const find = make("button", "Show in the picture");
    find.type = "button";
    find.addEventListener("click", () => follow(row.subject));
    details.append(list, find);
    evidence.append(details);
    line.append(evidence);
    made.append(line);
  }
  body.replaceChildren(made);
  const left = state.found.length - Math.min(state.shown, state.found.length);
  byId("count").textContent = `${state.found.length} of ${rows.length} rows` + (left ? `, ${left} not shown yet` : "");
  byId("more").hidden = !left;
}

if (byId("table")) {
  byId("search").addEventListener("input", search);
  if (byId("change")) byId("change").addEventListener("change", search);
  byId("more").addEventListener("click", () => { state.shown += PAGE * 5; show(); });
  for (const button of byId("table").querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const column = button.parentElement.dataset.column;
      state.down = state.sort === column ? !state.down : false;
      state.sort = column;
      for (const head of byId("table").querySelectorAll("th[data-column]"))
        head.setAttribute("aria-sort", head.dataset.column !== column ? "none" : state.down ? "descending" : "ascending");
      search();
    });
  }
  addEventListener("beforeprint", () => { state.shown = Infinity; show(); });
  search();
}

const SVG = "http://www.w3.org/2000/svg";
const svg = (tag, attributes) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const cut = (text) => (text.length > 38 ? `${text.slice(0, 37)}…` : text);
let wanted = "";

function reached(edges, start) {
  const found = new Set(start);
  for (const [from, to] of [[0, 1], [1, 0]]) {
    const next = new Map();
    for (const edge of edges) next.get(edge[from])?.push(edge[to]) ?? next.set(edge[from], [edge[to]]);
    const todo = [...start];
    const seen = new Set(start);
    while (todo.length) for (const node of next.get(todo.pop()) || [])
      if (!seen.has(node)) { seen.add(node); found.add(node); todo.push(node); }
  }
  return found;
}

function draw(holder, all) {
  const text = wanted.toLowerCase();
  const named = new Set(all.flat().filter((n) => typeof n === "number" && data.names[n].toLowerCase().includes(text)));
  const kept = text ? reached(all, [...named]) : null;
  let edges = kept ? all.filter((edge) => kept.has(edge[0]) && kept.has(edge[1])) : all;
  const depth = new Map();
  const left = edges.length;
  const nodes = new Set();
  edges = edges.filter(([a, b]) => {
    if (nodes.size >= NODES && !(nodes.has(a) && nodes.has(b))) return false;
    nodes.add(a).add(b);
    return true;
  });
  for (let round = 0, moved = true; moved && round < 12; round += 1) {
    moved = false;
    for (const [a, b] of edges) {
      const at = (depth.get(a) || 0) + 1;
      if ((depth.get(b) || 0) < at) { depth.set(b, at); moved = true; }
    }
  }
  const lanes = [];
  for (const node of nodes) (lanes[depth.get(node) || 0] ||= []).push(node);
  const place = new Map();
  lanes.forEach((lane, x) => lane.sort((a, b) => data.names[a].localeCompare(data.names[b], "en"))
    .forEach((node, y) => place.set(node, [x * 310 + 5, y * 34 + 5])));
  const height = Math.max(60, ...lanes.map((lane) => (lane || []).length * 34 + 15));
  const picture = svg("svg", { width: lanes.length * 310 + 10, height, role: "group", "aria-label": holder.dataset.title });
  for (const [a, b, change] of edges) {
    const [x1, y1] = place.get(a); const [x2, y2] = place.get(b);
    picture.append(svg("path", { class: change, d: `M${x1 + 270} ${y1 + 13} C${x1 + 290} ${y1 + 13} ${x2 - 20} ${y2 + 13} ${x2} ${y2 + 13}` }));
  }
  // One stop for Tab, and the arrows go on from there.
  let stop = 0;
  for (const [node, [x, y]] of place) {
    const group = svg("g", { class: named.has(node) && text ? "node on" : "node", tabindex: stop, role: "button", "aria-label": data.names[node], transform: `translate(${x} ${y})` });
    stop = -1;
    group.append(svg("rect", { width: 270, height: 26, rx: 4 }));
    const label = svg("text", { x: 8, y: 17 });
    label.textContent = cut(data.names[node]);
    const title = svg("title", {});
    title.textContent = data.names[node];
    group.append(title, label);
    const choose = () => follow(data.names[node]);
    group.addEventListener("click", choose);
    group.addEventListener("keydown", (event) => {
      const next = { ArrowDown: group.nextElementSibling, ArrowUp: group.previousElementSibling }[event.key];
      if (event.key === "Enter" || event.key === " ") choose();
      else if (next && next.tagName === "g") { group.setAttribute("tabindex", -1); next.setAttribute("tabindex", 0); next.focus(); }
      else return;
      event.preventDefault();
    });
    picture.append(group);
  }
  const note = holder.querySelector(".note");
  note.textContent = `${nodes.size} objects, ${edges.length} steps` + (edges.length < left ? `; ${left - edges.length} steps are left out: search to narrow` : "");
  holder.querySelector(".scroll").replaceChildren(picture);
}

function pictures() {
  for (const holder of document.querySelectorAll(".picture")) draw(holder, data.edges[holder.dataset.edges]);
}

function follow(text) {
  wanted = text;
  byId("find").value = text;
  pictures();
  byId("picture").scrollIntoView();
  byId("find").focus({ preventScroll: true });
}

if (byId("find")) {
  byId("find").addEventListener("input", () => { wanted = byId("find").value; pictures(); });
  byId("everything").addEventListener("click", () => { wanted = ""; byId("find").value = ""; pictures(); });
  addEventListener("keydown", (event) => { if (event.key === "Escape") byId("everything").click(); });
  for (const button of document.querySelectorAll("button[data-find]"))
    button.addEventListener("click", () => follow(button.dataset.find));
  pictures();
}
