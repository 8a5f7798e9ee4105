// Two lists of tokens, queries left and keys right, and the lines between them.

/** @typedef {"query" | "key"} Side of the two lists of tokens */
const SIDES = /** @type {const} */ (["query", "key"]);
/** @typedef {{ side: Side, at: number }} Place a row of one of the lists */
/** @typedef {Record<Side, HTMLElement>} Lists */

/**
 * A row of a list: a token, what stands before it, and room for weights.
 * @param {string} label
 * @param {number} at the number of the row
 * @param {boolean} isSpecial
 * @param {Node[]} before
 */
function tokenRow(label, at, isSpecial, ...before) {
  const name = make("span", { class: "label" }, label);
  const values = make("span", { class: "values", "aria-hidden": true });
  const button = make("button", { type: "button", "data-at": at, tabindex: at ? -1 : 0 }, ...before, name, values);
  button.classList.toggle("special", isSpecial);
  return make("li", {}, button);
}

/** @param {Lists} lists @param {EventTarget | null} target @returns {Place | null} */
function placeIn(lists, target) {
  const button = target instanceof Element ? target.closest("button") : null;
  if (!button?.dataset.at) return null;
  return { side: lists.query.contains(button) ? "query" : "key", at: Number(button.dataset.at) };
}

/** @param {Place | null} one @param {Place | null} other */
function same(one, other) {
  return one?.side === other?.side && one?.at === other?.at;
}

/**
 * Tells which token the mouse or the keyboard is on; arrow keys move in a list, and left and right to the other one.
 * @param {HTMLElement} around both lists
 * @param {Lists} lists
 * @param {(place: Place | null) => void} point
 */
function watchLists(around, lists, point) {
  around.addEventListener("mouseover", (event) => point(placeIn(lists, event.target)));
  around.addEventListener("mouseleave", () => point(null));
  around.addEventListener("focusin", (event) => {
    if (event.target instanceof Element && event.target.matches(":focus-visible")) point(placeIn(lists, event.target));
  });
  around.addEventListener("focusout", () => point(null));
  for (const list of Object.values(lists)) rove(list, "button", (key, at, count) => gridStep(key, at, count, 1));
  around.addEventListener("keydown", (event) => crossOver(lists, event));
}

/** Left and right lead to the same row of the other list. @param {Lists} lists @param {KeyboardEvent} event */
function crossOver(lists, event) {
  const place = placeIn(lists, event.target);
  const side = event.key === "ArrowLeft" ? "query" : event.key === "ArrowRight" ? "key" : null;
  if (!place || !side || side === place.side) return;
  event.preventDefault();
  const buttons = lists[side].querySelectorAll("button");
  buttons[Math.min(place.at, buttons.length - 1)]?.focus();
}

/**
 * The path of a line from the left to the right, `width` wide.
 * @param {number} start
 * @param {number} end
 * @param {number} width
 */
function curve(start, end, width) {
  return `M0 ${start}C${width * 0.4} ${start} ${width * 0.6} ${end} ${width} ${end}`;
}

/** @param {number} weight @param {number} opacity */
function strokeOf(weight, opacity) {
  return { "stroke-width": (0.6 + 3.4 * weight).toFixed(2), "stroke-opacity": opacity.toFixed(3) };
}

/** Samples of lines beside their weights. @param {(weight: number) => number} opacity */
function lineSamples(opacity) {
  return [0.05, 0.25, 1].flatMap((weight) => {
    const line = draw("path", { d: "M0 6H26", stroke: "currentColor", ...strokeOf(weight, opacity(weight)) });
    return [draw("svg", { width: 26, height: 12 }, line), String(weight)];
  });
}
