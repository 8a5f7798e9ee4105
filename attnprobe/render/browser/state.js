// What the page shows now. Everything is drawn from here, and only `change` writes here.

const COLOURS = 12; // --head-0 ... in page.css

/** @typedef {{ side: "query" | "key", at: number }} Place a row of one of the two lists of tokens */

const state = {
  layer: 0,
  heads: new Set([0]),
  /** @type {Choice} */
  choice: { words: false, special: "show", pair: "all" },
  threshold: 0.02,
  /** @type {Place | null} */ pinned: null,
  /** @type {Place | null} */ pointed: null,
};

/**
 * What is drawn from a state, and by whom: the lists of tokens and all numbers ("choice"), one layer and its heads
 * ("heads"), or lines alone ("lines").
 * @typedef {"choice" | "heads" | "lines"} What
 */

/** @type {((what: What) => void)[]} */
const listeners = [];

/**
 * @param {Partial<typeof state>} news
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

/** @param {number} head */
function colourName(head) {
  return `var(--head-${page.heads[head] % COLOURS})`;
}

/**
 * A colour of page.css in the present theme, as rgb(...).
 * @param {string} name
 */
function colour(name) {
  const probe = find("probe", HTMLElement);
  probe.style.color = name;
  return getComputedStyle(probe).color;
}
