// Buttons, flags, and tables that do not sort.

/**
 * @param {() => unknown} act what a click does
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
function makeButton(act, attributes, ...children) {
  const button = make("button", { type: "button", ...attributes }, ...children);
  button.addEventListener("click", act);
  return button;
}

/** Text with its flags, such as --explain, which no line break takes apart. @param {string} text */
function withFlags(text) {
  return text.split(/(--\w[\w-]*)/).map((part, at) => (at % 2 ? make("span", { class: "flag" }, part) : part));
}

/**
 * A column of a plain table; what `isText` is read from the left, numbers stand right; what `isSpare` is left out on a phone.
 * @template Row
 * @typedef {{ title: string, meaning?: string, isText?: boolean, isSpare?: boolean, cell: (row: Row) => string | Node }} PlainColumn
 */

/**
 * @template Row
 * @param {string} labelledBy the id of the heading
 * @param {PlainColumn<Row>[]} columns
 * @param {Row[]} rows
 * @param {(row: Row) => boolean} isUnsure which rows are dim
 */
function plainTable(labelledBy, columns, rows, isUnsure = () => false) {
  const classOf = (/** @type {PlainColumn<Row>} */ column) => `${column.isText ? "text" : "number"}${column.isSpare ? " spare" : ""}`;
  const headers = columns.map((column) => make("th", { scope: "col", title: column.meaning ?? "", class: classOf(column) }, column.title));
  const cellsOf = (/** @type {Row} */ row) => columns.map((column) => make("td", { class: classOf(column) }, column.cell(row)));
  const lines = rows.map((row) => make("tr", { class: isUnsure(row) && "unsure" }, ...cellsOf(row)));
  const table = make("table", { class: "plain", "aria-labelledby": labelledBy });
  table.append(make("thead", {}, make("tr", {}, ...headers)), make("tbody", {}, ...lines));
  const across = Math.max(1, lines[0]?.querySelectorAll("button").length ?? 0);
  rove(table.tBodies[0], "button", (key, at, count) => gridStep(key, at, count, across));
  return make("div", { class: "wide" }, table);
}

/** A head's number, which chooses it. @param {{ layer: number, head: number }} place */
function headButton(place) {
  return makeButton(() => change({ head: headAt(place.layer, place.head) }), { "aria-label": headName(place) }, keyOf(place));
}

/** A share in percent; empty where there is none. @param {unknown} share @param {boolean} signed */
function percent(share, signed = false) {
  return typeof share === "number" ? withSign((100 * share).toFixed(1), signed) : "";
}
