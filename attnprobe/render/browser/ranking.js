// Which head does it? The heads, ranked by the weight that the kept queries give to the kept keys.

/** @typedef {{ rows: number[], columns: number[], width: number, names: string }} Chosen of a matrix so wide */
/** @typedef {{ layer: number, head: number, weight: number }} Ranked */

let rankedFor = "null"; // what was chosen when the model view was last drawn

/** The kept queries and keys, if some of both are shown. @returns {Chosen | null} */
function chosen() {
  const { choice, kept } = state;
  const { queries, keys } = shownUnits(choice);
  const [rows, columns] = [rowsWith(queries, kept.query, choice), rowsWith(keys, kept.key, choice)];
  const names = (/** @type {number[]} */ units, /** @type {number[]} */ at) =>
    quoted(at.map((row) => unitsOf(choice).labels[units[row]]));
  if (!rows.length || !columns.length) return null;
  return { rows, columns, width: keys.length, names: `${names(queries, rows)} → ${names(keys, columns)}` };
}

/** Tells whether other tokens are chosen than those of the model view. */
function isChoiceNew() {
  return JSON.stringify(chosen()) !== rankedFor;
}

/** @param {string[]} labels */
function quoted(labels) {
  return labels.map((label) => `“${label}”`).join(" + ");
}

const RANKING_HINT = `Click a query and a key to rank the heads by the ${page.noun} between them.`;

/**
 * @param {Chosen | null} chosen
 * @param {Ranked[]} heads
 */
function showRanking(chosen, heads) {
  find("ranked", HTMLElement).textContent = chosen ? `${chosen.names}, strongest head first:` : RANKING_HINT;
  heads.sort((one, other) => other.weight - one.weight || one.layer - other.layer || one.head - other.head);
  find("ranking", HTMLElement).replaceChildren(...(chosen ? heads.map(rankOfHead) : []));
  markRanking();
}

/** @param {Ranked} ranked @param {number} at */
function rankOfHead({ layer, head, weight }, at) {
  const name = `${page.layers[layer]}.${page.heads[head]}`;
  const label = `${layerName(layer)}, ${headName(head)}: ${number(weight)}`;
  const attributes = { type: "button", "aria-label": label, "data-layer": layer, "data-head": head, tabindex: at ? -1 : 0 };
  const button = make("button", attributes, make("span", { class: "name" }, name), ` ${number(weight)}`);
  button.style.setProperty("--amount", `${Math.round(60 * strength(weight))}%`);
  button.style.setProperty("--head", colourName(head));
  button.addEventListener("click", () => select(layer, head));
  return make("li", {}, button);
}

function markRanking() {
  for (const button of find("ranking", HTMLElement).querySelectorAll("button")) {
    const on = Number(button.dataset.layer) === state.layer && state.heads.has(Number(button.dataset.head));
    button.setAttribute("aria-pressed", String(on));
  }
}
