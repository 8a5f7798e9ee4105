// What the page carries: the data of an atlas, as `attnprobe atlas -f json` writes them.

/** @typedef {[value: number, low: number | null, high: number | null]} Estimate */
/** @typedef {{ kind: string, key: string, strength: number, text: string }} Finding */
/** @typedef {{ layer: number, head: number, distance: number }} Neighbour */
/**
 * @typedef {{
 *   relation: string, direction: string, accuracy: number, baseline: number, baseline_offset: number, gain: number, n: number,
 * }} Relation
 */
/** @typedef {{ text: number, why: string, role: string | null, share: number | null, weights: number[][] }} Example */
/**
 * A head as both atlases of a comparison have it.
 * @typedef {{
 *   layer: number, head: number, role: string | null, pattern: string | null,
 *   values: Record<string, Estimate>, findings: Finding[],
 * }} Known
 */
/**
 * @typedef {Known & {
 *   cluster: number | null, place: [number, number] | null,
 *   nearest: Neighbour[], relations: Relation[], examples: Example[],
 * }} Head
 */
/**
 * @typedef {{
 *   name: string, section: string, title: string, meaning: string, unit: string, command: string, diverging: boolean,
 * }} Measure
 */
/** @typedef {{ name: string, short: string, meaning: string }} Role */
/** @typedef {{ name: string, sources: string[], sample: boolean, texts: number, tokens: number }} Section */
/** @typedef {{ name: string, type: string, layers: number[], heads: number[] }} Model */
/** @typedef {{ id: string, tokens: string[], special: boolean[], n_tokens: number }} ShownText */
/** @typedef {Record<string, string | number | null>} Cells */
/**
 * @typedef {{
 *   model: Model, signature: string, attnprobe: string, sections: Section[], heads: Known[], remarks: string[],
 * }} Against
 */
/**
 * @typedef {{
 *   format: string, version: number, attnprobe: string, model: Model, signature: string, sections: Section[],
 *   measures: Measure[], roles: Role[], heads: Head[], texts: ShownText[], relations: Cells[], trees: Cells[],
 *   coreference: Cells[], telling: { layer: number, head: number, finding: number }[], remarks: string[], against?: Against,
 * }} Atlas
 */

/** The data as text: what the page saves as JSON. */
const atlasText = find("data", HTMLElement).textContent ?? "";
/** @type {Atlas} */
const atlas = JSON.parse(atlasText);

/** @param {{ layer: number, head: number }} at */
const keyOf = ({ layer, head }) => `${layer}.${head}`;
const headsByKey = new Map(atlas.heads.map((head) => [keyOf(head), head]));
const othersByKey = new Map((atlas.against?.heads ?? []).map((head) => [keyOf(head), head]));
const measuresByName = new Map(atlas.measures.map((measure) => [measure.name, measure]));
const rolesByName = new Map(atlas.roles.map((role) => [role.name, role]));

/** @param {number} layer @param {number} head */
function headAt(layer, head) {
  return headsByKey.get(`${layer}.${head}`) ?? null;
}

/** The same head of the other atlas. @param {Known} head */
function otherOf(head) {
  return othersByKey.get(keyOf(head)) ?? null;
}

/** @param {string} name */
function measureNamed(name) {
  return measuresByName.get(name) ?? null;
}

/** @param {Known} head */
function headName(head) {
  return `layer ${head.layer}, head ${head.head}`;
}

/** A head's value of this atlas, of the other one, or the change: this − other. @param {Head} head @param {string} name */
function valueOf(head, name) {
  const mine = head.values[name]?.[0] ?? null;
  if (state.shown === "this") return mine;
  const other = otherOf(head)?.values[name]?.[0] ?? null;
  if (state.shown === "other") return other;
  return mine === null || other === null ? null : mine - other;
}

/** The interval of a value, which a change has not. @param {Head} head @param {string} name @returns {[number, number] | null} */
function intervalOf(head, name) {
  if (state.shown === "change") return null;
  const [, low, high] = (state.shown === "this" ? head : otherOf(head))?.values[name] ?? [0, null, null];
  return low === null || high === null ? null : [low, high];
}

/** The role of a head that is shown: of a change, this atlas's role. @param {Head} head */
function roleOf(head) {
  return state.shown === "other" ? (otherOf(head)?.role ?? null) : head.role;
}

/** The pattern of a head that is shown. @param {Head} head */
function patternOf(head) {
  return state.shown === "other" ? (otherOf(head)?.pattern ?? null) : head.pattern;
}

/** How many digits after the point tell a measure's values apart. @type {Map<string, number>} */
const digitsByName = new Map();

/** @param {string} name */
function digitsOf(name) {
  const found = digitsByName.get(name);
  if (found !== undefined) return found;
  const size = Math.max(...[...headsByKey.values(), ...othersByKey.values()].map((head) => Math.abs(head.values[name]?.[0] ?? 0)));
  const digits = size > 0 ? Math.min(6, Math.max(0, 2 - Math.ceil(Math.log10(size)))) : 2;
  digitsByName.set(name, digits);
  return digits;
}

/**
 * A value of a measure as text, with so many digits more than tell its values apart; "–": it has none.
 * @param {string} name
 * @param {number | null} value
 * @param {number} more
 */
function written(name, value, more = 0) {
  if (value === null) return "–";
  const text = value.toFixed(digitsOf(name) + more).replace("-", "−");
  return state.shown === "change" && value > 0 ? `+${text}` : text;
}
