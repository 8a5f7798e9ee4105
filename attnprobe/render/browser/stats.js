// The statistics of every head: a table that sorts by its columns and selects heads by its rows.

/** @typedef {{ layer: number, head: number, values: (number | null)[] }} Row values: their places, then the metrics */

/** @type {Row[]} */
const rows = page.layers.flatMap((_, layer) =>
  page.heads.map((_, head) => ({ layer, head, values: [layer, head, ...page.stats[layer][head]] })),
);
const meaningful = page.metrics.map((_, at) => at).filter((at) => rows.some((row) => row.values[at + 2] !== null));
const columns = [
  { name: "layer", meaning: "counted from 0", at: 0 },
  { name: "head", meaning: "counted from 0", at: 1 },
  ...meaningful.map((at) => ({ ...page.metrics[at], at: at + 2 })),
];
const order = { at: 0, down: false };

function buildStats() {
  const names = columns.map(({ name, meaning, at }) => {
    const button = make("button", { type: "button", title: meaning }, name.replaceAll("_", " "));
    button.addEventListener("click", () => sortBy(at));
    return make("th", { scope: "col", "data-at": at }, button);
  });
  const table = find("stats", HTMLTableElement);
  table.append(make("thead", {}, make("tr", {}, ...names)), make("tbody", {}, ...rows.map(rowOf)));
  const empty = page.metrics.filter((_, at) => !meaningful.includes(at)).map(({ name }) => name);
  const notes = Object.entries(page.roles).map(([role, names]) => `${role} stands for ${names.join(", ")}.`);
  if (empty.length) notes.push(`Without meaning here: ${empty.join(", ")}.`);
  find("stats-note", HTMLElement).textContent = notes.join(" ");
  rove(table.tBodies[0], "button", (key, at, count) => gridStep(key, at, count, 1));
  sortBy(0);
}

/** @param {Row} row */
function rowOf(row) {
  const label = `select ${layerName(row.layer)}, ${headName(row.head)}`;
  const button = make("button", { type: "button", "aria-label": label, tabindex: -1 }, String(page.layers[row.layer]));
  const cells = columns.slice(1).map(({ at }) => {
    const cell = make("td", {}, written(row.values[at], at));
    cell.style.setProperty("--amount", `${Math.round(30 * rankOf(row.values[at], at))}%`);
    return cell;
  });
  const element = make("tr", { "data-row": rows.indexOf(row) }, make("td", {}, button), ...cells);
  element.addEventListener("click", () => select(row.layer, row.head));
  return element;
}

/** @param {number | null} value @param {number} at */
function written(value, at) {
  if (value === null) return "";
  if (at < 2) return String((at ? page.heads : page.layers)[value]);
  return Math.abs(value) < 10 ? value.toFixed(3) : value.toFixed(2);
}

/** Where a value lies between the lowest and the highest of its column, 0 to 1. @param {number | null} value @param {number} at */
function rankOf(value, at) {
  if (value === null || at < 2) return 0;
  const all = /** @type {number[]} */ (rows.map((row) => row.values[at]).filter((its) => its !== null));
  const [low, high] = [Math.min(...all), Math.max(...all)];
  return high > low ? (value - low) / (high - low) : 0;
}

/** Highest first, and lowest first the next time; layers and heads the other way round. @param {number} at */
function sortBy(at) {
  const table = find("stats", HTMLTableElement);
  const fresh = table.querySelector(`th[data-at="${at}"]`)?.getAttribute("aria-sort") == null;
  Object.assign(order, { at, down: fresh ? at >= 2 : !order.down });
  markSorted(table, at, order.down);
  const elements = [...table.tBodies[0].rows];
  elements.sort((one, other) => compare(rows[Number(one.dataset.row)], rows[Number(other.dataset.row)]));
  table.tBodies[0].append(...elements);
  elements.forEach((element, index) => (/** @type {HTMLElement} */ (element.querySelector("button")).tabIndex = index ? -1 : 0));
}

/** Equal values by layer and head. @param {Row} one @param {Row} other */
function compare(one, other) {
  return inOrder(one.values[order.at], other.values[order.at], order.down) || rows.indexOf(one) - rows.indexOf(other);
}

function markStats() {
  for (const element of find("stats", HTMLTableElement).tBodies[0].rows) {
    const { layer, head } = rows[Number(element.dataset.row)];
    const on = layer === state.layer && state.heads.has(head);
    element.classList.toggle("on", on);
    element.querySelector("button")?.setAttribute("aria-pressed", String(on));
    element.style.setProperty("--head", colourName(head));
  }
}
