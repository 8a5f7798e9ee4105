// The head view: queries left, keys right, a line for each weight.

const MOST_LINES = 2000;
const MOST_NUMBERS = 3; // heads whose roles are named, and whose weights are written beside a token

/** @typedef {{ head: number, query: number, key: number, weight: number }} Line rows of the two lists */
/** @typedef {{ side: Side, rows: number[] }} Focus the tokens of one list whose lines are shown alone */

/** The weights of the heads that are on, in the order of `heads`; rows and columns are `queries` and `keys`. */
const scene = {
  layer: 0,
  /** @type {Choice | null} */ choice: null,
  units: page.pieces,
  /** @type {number[]} */ queries: [],
  /** @type {number[]} */ keys: [],
  /** @type {number[]} */ heads: [],
  /** @type {Float32Array[]} */ weights: [],
};

const lists = { query: find("queries", HTMLElement), key: find("keys", HTMLElement) };
const canvas = find("lines", SVGSVGElement);
let latest = 0;

/** @param {What} what */
async function showHeads(what) {
  if (what === "choice" || what === "heads") {
    const mine = ++latest;
    const { layer, choice } = state;
    const heads = [...state.heads].sort((one, other) => one - other);
    const weights = await Promise.all(heads.map((head) => shownWeights(layer, head, choice)));
    if (mine !== latest) return; // a newer choice is under way
    const { queries, keys } = shownUnits(choice);
    const fresh = choice !== scene.choice;
    Object.assign(scene, { layer, choice, units: unitsOf(choice), queries, keys, heads, weights });
    if (fresh) {
      state.pointed = null;
      fillLists();
      scrollToKept();
    }
  }
  drawLines();
}

function fillLists() {
  fill("query", scene.queries);
  fill("key", scene.keys);
}

/** Scrolls the lists to the first of the kept tokens, unless it is in sight. */
function scrollToKept() {
  const view = find("scroll", HTMLElement);
  const height = rowHeight();
  const top = height * Math.min(...keptRows("query"), ...keptRows("key"));
  const isSeen = top > view.scrollTop && top < view.scrollTop + view.clientHeight - 3 * height;
  if (top < Infinity && !isSeen) view.scrollTop = top - view.clientHeight / 3;
}

/**
 * @param {Side} side
 * @param {number[]} units
 */
function fill(side, units) {
  const { labels, special } = scene.units;
  const rows = units.map((unit, at) => {
    const place = make("span", { class: "place", "aria-hidden": true }, String(unit));
    return tokenRow(labels[unit], at, special[unit], place);
  });
  lists[side].replaceChildren(...rows);
}

/** The height of a row in pixels. */
function rowHeight() {
  return Math.max(scene.queries.length, scene.keys.length) > 64 ? 18 : 22;
}

/** The rows of a list whose tokens are kept. @param {Side} side */
function keptRows(side) {
  return scene.choice ? rowsWith(side === "query" ? scene.queries : scene.keys, state.kept[side], scene.choice) : [];
}

/** The kept queries, else the kept keys, else the token that is pointed at. @returns {Focus | null} */
function focused() {
  const kept = SIDES.map((side) => ({ side, rows: keptRows(side) }));
  const { pointed } = state;
  return kept.find(({ rows }) => rows.length) ?? (pointed && { side: pointed.side, rows: [pointed.at] });
}

/** The lines to draw, weak ones first, and how many there are at the threshold or above it. */
function linesToDraw() {
  const focus = focused();
  const counts = new Uint32Array(65536);
  const step = (/** @type {number} */ weight) => Math.min(65535, Math.round(weight * 65535));
  eachWeight(focus, state.threshold, (line) => counts[step(line.weight)]++);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let floor = 65535;
  for (let room = MOST_LINES; floor > 0 && room > counts[floor]; floor--) room -= counts[floor];
  /** @type {Line[]} */
  const lines = [];
  eachWeight(focus, Math.max(state.threshold, (floor - 0.5) / 65535), (line) => lines.push({ ...line }));
  lines.sort((one, other) => one.weight - other.weight);
  return { lines: lines.slice(-MOST_LINES), total };
}

/**
 * Calls `use` for every weight of the focus, or of all, that is not below the least. The line is overwritten each time.
 * @param {Focus | null} focus
 * @param {number} least
 * @param {(line: Line) => void} use
 */
function eachWeight(focus, least, use) {
  const queries = focus?.side === "query" ? focus.rows : [...scene.queries.keys()];
  const keys = focus?.side === "key" ? focus.rows : [...scene.keys.keys()];
  const columns = scene.keys.length;
  const line = { head: 0, query: 0, key: 0, weight: 0 };
  scene.weights.forEach((weights, index) => {
    line.head = scene.heads[index];
    for (line.query of queries) {
      for (line.key of keys) {
        line.weight = weights[line.query * columns + line.key];
        if (line.weight >= least && line.weight !== 0) use(line);
      }
    }
  });
}

/**
 * A line's path and look, `width` wide. Lines of several heads leave a token side by side.
 * @param {Line} line
 * @param {number} width
 */
function lineAttributes(line, width) {
  const height = rowHeight();
  const among = scene.heads.indexOf(line.head) - (scene.heads.length - 1) / 2;
  const shift = height / 2 + among * Math.min(3, (height - 6) / scene.heads.length);
  const [start, end] = [line.query * height + shift, line.key * height + shift];
  return { d: curve(start, end, width), ...strokeOf(line.weight, strength(line.weight)) };
}

function drawLegend() {
  find("legend", HTMLElement).replaceChildren(...lineSamples(strength));
}

function drawLines() {
  const height = rowHeight() * Math.max(scene.queries.length, scene.keys.length);
  const view = find("head-view", HTMLElement);
  view.style.setProperty("--row", `${rowHeight()}px`);
  view.style.setProperty("--heads", String(scene.heads.length));
  canvas.setAttribute("viewBox", `0 0 100 ${Math.max(height, 1)}`);
  canvas.style.height = `${height}px`;
  const { lines, total } = linesToDraw();
  const paths = lines.map((line) => {
    const path = draw("path", lineAttributes(line, 100));
    path.style.stroke = colourName(line.head);
    return path;
  });
  canvas.replaceChildren(...paths);
  markTokens();
  say(lines.length, total);
  if (find("as-text", HTMLDetailsElement).open) writeTable();
}

/** Writes the weights of the focus beside the tokens of the other list. */
function markTokens() {
  const focus = focused();
  for (const side of SIDES) {
    const kept = keptRows(side);
    [...lists[side].children].forEach((item, at) => {
      const button = /** @type {HTMLElement} */ (item.firstElementChild);
      const weights = focus && focus.side !== side ? weightsBetween(focus, at) : [];
      const most = weights.indexOf(Math.max(...weights));
      button.style.setProperty("--tint", weights.length ? colourName(scene.heads[most]) : "transparent");
      button.style.setProperty("--amount", `${weights.length ? Math.round(50 * strength(weights[most])) : 0}%`);
      button.lastElementChild?.replaceChildren(...weights.map(valueOf));
      button.classList.toggle("focused", focus?.side === side && focus.rows.includes(at));
      button.setAttribute("aria-pressed", String(kept.includes(at)));
    });
  }
}

/**
 * The weight of each head that is on between the focus and a token of the other list.
 * @param {Focus} focus
 * @param {number} other
 */
function weightsBetween(focus, other) {
  const [queries, keys] = focus.side === "query" ? [focus.rows, [other]] : [[other], focus.rows];
  return scene.weights.map((weights) => weightAmong(weights, scene.keys.length, queries, keys));
}

/**
 * @param {number} weight
 * @param {number} index
 */
function valueOf(weight, index) {
  const written = scene.heads.length <= MOST_NUMBERS;
  const value = make("span", { class: written ? "value" : "cell" }, written && weight >= 0.005 ? number(weight) : "");
  value.style.setProperty("--head", colourName(scene.heads[index]));
  if (!written) value.style.opacity = String(strength(weight));
  return value;
}

/**
 * The strongest weights of the focus, strongest first.
 * @param {Focus} focus
 * @param {number} index of the head in the scene
 * @param {number} count
 */
function strongest(focus, index, count) {
  const others = focus.side === "query" ? scene.keys : scene.queries;
  return others
    .map((unit, at) => ({ label: scene.units.labels[unit], weight: weightsBetween(focus, at)[index] }))
    .sort((one, other) => other.weight - one.weight)
    .slice(0, count);
}

/**
 * Says what is shown, to eyes and to screen readers.
 * @param {number} drawn
 * @param {number} total
 */
function say(drawn, total) {
  const focus = focused();
  const heads = scene.heads.map((head) => page.heads[head]).join(", ");
  const named = scene.heads.length === 1 ? headName(scene.heads[0]) : `heads ${heads || "none"}`;
  const few = scene.heads.length <= MOST_NUMBERS ? scene.heads : [];
  const where = capital(`${layerName(scene.layer)}, ${named}${rolesOf(scene.layer, few)}`);
  const least = `${total.toLocaleString("en")} ${page.noun}s of ${number(state.threshold)} or more`;
  const lines = drawn < total ? `${least}, the ${drawn.toLocaleString("en")} strongest drawn` : least;
  const empty = state.choice.special === "renormalise" ? emptyRows() : 0;
  const left = empty ? ` Rows left empty, having less than 1 % for these tokens: ${empty}.` : "";
  find("what", HTMLElement).textContent = `${where}: ${lines}.${left}`;
  find("top", HTMLElement).replaceChildren(...(focus ? topOf(focus) : [make("p", { class: "hint" }, HINT)]));
}

/** @param {string} text */
function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** How many rows of the shown heads hold nothing. */
function emptyRows() {
  const columns = scene.keys.length;
  const rowsOf = (/** @type {Float32Array} */ weights) =>
    scene.queries.filter((_, row) => weights.subarray(row * columns, (row + 1) * columns).every((weight) => weight === 0));
  return scene.weights.reduce((sum, weights) => sum + rowsOf(weights).length, 0);
}

const HINT = `Point at a token to see its ${page.noun}s alone; click to keep it, Shift-click for several.`;

/** The tokens of these rows, in quotes. @param {Focus} focus */
function namesOf({ side, rows }) {
  const units = side === "query" ? scene.queries : scene.keys;
  return quoted(rows.map((row) => scene.units.labels[units[row]]));
}

/** What a query does, and a key, to the other; and the words between "most" and a key. */
const VERBS = {
  weight: { query: "looks at", key: "is looked at by", most: "at", caption: "it looks at most" },
  contribution: { query: "gets from", key: "adds to", most: "from", caption: "that add most to it" },
}[page.noun];

/** @param {Focus} focus */
function topOf(focus) {
  const verb = VERBS[focus.side];
  const keys = { side: /** @type {const} */ ("key"), rows: keptRows("key") };
  const sumTo = (/** @type {Focus} */ keys, /** @type {number} */ index) =>
    `${namesOf(keys)} ${number(weightAmong(scene.weights[index], scene.keys.length, focus.rows, keys.rows))}; most ${VERBS.most} `;
  return scene.heads.map((head, index) => {
    const list = strongest(focus, index, 5).map(({ label, weight }) => `“${label}” ${number(weight)}`);
    const sum = keys.rows.length && focus.side === "query" ? sumTo(keys, index) : "";
    const name = make("span", { class: "name" }, capital(headName(head)));
    name.style.setProperty("--head", colourName(head));
    return make("p", {}, name, ` ${namesOf(focus)} ${verb} ${sum}`, list.join(" · "));
  });
}

/** The same as text: for each query and head the strongest keys. */
function writeTable() {
  const names = scene.heads.map((head) => make("th", { scope: "col" }, headName(head)));
  const rows = scene.queries.map((unit, at) => {
    const cells = scene.heads.map((_, index) => {
      const keys = strongest({ side: "query", rows: [at] }, index, 3).filter(({ weight }) => weight >= state.threshold);
      return make("td", {}, keys.map(({ label, weight }) => `${label} ${number(weight)}`).join(" · "));
    });
    return make("tr", {}, make("th", { scope: "row" }, scene.units.labels[unit]), ...cells);
  });
  const caption = make("caption", {}, `For each token, the three ${VERBS.caption}, at the threshold or above it.`);
  const head = make("tr", {}, make("th", { scope: "col" }, "token"), ...names);
  const table = make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
  find("text-table", HTMLElement).replaceChildren(table);
}
