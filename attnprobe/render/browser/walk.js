// The computation behind a row of weights, from q, k and v on: what `attnprobe trace` prints, in the same words.

/**
 * What render/steps.py packed of a head; numbers name blocks, null ones are not known. Each block holds float16 by token.
 * @typedef {{
 *   q: number, k: number, v: number, x: number | null, allowed: number | null, value_output: number | null,
 *   terms: Record<string, number>, scale: number, softcap: number | null, sink: number | null,
 *   made_by: { q: string[], k: string[], v: string[] },
 * }} HeadSteps
 */
/**
 * `missing`: why there are no layers. `heads`: how many a layer has. `exponents`: of 2, the factor of each block.
 * `projected`: the block of ‖z·W_O‖ of all heads, by head and query.
 * @typedef {{
 *   missing: string, heads: number, bytes: number, exponents: number[],
 *   layers: { heads: HeadSteps[], projected: number | null }[],
 * }} Steps
 */
/**
 * One row: numbers of the query, then numbers by key.
 * @typedef {{
 *   x: Float64Array | null, q: Float64Array, k: Float64Array[], v: Float64Array[],
 *   dot: number[], scaled: number[], terms: Record<string, number[]>, score: number[], weight: number[],
 *   value_norm: number[], output_norm: number[] | null, output: Float64Array, projected: number[] | null,
 * }} Walk
 */

/** @type {Map<number, Promise<Float64Array>>} */
const numbersRead = new Map();

/** The numbers of a block, as they were before render/steps.py packed them, to 11 bits. @param {number} block */
function numbersOf(block) {
  const known = numbersRead.get(block) ?? unpackNumbers(block);
  numbersRead.set(block, known);
  return known;
}

/** @param {number} block */
async function unpackNumbers(block) {
  await allRead;
  const factor = 2 ** (page.steps?.exponents[block] ?? 0);
  return Float64Array.from(await unpack(`numbers-${block}`), (bits) => factor * half(bits));
}

/** The number that 16 bits mean as float16 (IEEE 754), neither infinite nor NaN. @param {number} bits */
function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  return bits & 0x8000 ? -size : size;
}

/** @param {number | null} block */
async function rowsOf(block) {
  if (block === null) return null;
  const numbers = await numbersOf(block);
  const width = numbers.length / page.pieces.labels.length;
  return page.pieces.labels.map((_, at) => numbers.subarray(at * width, (at + 1) * width));
}

/**
 * Computes a row of attention.
 * @param {number} layer
 * @param {number} head
 * @param {number} query
 * @returns {Promise<Walk | null>} null if the page has no steps
 */
async function walkOf(layer, head, query) {
  const ofLayer = page.steps?.layers[layer];
  if (!ofLayer) return null;
  const of = ofLayer.heads[head];
  const [q, k, v, x, allowed, values] = await Promise.all([of.q, of.k, of.v, of.x, of.allowed, of.value_output].map(rowsOf));
  if (!q || !k || !v) throw new Error("steps without q, k or v");
  const dot = k.map((key) => product(q[query], key));
  const scaled = dot.map((value) => value * of.scale);
  const terms = await termsOf(of, scaled, query);
  const sum = scaled.map((value, key) => Object.values(terms).reduce((total, term) => total + term[key], value));
  const score = sum.map((value, key) => (allowed && !allowed[query][key] ? -Infinity : value));
  const weight = softmax(score, of.sink);
  const output = v[0].map((_, at) => v.reduce((total, value, key) => total + weight[key] * value[at], 0));
  const value_norm = v.map((value, key) => weight[key] * lengthOf(value));
  const output_norm = values && values.map(([length], key) => weight[key] * length);
  const projected = await projectedOf(ofLayer.projected, query);
  return { x: x && x[query], q: q[query], k, v, dot, scaled, terms, score, weight, value_norm, output_norm, output, projected };
}

/**
 * The terms added to the scaled scores of a query, by name.
 * @param {HeadSteps} of
 * @param {number[]} scaled
 * @param {number} query
 */
async function termsOf(of, scaled, query) {
  /** @type {Record<string, number[]>} */
  const terms = {};
  const { softcap } = of;
  if (softcap !== null) terms.softcap = scaled.map((value) => softcap * Math.tanh(value / softcap) - value);
  for (const [name, block] of Object.entries(of.terms)) terms[name] = [...((await rowsOf(block)) ?? [])[query]];
  return terms;
}

/** ‖z·W_O‖ of each head of the layer. @param {number | null} block @param {number} query */
async function projectedOf(block, query) {
  if (block === null) return null;
  const numbers = await numbersOf(block);
  const length = page.pieces.labels.length;
  return [...numbers].filter((_, at) => at % length === query);
}

/** The softmax of scores; a sink takes part in the sum alone. @param {number[]} score @param {number | null} sink */
function softmax(score, sink) {
  const highest = Math.max(...score, sink ?? -Infinity);
  const powers = score.map((value) => Math.exp(value - highest));
  const total = powers.reduce((sum, power) => sum + power, sink === null ? 0 : Math.exp(sink - highest));
  return powers.map((power) => power / total);
}

/** @param {Float64Array} one @param {Float64Array} other */
function product(one, other) {
  return one.reduce((sum, value, at) => sum + value * other[at], 0);
}

/** @param {Float64Array} vector */
function lengthOf(vector) {
  return Math.sqrt(product(vector, vector));
}
