// How a measure's values become colours and digits: by the range of both atlases, so that the two compare.

/** From low to high. @type {Record<"light" | "dark", Rgb[]>} */
const SEQUENTIAL = {
  light: [[244, 248, 252], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 48, 107]],
  dark: [[34, 38, 43], [29, 66, 108], [42, 106, 170], [107, 174, 230], [222, 238, 252]],
};
/** From less through none to more (RdBu, Brewer 2003). @type {Record<"light" | "dark", Rgb[]>} */
const DIVERGING = {
  light: [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]],
  dark: [[146, 197, 222], [33, 102, 172], [34, 38, 43], [178, 24, 43], [244, 165, 130]],
};

/** @typedef {[number, number, number]} Rgb */
/** @typedef {{ low: number, high: number, diverging: boolean, digits: number }} Scale */

/** @type {Map<string, Scale>} */
const scales = new Map();

/**
 * The scale of a measure, or of its changes, which lie around 0 as the values of some measures do.
 * @param {string} name
 * @param {boolean} isChange
 */
function scaleOf(name, isChange = state.shown === "change") {
  const key = `${isChange} ${name}`;
  const found = scales.get(key) ?? makeScale(name, isChange);
  scales.set(key, found);
  return found;
}

/** @param {string} name @param {boolean} isChange @returns {Scale} */
function makeScale(name, isChange) {
  const values = atlas.heads.flatMap((head) => (isChange ? changesOf(head, name) : valuesOfBoth(head, name)));
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
  const most = Math.max(-low, high);
  const digits = most >= 100 ? 0 : most >= 10 ? 1 : most >= 0.1 || most === 0 ? 2 : 1 - Math.floor(Math.log10(most));
  const diverging = isChange || (measureNamed(name)?.diverging ?? false);
  return diverging ? { low: -most, high: most, diverging, digits } : { low, high, diverging, digits };
}

/** @param {Head} head @param {string} name */
function valuesOfBoth(head, name) {
  return [head, otherOf(head)].flatMap((one) => one?.values[name]?.[0] ?? []);
}

/** @param {Head} head @param {string} name */
function changesOf(head, name) {
  const [mine, other] = valuesOfBoth(head, name);
  return other === undefined ? [] : [mine - other];
}

/** Where a value lies on its scale, 0 to 1. @param {number} value @param {Scale} scale */
function placeOn(value, { low, high }) {
  return high > low ? (value - low) / (high - low) : 0.5;
}

/** The colour at a place from 0 to 1 of a scale, as rgb(...). @param {number} place @param {boolean} diverging */
function colourAt(place, diverging) {
  const anchors = (diverging ? DIVERGING : SEQUENTIAL)[isDark() ? "dark" : "light"];
  const step = Math.min(1, Math.max(0, place)) * (anchors.length - 1);
  const below = Math.min(Math.floor(step), anchors.length - 2);
  const mixed = anchors[below].map((from, at) => Math.round(from + (step - below) * (anchors[below + 1][at] - from)));
  return `rgb(${mixed.join(", ")})`;
}

/**
 * A value of a measure with as many digits as tell the values apart, and some more; "–": it has none.
 * @param {string} name
 * @param {number | null} value
 * @param {number} more
 * @param {boolean} isChange whether the value is a change
 * @param {number} digits before the further ones
 */
function written(name, value, more = 0, isChange = state.shown === "change", digits = scaleOf(name, isChange).digits) {
  if (value === null) return "–";
  return withSign(digits > 4 ? value.toExponential(1 + more) : value.toFixed(digits + more), isChange);
}

/** A number with a minus, not a hyphen, and of a change also a plus; 0 has neither. @param {string} text @param {boolean} isChange */
function withSign(text, isChange = false) {
  if (Number(text) === 0) return text.replace("-", "");
  return (isChange && Number(text) > 0 ? "+" : "") + text.replaceAll("-", "−");
}
