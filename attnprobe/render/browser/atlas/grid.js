// The grid: layers by heads, a cell per head with its colour and, in brief, what the colour stands for.

const gridTable = find("grid", HTMLTableElement);
/** @type {Map<Head, HTMLButtonElement>} */
const cells = new Map();

function buildGrid() {
  const { layers, heads } = atlas.model;
  const names = heads.map((head) => make("th", { scope: "col", "aria-label": `head ${head}` }, String(head)));
  const corner = make("td", {}, make("span", { "aria-hidden": "true" }, "layer"));
  const rows = layers.map((layer) => {
    const name = make("th", { scope: "row", "aria-label": `layer ${layer}` }, String(layer));
    return make("tr", {}, name, ...heads.map((head) => make("td", {}, ...cellOf(headAt(layer, head)))));
  });
  gridTable.append(make("thead", {}, make("tr", {}, corner, ...names)), make("tbody", {}, ...rows));
  gridTable.style.setProperty("--columns", String(heads.length));
  gridTable.style.setProperty("--layers", String(layers.length));
  rove(gridTable, "button", (key, at, count) => gridStep(key, at, count, heads.length));
}

/** @param {Head | null} head */
function cellOf(head) {
  if (!head) return [];
  const button = makeButton(() => change({ head }), {});
  cells.set(head, button);
  return [button];
}

/** @param {Set<string>} changed */
function showGrid(changed) {
  if (hasAny(changed, "colour", "shown", "roles", "theme")) {
    for (const [head, button] of cells) paintCell(head, button);
  }
  for (const [head, button] of cells) button.setAttribute("aria-pressed", String(head === state.head));
  const chosen = state.head && cells.get(state.head);
  if (chosen && !gridTable.contains(document.activeElement)) stopAt([...cells.values()], chosen);
}

/** @param {Head} head @param {HTMLButtonElement} button */
function paintCell(head, button) {
  const ground = colourOf(head);
  const isOut = !isKept(head);
  button.textContent = briefOf(head);
  button.title = [`${headName(head)}: ${wordsOf(head)}`, sentenceOf(head)].filter(Boolean).join("\n");
  button.setAttribute("aria-label", button.title.replace("\n", "; ") + (isOut ? "; its role is filtered out" : ""));
  button.classList.toggle("out", isOut);
  button.classList.toggle("off", isOff(head));
  button.classList.toggle("empty", ground === null);
  button.style.backgroundColor = isOut ? "" : (ground ?? "");
  button.style.color = isOut || !ground ? "" : inkOn(ground);
}

/** What the colour of a head stands for, as briefly as a cell asks. @param {Head} head */
function briefOf(head) {
  const by = state.colour;
  if (by === "cluster") return head.cluster === null ? "–" : String(head.cluster);
  if (by !== "role" && by !== "pattern") return written(by, valueOf(head, by));
  const name = kindOf(head, by);
  if (name === null) return "–";
  return isChanged(head, by) ? (kindNamed(by, name)?.short ?? name) : "=";
}

/** The same in words. @param {Head} head */
function wordsOf(head) {
  const by = state.colour;
  if (by === "cluster") return head.cluster === null ? "no cluster" : `cluster ${head.cluster}`;
  if (by !== "role" && by !== "pattern") return `${measureNamed(by)?.title} ${written(by, valueOf(head, by), 1)}`;
  const name = kindInWords(head, by);
  if (state.shown !== "change") return name;
  return isChanged(head, by) ? `${name}, was ${kindIn(otherOf(head), by) ?? `no ${by}`}` : `${name}, unchanged`;
}

listeners.push(showGrid);
