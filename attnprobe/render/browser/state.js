// What the page shows now, and the same as text. Everything is drawn from `state`, and only `change` writes there.

const COLOURS = 12; // --head-0 ... in base.css

/**
 * `layer` and `heads` are places in `page.layers` and `page.heads`; `kept` are the pieces that clicks chose, which stay
 * the same when words are shown; `theme` is empty where the system chooses.
 * @typedef {{
 *   layer: number, heads: Set<number>, choice: Choice, threshold: number, scale: string, theme: string,
 *   kept: Record<Side, number[]>, pointed: Place | null,
 * }} State
 */

/** The state that the page opens with. @returns {State} */
function openingState() {
  const { layer, head, query, key, scale } = page.opening;
  return {
    layer,
    heads: new Set([head]),
    choice: { words: false, special: "show", pair: "all" },
    threshold: 0.02,
    scale,
    theme: "",
    kept: { query, key },
    pointed: null,
  };
}

const state = openingState();

/**
 * What is drawn from a state, and by whom: the lists of tokens and all numbers ("choice"), one layer and its heads
 * ("heads"), what depends on the kept tokens ("kept"), or lines alone ("lines").
 * @typedef {"choice" | "heads" | "kept" | "lines"} What
 */

/** @type {((what: What) => void)[]} */
const listeners = [];

/**
 * @param {Partial<State>} news
 * @param {What} what
 */
function change(news, what) {
  Object.assign(state, news);
  for (const listener of listeners) listener(what);
}

/**
 * @param {number} layer
 * @param {number} head
 */
function select(layer, head) {
  change({ layer, heads: new Set([head]) }, "heads");
}

/** @type {Record<string, Field>} */
const FIELDS = {
  layer: {
    write: ({ layer }) => String(page.layers[layer]),
    read: (text, into) => readNumbers(text, page.layers, ([layer]) => (into.layer = layer ?? into.layer)),
  },
  head: {
    write: ({ heads }) => [...heads].map((head) => page.heads[head]).join(),
    read: (text, into) => readNumbers(text, page.heads, (heads) => (into.heads = new Set(heads))),
  },
  query: keptField("query"),
  key: keptField("key"),
  level: {
    write: ({ choice }) => (choice.words ? "words" : "pieces"),
    read: (text, { choice }) => readWord(text, page.words ? ["pieces", "words"] : [], () => (choice.words = text === "words")),
  },
  special: {
    write: ({ choice }) => choice.special,
    read: (text, { choice }) => readWord(text, ["show", "hide", "renormalise"], (word) => (choice.special = word)),
  },
  pair: {
    write: ({ choice }) => choice.pair,
    read: (text, { choice }) => readWord(text, page.pair ? ["all", "ab", "ba"] : [], (word) => (choice.pair = word)),
  },
  from: {
    write: ({ threshold }) => String(threshold),
    read: (text, into) => /^[01](\.\d{1,6})?$/.test(text) && Number(text) <= 1 && (into.threshold = rounded(Number(text))),
  },
  scale: {
    write: ({ scale }) => scale,
    read: (text, into) => readWord(text, ["sqrt", "linear"], (word) => (into.scale = word)),
  },
  theme: {
    write: ({ theme }) => theme || null,
    read: (text, into) => readWord(text, ["light", "dark"], (word) => (into.theme = word)),
  },
};

/** @param {Side} side @returns {Field} */
function keptField(side) {
  const positions = [...page.pieces.labels.keys()];
  return {
    write: ({ kept }) => kept[side].join(),
    read: (text, { kept }) => readNumbers(text, positions, (pieces) => (kept[side] = pieces)),
  };
}

/**
 * Reads numbers separated by commas as places in a list, unless one is not in it.
 * @param {string} text
 * @param {Numbers} known
 * @param {(places: number[]) => unknown} use
 */
function readNumbers(text, known, use) {
  const places = text === "" ? [] : text.split(",").map((number) => known.map(String).indexOf(number));
  if (!places.includes(-1)) use([...new Set(places)]);
}

/** Shows what such a text says. @param {string} text */
function applyState(text) {
  change(stateIn(text), "choice");
}

/** How strong the colour of a weight is, from 0 to 1. @param {number} weight */
function strength(weight) {
  return state.scale === "sqrt" ? Math.sqrt(weight) : weight;
}

/** @param {number} head */
function colourName(head) {
  const number = page.heads[head];
  return `var(--head-${number === "mean" ? 0 : number % COLOURS})`;
}
