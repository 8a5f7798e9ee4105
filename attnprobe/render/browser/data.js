// What the page carries: one JSON block, and a block of weights per layer and head, decoded when it is needed.

/** @typedef {(number | "mean")[]} Numbers */
/**
 * The positions of the text, as pieces or as words.
 * @typedef {{ labels: string[], special: boolean[], segments: number[] }} Units
 */
/**
 * Layers and heads are places in `layers` and `heads`, which hold their numbers, or one place for the mean. `stats`: layer, head, metric.
 * @typedef {{
 *   model: string, signature: string, noun: "weight" | "contribution", about: string, layers: Numbers, heads: Numbers,
 *   opening: { layer: number, head: number, query: number[], key: number[], scale: string },
 *   pieces: Units, words: (Units & { of: number[] }) | null, pair: boolean,
 *   metrics: { name: string, meaning: string }[], stats: (number | null)[][][],
 *   steps: Steps | null, lang: Language,
 *   roles: Record<string, string[]>, headRoles: (string | null)[][],
 * }} Page
 */

/** @type {Page} */
const page = JSON.parse(find("data", HTMLElement).textContent ?? "");

/** What heads mostly do, in brackets; empty if unknown. @param {number} layer @param {number[]} heads */
function rolesOf(layer, heads) {
  const roles = heads.flatMap((head) => page.headRoles[layer]?.[head] ?? []);
  return roles.length ? ` (${roles.join(", ")})` : "";
}

/** @param {number} layer */
const layerName = (layer) => nameOf("layer", page.layers[layer]);

/** @param {number} head */
const headName = (head) => nameOf("head", page.heads[head]);

/** @param {string} axis @param {number | "mean"} number */
function nameOf(axis, number) {
  return number === "mean" ? `mean of ${axis}s` : `${axis} ${number}`;
}

/** @type {Map<string, Promise<Float32Array>>} */
const decoded = new Map();

// The weights of the head that the page opens with stand before the scripts, so that it is shown while the others are still being read.
const allRead = new Promise((done) => document.addEventListener("DOMContentLoaded", done));

/**
 * A head's weights over the pieces of the text, row by row.
 * @param {number} layer
 * @param {number} head
 */
function pieceWeights(layer, head) {
  const id = `weights-${layer}-${head}`;
  const { opening } = page;
  const isFirst = layer === opening.layer && head === opening.head;
  const known = decoded.get(id) ?? decode(id, isFirst || document.readyState !== "loading");
  decoded.set(id, known);
  return known;
}

/**
 * Undoes what render/page.py did: base64, deflate, low bytes before high bytes, weight × 65535.
 * @param {string} id
 * @param {boolean} isRead
 */
async function decode(id, isRead) {
  if (!isRead) await allRead;
  return Float32Array.from(await unpack(id), (bits) => bits / 65535);
}

/**
 * Undoes base64, deflate, and low bytes before high bytes.
 * @param {string} id
 */
async function unpack(id) {
  const characters = atob(find(id, HTMLElement).textContent ?? "");
  const packed = new Uint8Array(characters.length);
  for (let at = 0; at < packed.length; at++) packed[at] = characters.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const words = new Uint16Array(bytes.length / 2);
  for (let at = 0; at < words.length; at++) words[at] = bytes[at] + 256 * bytes[words.length + at];
  return words;
}
