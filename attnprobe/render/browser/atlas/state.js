// What the page shows now, and the same as text. Everything is drawn from `state`, and only `change` writes there.

const SHOWN = /** @type {const} */ (["this", "other", "change"]);
const NO_ROLE = "none"; // in the filters and in the address
const KINDS = /** @type {const} */ (["role", "pattern", "cluster"]); // what colours can stand for besides a measure

/**
 * `colour` is a kind or a measure's name; `roles` are those shown, none: all of them; `group` is that of the
 * measures in the table; `sort.by` is one of these, a kind, "layer" or "finding"; `theme` is empty where the system chooses.
 * @typedef {{
 *   colour: string, shown: typeof SHOWN[number], head: Head | null, roles: Set<string>,
 *   group: string, sort: { by: string, down: boolean }, theme: string,
 * }} State
 */

/** The colours that the atlas has something for. */
const colourings = [
  ...KINDS.filter((kind) => atlas.heads.some((head) => head[kind] !== null)),
  ...atlas.measures.map(({ name }) => name),
];

/** The state that the page opens with: the most telling head is chosen. @returns {State} */
function openingState() {
  const [first] = atlas.telling;
  return {
    colour: colourings[0] ?? "role",
    shown: "this",
    head: first ? headAt(first.layer, first.head) : null,
    roles: new Set(),
    group: groupsOfMeasures[0] ?? "",
    sort: { by: "layer", down: false },
    theme: "",
  };
}

const state = openingState();

/** Draw what depends on the fields of the state that changed. @type {((changed: Set<string>) => void)[]} */
const listeners = [];

/** @param {Partial<State>} news */
function change(news) {
  const changed = Object.entries(news).filter(([name, value]) => state[/** @type {keyof State} */ (name)] !== value);
  Object.assign(state, news);
  redraw(changed.map(([name]) => name));
}

/** Draws what depends on fields of the state. @param {string[]} fields */
function redraw(fields) {
  for (const listener of listeners) listener(new Set(fields));
}

/** Whether one of some fields changed. @param {Set<string>} changed @param {string[]} fields */
function hasAny(changed, ...fields) {
  return fields.some((name) => changed.has(name));
}

/** Whether the head's role is among those shown. @param {Head} head */
function isKept(head) {
  return !state.roles.size || state.roles.has(roleOf(head) ?? NO_ROLE);
}
