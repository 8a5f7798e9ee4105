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
 *   layer: number, head: number, role: string | null, pattern: string | null, off: string | null,
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
 *   name: string, section: string, title: string, meaning: string, unit: string, command: string, n: number, diverging: boolean,
 * }} Measure
 */
/** @typedef {{ name: string, short: string, meaning: string }} Role */
/** @typedef {{ name: string, sources: string[], sample: boolean, texts: number, tokens: number }} Section */
/** @typedef {{ name: string, source: string | null, type: string, layers: number[], heads: number[] }} Model */
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

// Wherever a finding is shown, its numbers stay in a line with their units.
for (const { findings } of [...atlas.heads, ...(atlas.against?.heads ?? [])]) {
  for (const finding of findings) finding.text = finding.text.replace(/(?<=\d) (?=%)|(?<=\bn) (?=\d)/g, "\u00a0");
}

/** @param {{ layer: number, head: number }} at */
const keyOf = ({ layer, head }) => `${layer}.${head}`;
const headsByKey = new Map(atlas.heads.map((head) => [keyOf(head), head]));
const othersByKey = new Map((atlas.against?.heads ?? []).map((head) => [keyOf(head), head]));
const measuresByName = new Map(atlas.measures.map((measure) => [measure.name, measure]));
/** @typedef {"role" | "pattern"} Kind */
/** In place of the role of a head that is switched off, whatever its weights do. @type {Role} */
const OFF = { name: "off", short: "off", meaning: "switched off: its weights are computed, and go nowhere" };
/** All roles and patterns that a head can have. @type {Record<Kind, Role[]>} */
const vocabulary = { role: [...atlas.roles, OFF], pattern: JSON.parse(find("patterns", HTMLElement).textContent ?? "") };

/** @param {number} layer @param {number} head */
function headAt(layer, head) {
  return headsByKey.get(keyOf({ layer, head })) ?? null;
}

/** The same head of the other atlas. @param {Known} head */
function otherOf(head) {
  return othersByKey.get(keyOf(head)) ?? null;
}

/** @param {string} name */
function measureNamed(name) {
  return measuresByName.get(name) ?? null;
}

/** @param {{ layer: number, head: number }} at */
function headName({ layer, head }) {
  return `layer ${layer}, head ${head}`;
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

/** What is said of a head: of the other atlas where that is shown, else of this one. @param {Head} head */
function shownOf(head) {
  return state.shown === "other" ? otherOf(head) : head;
}

/** @param {Kind} kind @param {string | null} name */
function kindNamed(kind, name) {
  return vocabulary[kind].find((one) => one.name === name) ?? null;
}

/** The role or pattern of a head in one atlas. @param {Known | null} known @param {Kind} kind */
function kindIn(known, kind) {
  return kind === "role" && known?.off ? OFF.name : (known?.[kind] ?? null);
}

/** The role or pattern of a head that is shown. @param {Head} head @param {Kind} kind */
function kindOf(head, kind) {
  return kindIn(shownOf(head), kind);
}

/** The same in words. @param {Head} head @param {Kind} kind */
function kindInWords(head, kind) {
  return kindOf(head, kind) ?? `no ${kind}`;
}

/** Whether a head is switched off. @param {Head} head */
const isOff = (head) => Boolean(shownOf(head)?.off);

/** The role of a head that is shown: of a change, this atlas's role. @param {Head} head */
function roleOf(head) {
  return kindOf(head, "role");
}

/** Whether a role or pattern differs from the other atlas, where changes are shown. @param {Head} head @param {Kind} kind */
function isChanged(head, kind) {
  return state.shown !== "change" || kindIn(head, kind) !== kindIn(otherOf(head), kind);
}

/** The strongest finding that is shown of a head, in words; empty if there is none. @param {Head} head */
function sentenceOf(head) {
  return shownOf(head)?.findings[0]?.text ?? "";
}

/**
 * Items by what they have in common, in the order in which it first comes.
 * @template Item
 * @param {Item[]} items
 * @param {(item: Item) => string} common
 */
function grouped(items, common) {
  /** @type {Map<string, Item[]>} */
  const groups = new Map();
  for (const item of items) groups.set(common(item), [...(groups.get(common(item)) ?? []), item]);
  return groups;
}

/** How often each name comes. @param {string[]} names */
function countsOf(names) {
  return new Map([...grouped(names, (name) => name)].map(([name, all]) => [name, all.length]));
}

/** What groups of measures are called, by the first part of their names. @type {Record<string, string>} */
const GROUPS = {
  statistics: "Statistics of weights",
  patterns: "Shares that the rules read",
  norms: "Contributions, by norm",
  similarity: "Likeness of heads",
  importance: "Importance",
  relations: "Relations of the treebank",
  trees: "Trees of the treebank",
  coreference: "Coreference of the documents",
};

/** What an atlas was read from, by section. @param {Atlas | Against} of */
function sourcesOf({ sections }) {
  return sections.map(({ name, sources, texts }) => `${name}: ${sources.join(", ")} (${texts.toLocaleString("en")})`);
}

/** @param {string} name of a measure */
const groupOf = (name) => name.split(".")[0];

const groupsOfMeasures = [...new Set(atlas.measures.map(({ name }) => groupOf(name)))];

/** @param {string} group */
const groupTitle = (group) => GROUPS[group] ?? group;

/** What a measure is called under the title of its group, which says what all of the group have in common. @param {Measure} measure */
const titleInGroup = ({ title }) => title.replace(/ of contributions$/, "");

/** The unit of a measure; empty where a number from 0 to 1 speaks for itself. @param {string} name of a measure */
function unitOf(name) {
  const unit = measureNamed(name)?.unit ?? "";
  return ["share", "0 … 1"].includes(unit) ? "" : unit;
}
