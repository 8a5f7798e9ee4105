// Weights as the page shows them: pieces or words, with or without special tokens, within or across the texts of a pair.

/**
 * What is shown of a head.
 * @typedef {{ words: boolean, special: "show" | "hide" | "renormalise", pair: "all" | "ab" | "ba" }} Choice
 */

const SEGMENTS = { all: [0, 0], ab: [1, 2], ba: [2, 1] }; // of queries and of keys; 0: any

/**
 * @param {Choice} choice
 * @returns {Units}
 */
function unitsOf(choice) {
  return (choice.words && page.words) || page.pieces;
}

/**
 * The units that are shown as queries and as keys.
 * @param {Choice} choice
 */
function shownUnits(choice) {
  const units = unitsOf(choice);
  const kept = [...units.labels.keys()].filter((at) => choice.special === "show" || !units.special[at]);
  const [queries, keys] = SEGMENTS[choice.pair].map((segment) =>
    segment ? kept.filter((at) => units.segments[at] === segment) : kept,
  );
  return { kept, queries, keys };
}

/**
 * The rows of a list of units that hold one of the pieces.
 * @param {number[]} units
 * @param {number[]} pieces
 * @param {Choice} choice
 */
function rowsWith(units, pieces, choice) {
  const { words } = page;
  const wanted = new Set(choice.words && words ? pieces.map((piece) => words.of[piece]) : pieces);
  return [...units.keys()].filter((row) => wanted.has(units[row]));
}

/**
 * The pieces of a unit.
 * @param {number} unit
 * @param {Choice} choice
 */
function piecesOf(unit, choice) {
  const { words } = page;
  return choice.words && words ? [...words.of.keys()].filter((piece) => words.of[piece] === unit) : [unit];
}

/**
 * A head's weights, row by row: the shown queries by the shown keys.
 * @param {number} layer
 * @param {number} head
 * @param {Choice} choice
 */
async function shownWeights(layer, head, choice) {
  const pieces = await pieceWeights(layer, head);
  const whole = choice.words && page.words ? byWord(pieces, page.words.of, page.words.labels.length) : pieces;
  if (choice.special === "show" && choice.pair === "all") return whole;
  return part(whole, unitsOf(choice).labels.length, choice);
}

/**
 * Weights summed over the key's pieces and averaged over the query's (Clark et al. 2019).
 * @param {Float32Array} pieces
 * @param {number[]} wordOf
 * @param {number} count
 */
function byWord(pieces, wordOf, count) {
  const length = wordOf.length;
  const words = new Float32Array(count * count);
  const sizes = new Float32Array(count);
  for (const word of wordOf) sizes[word]++;
  for (let query = 0; query < length; query++) {
    const row = wordOf[query] * count;
    const share = 1 / sizes[wordOf[query]];
    for (let key = 0; key < length; key++) words[row + wordOf[key]] += share * pieces[query * length + key];
  }
  return words;
}

/**
 * The weight that some queries give to some keys: summed over keys, averaged over queries, as of words.
 * @param {Float32Array} weights
 * @param {number} columns
 * @param {number[]} queries
 * @param {number[]} keys
 */
function weightAmong(weights, columns, queries, keys) {
  let sum = 0;
  for (const query of queries) for (const key of keys) sum += weights[query * columns + key];
  return sum / queries.length;
}

// A row with less left than this is not renormalised but left empty: 16 bits a weight are too few to tell its shape.
const LEAST_LEFT = 0.01;

/**
 * The rows and columns that are shown. Renormalised: each row over the keys that are not special, of both texts.
 * @param {Float32Array} whole
 * @param {number} size
 * @param {Choice} choice
 */
function part(whole, size, choice) {
  const { kept, queries, keys } = shownUnits(choice);
  const weights = new Float32Array(queries.length * keys.length);
  queries.forEach((query, row) => {
    const total = choice.special === "renormalise" ? kept.reduce((sum, key) => sum + whole[query * size + key], 0) : 1;
    keys.forEach((key, column) => {
      weights[row * keys.length + column] = total < LEAST_LEFT ? 0 : whole[query * size + key] / total;
    });
  });
  return weights;
}
