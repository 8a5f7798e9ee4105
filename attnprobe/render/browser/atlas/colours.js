// Colours of heads: one per role, pattern or cluster, a scale for numbers. Each is rgb(...), also in saved pictures.

const COLOURS = 12; // --head-0 ... in base.css
/** @typedef {[number, number, number]} Rgb */

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

/** @param {Rgb} rgb */
const rgbText = (rgb) => `rgb(${rgb.map(Math.round).join(", ")})`;

/** The colour at a place from 0 to 1. @param {Rgb[]} anchors @param {number} amount */
function colourAt(anchors, amount) {
  const place = Math.min(1, Math.max(0, amount)) * (anchors.length - 1);
  const below = Math.min(Math.floor(place), anchors.length - 2);
  const mixed = anchors[below].map((low, at) => low + (place - below) * (anchors[below + 1][at] - low));
  return rgbText(/** @type {Rgb} */ (mixed));
}

/** @typedef {{ low: number, high: number, diverging: boolean }} Scale */

/**
 * The range of a measure's colours: the same for both atlases, so that they compare; around 0 where values have a sign.
 * @param {string} name
 * @returns {Scale}
 */
function scaleOf(name) {
  const diverging = state.shown === "change" || (measureNamed(name)?.diverging ?? false);
  const values = state.shown === "change" ? atlas.heads.map((head) => valueOf(head, name)) : valuesOfBoth(name);
  const known = /** @type {number[]} */ (values.filter((value) => value !== null));
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
  const most = Math.max(-low, high);
  return diverging ? { low: -most, high: most, diverging } : { low, high, diverging };
}

/** @param {string} name */
function valuesOfBoth(name) {
  return [...headsByKey.values(), ...othersByKey.values()].map((head) => head.values[name]?.[0] ?? null);
}

/** @param {number} value @param {Scale} scale */
function colourOfValue(value, { low, high, diverging }) {
  const anchors = (diverging ? DIVERGING : SEQUENTIAL)[isDark() ? "dark" : "light"];
  return colourAt(anchors, high > low ? (value - low) / (high - low) : 0.5);
}

/** Read from the page once for each theme. @type {Map<string, string>} */
const palette = new Map();

/** The colour of the so-manieth thing of a kind. @param {number} at */
function paletteColour(at) {
  const key = `${isDark()} ${at}`;
  const found = palette.get(key) ?? colour(at < 0 ? "var(--edge)" : `var(--head-${at % COLOURS})`);
  palette.set(key, found);
  return found;
}

const patternNames = [...new Set(atlas.heads.map(({ pattern }) => pattern).filter((name) => name !== null))];

/** @param {string} role */
function colourOfRole(role) {
  return paletteColour(role === "mixed" ? -1 : atlas.roles.findIndex(({ name }) => name === role));
}

/** The colour of a head under `state.colour`; null: it has nothing to be coloured by. @param {Head} head */
function colourOf(head) {
  const { colour: by } = state;
  const role = by === "role" ? roleOf(head) : null;
  if (by === "role") return role && colourOfRole(role);
  const pattern = by === "pattern" ? patternOf(head) : null;
  if (by === "pattern") return pattern && paletteColour(patternNames.indexOf(pattern));
  if (by === "cluster") return head.cluster === null ? null : paletteColour(head.cluster);
  const value = valueOf(head, by);
  return value === null ? null : colourOfValue(value, scaleOf(by));
}

/** Black or white, whichever is easier to read on a colour. @param {string} ground */
function inkOn(ground) {
  const [red, green, blue] = (ground.match(/[\d.]+/g) ?? []).map((part) => {
    const share = Number(part) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
