// The table of all heads: place, role, what is known in words, and the measures of one group.

/**
 * A column, by which heads sort: `down` tells whether the highest come first at the first click.
 * @typedef {{ by: string, title: string, meaning: string, down: boolean, rank: (head: Head) => number | null }} Column
 */

const roleNames = [...new Set([...atlas.heads, ...othersByKey.values()].map((one) => kindIn(one, "role") ?? ""))].sort();

/** @type {Column[]} */
const FIRST_COLUMNS = [
  { by: "layer", title: "head", meaning: "layer.head, both counted from 0", down: false, rank: (head) => atlas.heads.indexOf(head) },
  { by: "role", title: "role", meaning: "what the head mostly does", down: false, rank: (head) => rankOfRole(head) },
  { by: "finding", title: "in words", meaning: "the strongest finding", down: true, rank: (head) => shownOf(head)?.findings[0]?.strength ?? null },
];

/** @param {Head} head */
function rankOfRole(head) {
  const role = roleOf(head);
  return role === null ? null : roleNames.indexOf(role);
}

/** The row of each head. @type {Map<Head, HTMLTableRowElement>} */
let rowsByHead = new Map();

/** @returns {Column[]} */
function columnsShown() {
  const measures = atlas.measures.filter(({ name }) => groupOf(name) === state.group);
  const numbers = measures.map((measure) => ({
    by: measure.name,
    title: titleInGroup(measure),
    meaning: meaningWithUnit(measure),
    down: true,
    rank: (/** @type {Head} */ head) => valueOf(head, measure.name),
  }));
  return [...FIRST_COLUMNS, ...numbers];
}

function buildTable() {
  const groups = groupsOfMeasures.map((group) => make("option", { value: group }, groupTitle(group)));
  const choice = make("select", { id: "table-group" }, ...groups);
  choice.addEventListener("change", () => chooseGroup(choice.value));
  const table = find("heads", HTMLTableElement);
  table.append(make("thead"), make("tbody"));
  rove(/** @type {HTMLElement} */ (table.tHead), "button", (key, at, count) => gridStep(key, at, count, count));
  rove(table.tBodies[0], "tr:not([hidden]) button", (key, at, count) => gridStep(key, at, count, 1));
  find("table-choice", HTMLElement).prepend(make("label", {}, "Numbers ", choice));
}

/** @param {string} group */
function chooseGroup(group) {
  const isLeft = measureNamed(state.sort.by) !== null;
  change({ group, sort: isLeft ? { by: "layer", down: false } : state.sort });
}

/** Draws the head of the table and all rows anew. */
function fillTable() {
  const table = find("heads", HTMLTableElement);
  const columns = columnsShown();
  const headers = columns.map(({ title, meaning, by }, at) => {
    const button = makeButton(() => sortBy(columns[at]), { title: meaning }, title);
    button.tabIndex = at ? -1 : 0;
    return make("th", { scope: "col", "data-at": at, class: at < FIRST_COLUMNS.length ? by : "number" }, button);
  });
  table.tHead?.replaceChildren(make("tr", {}, ...headers));
  const measures = columns.slice(FIRST_COLUMNS.length).map(({ by }) => by);
  rowsByHead = new Map(atlas.heads.map((head) => [head, rowOf(head, measures)]));
  table.tBodies[0].replaceChildren(...rowsByHead.values());
  find("table-group", HTMLSelectElement).value = state.group;
  find("heads-note", HTMLElement).textContent = noteOnShown();
}

/** @param {Head} head @param {string[]} measures */
function rowOf(head, measures) {
  const finding = sentenceOf(head);
  const row = make(
    "tr",
    {},
    make("th", { scope: "row" }, headButton(head)),
    make("td", { class: "role" }, roleOf(head) ?? ""),
    make("td", { class: "finding", title: finding }, finding),
    ...measures.map((name) => numberCell(head, name)),
  );
  row.addEventListener("click", () => change({ head }));
  return row;
}

/** @param {Head} head @param {string} name of a measure */
function numberCell(head, name) {
  const [value, scale] = [valueOf(head, name), scaleOf(name)];
  if (value === null) return make("td");
  const interval = intervalOf(head, name);
  const between = interval ? ` (95\u00a0%: ${interval.join(" to ")})` : "";
  const cell = make("td", { title: `${value}${between}`, class: scale.diverging ? (value < 0 ? "less" : "more") : "amount" }, written(name, value, 1));
  cell.style.setProperty("--amount", `${Math.round(36 * amountOf(value, scale))}%`);
  return cell;
}

/** How strongly a value is coloured, from 0 to 1. @param {number} value @param {Scale} scale */
function amountOf(value, scale) {
  const place = placeOn(value, scale);
  return scale.diverging ? Math.abs(2 * place - 1) : place;
}

function noteOnShown() {
  const about = { this: "", other: " The numbers are the other atlas’s.", change: " A number is this atlas’s minus the other’s." };
  return `Click a column to sort, a row to see that head.${about[state.shown]}`;
}

/** @param {Column} column */
function sortBy({ by, down }) {
  change({ sort: { by, down: state.sort.by === by ? !state.sort.down : down } });
}

/** Sorts the rows; equal ones by layer and head. */
function sortTable() {
  const table = find("heads", HTMLTableElement);
  const columns = columnsShown();
  const at = Math.max(0, columns.findIndex(({ by }) => by === state.sort.by));
  const { down } = state.sort;
  const ranked = atlas.heads.map((head) => ({ head, rank: columns[at].rank(head) }));
  ranked.sort((one, other) => inOrder(one.rank, other.rank, down)); // which keeps the order of equal ones
  markSorted(table, at, down);
  table.tBodies[0].append(...ranked.map(({ head }) => /** @type {HTMLElement} */ (rowsByHead.get(head))));
}

/** Hides heads of other roles, and marks the chosen one, to which the Tab key leads. */
function markTable() {
  for (const [head, row] of rowsByHead) {
    row.hidden = !isKept(head);
    row.classList.toggle("on", head === state.head);
    row.querySelector("button")?.setAttribute("aria-pressed", String(head === state.head));
  }
  const [body] = find("heads", HTMLTableElement).tBodies;
  const buttons = /** @type {HTMLElement[]} */ ([...body.querySelectorAll("tr:not([hidden]) button")]);
  if (!body.contains(document.activeElement)) stopAt(buttons, buttons.find((button) => button.matches(".on *")) ?? buttons[0]);
}

/** What changed since the table was drawn. @type {Set<string>} */
const waiting = new Set();

/** Draws the table once the rest of the page is on the screen. @param {Set<string>} changed */
function showTable(changed) {
  if (!hasAny(changed, "shown", "head", "roles", "group", "sort")) return;
  if (!waiting.size) requestAnimationFrame(() => setTimeout(drawTable));
  changed.forEach((name) => waiting.add(name));
}

function drawTable() {
  const isNew = hasAny(waiting, "shown", "group");
  const isSorted = waiting.has("sort");
  waiting.clear();
  if (isNew) fillTable();
  if (isNew || isSorted) sortTable();
  markTable();
}

buildTable();
listeners.push(showTable);
