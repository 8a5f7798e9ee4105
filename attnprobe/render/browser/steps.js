// The pane that walks through the computation of one weight, step by step.

const FEW_KEYS = 8;

const pane = find("steps", HTMLElement);

/** What the pane shows: a query and a key by piece, a head by its place. `key` null: the one with the largest weight. */
const walked = {
  language: page.lang,
  query: Math.max(page.pieces.special.indexOf(false), 0),
  /** @type {number | null} */ key: null,
  head: 0,
  all: false, // whether all keys are in the table
  kept: "", // the tokens that clicks chose, when the pane was drawn
  drawn: "",
  latest: 0,
};

/** @typedef {{ walk: Walk, key: number, facts: Facts, of: HeadSteps, words: Words }} Scene what a step is drawn from */

function buildSteps() {
  const to = find("to-steps", HTMLElement);
  pane.hidden = to.hidden = page.steps === null;
  if (!page.steps) return;
  for (const language of /** @type {Language[]} */ (["en", "zh"])) {
    const { tag } = WORDING[language];
    const button = make("button", { type: "button", value: language, lang: tag }, WORDING[language].language);
    button.addEventListener("click", () => changeSteps({ language }));
    find("languages", HTMLElement).append(button);
  }
  const options = () => page.pieces.labels.map((label, at) => make("option", { value: at }, `${at} ${label}`));
  for (const name of ["query", "key"]) find(`steps-${name}`, HTMLSelectElement).append(...options());
  find("steps-head", HTMLSelectElement).append(...page.heads.map((head, at) => make("option", { value: at }, String(head))));
  find("steps-choice", HTMLElement).hidden = page.steps.missing !== "";
  find("steps-choice", HTMLElement).addEventListener("change", (event) => chooseSteps(/** @type {HTMLSelectElement} */ (event.target)));
  to.addEventListener("click", () => {
    pane.scrollIntoView();
    find("steps-query", HTMLElement).focus({ preventScroll: true });
  });
  listeners.push(showSteps);
}

/** @param {HTMLSelectElement} select */
function chooseSteps(select) {
  const at = Number(select.value);
  if (select.id === "steps-head") changeSteps({ head: at });
  else if (select.id === "steps-key") changeSteps({ key: at });
  else change({ kept: { ...state.kept, query: [at] } }, "kept");
}

/** @param {Partial<typeof walked>} news */
function changeSteps(news) {
  Object.assign(walked, news);
  showSteps();
}

/** Takes over the tokens that clicks chose, of several the first. */
function followKept() {
  const kept = JSON.stringify(state.kept);
  if (kept === walked.kept) return;
  const { query, key } = state.kept;
  Object.assign(walked, { kept, query: query[0] ?? walked.query, key: key[0] ?? null });
}

async function showSteps() {
  followKept();
  if (!state.heads.has(walked.head) && state.heads.size) walked.head = Math.min(...state.heads);
  const { language, query, key, head, all } = walked;
  const { words, special } = state.choice;
  const wanted = [state.layer, head, query, key, language, all, words, special, walked.kept, [...state.heads]].join();
  if (wanted === walked.drawn) return;
  walked.drawn = wanted;
  const mine = ++walked.latest;
  const [walk, weights] = await Promise.all([walkOf(state.layer, head, query), pieceWeights(state.layer, head)]);
  if (mine === walked.latest) drawSteps(walk, weights.subarray(query * page.pieces.labels.length, (query + 1) * page.pieces.labels.length));
}

/**
 * @param {Walk | null} walk
 * @param {Float32Array} weights the model's own of this row
 */
function drawSteps(walk, weights) {
  const words = WORDING[walked.language];
  pane.lang = words.tag;
  find("steps-title", HTMLElement).textContent = words.title;
  find("to-steps", HTMLElement).textContent = words.open;
  for (const button of find("languages", HTMLElement).children) {
    button.setAttribute("aria-pressed", String(button.getAttribute("value") === walked.language));
  }
  if (!walk) {
    find("steps-summary", HTMLElement).textContent = words.missing(page.steps?.missing ?? "");
    return;
  }
  const scene = sceneOf(walk, words);
  nameChoices(scene);
  find("steps-summary", HTMLElement).textContent = words.summary(scene.facts, decimal(walk.weight[scene.key]));
  find("steps-differences", HTMLElement).textContent = differencesOf(scene);
  const focusedKey = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
  find("walk", HTMLElement).replaceChildren(...stepsOf(scene));
  find("steps-note", HTMLElement).textContent = noteOf(scene, weights);
  if (focusedKey) /** @type {HTMLElement | null} */ (pane.querySelector(`[data-key="${focusedKey}"]`))?.focus();
}

/** @param {Walk} walk @param {Words} words @returns {Scene} */
function sceneOf(walk, words) {
  const of = /** @type {Steps} */ (page.steps).layers[state.layer].heads[walked.head];
  const key = walked.key ?? walk.weight.indexOf(Math.max(...walk.weight));
  const name = (/** @type {number} */ piece) => words.quoted(page.pieces.labels[piece]);
  const [size, width] = [walk.q.length, walk.output.length];
  const from = Number(page.heads[walked.head]) * width;
  const isRoot = Math.abs(of.scale * Math.sqrt(size) - 1) < 1e-6;
  /** @type {Facts} */
  const facts = {
    query: name(walked.query),
    key: name(key),
    layer: /** @type {number} */ (page.layers[state.layer]),
    head: /** @type {number} */ (page.heads[walked.head]),
    heads: page.steps?.heads ?? 0,
    keyDimensions: size,
    dimensions: width,
    from,
    to: from + width - 1,
    scale: isRoot ? "root" : of.scale === 1 ? "one" : "own",
    isRotated: of.made_by.q.includes("rotated by its position"),
    hasInput: walk.x !== null,
    hasOutput: walk.projected !== null,
    terms: Object.keys(walk.terms),
    cap: of.softcap,
    hidden: walk.score.filter((score) => score === -Infinity).length,
    sink: of.sink !== null,
  };
  return { walk, key, facts, of, words };
}

/** @param {Scene} scene */
function nameChoices({ words, key }) {
  const values = { head: walked.head, query: walked.query, key };
  for (const name of /** @type {const} */ (["head", "query", "key"])) {
    const select = find(`steps-${name}`, HTMLSelectElement);
    select.value = String(values[name]);
    if (select.previousSibling) select.previousSibling.textContent = `${words.choose[name]} `;
  }
  for (const [at, option] of [...find("steps-head", HTMLSelectElement).options].entries()) option.hidden = !state.heads.has(at);
  const label = find("steps-head", HTMLSelectElement).parentElement;
  if (label) label.hidden = state.heads.size < 2;
}

/** How the steps differ from the head view, in sentences. @param {Scene} scene */
function differencesOf({ words, facts, key }) {
  const { choice, kept } = state;
  const isOfSeveral = severalPieces(kept.query, walked.query) || severalPieces(kept.key, key);
  return [
    choice.special === "show" ? "" : words.before(choice.special === "renormalise"),
    isOfSeveral ? words.oneOfSeveral(facts) : "",
  ].filter(Boolean).join(words.space);
}

/** Whether the head view takes several pieces for these, or for the one shown here. @param {number[]} kept @param {number} shown */
function severalPieces(kept, shown) {
  const units = unitsOf(state.choice);
  const rows = rowsWith([...units.labels.keys()], kept.length ? kept : [shown], state.choice);
  return rows.flatMap((unit) => piecesOf(unit, state.choice)).length > 1;
}

/** @param {Scene} scene */
function stepsOf(scene) {
  const { words, facts } = scene;
  const names = /** @type {StepName[]} */ (Object.keys(PICTURES));
  return names.map((name) => {
    const { formula, pictures } = PICTURES[name](scene);
    const said = make("p", { class: "said" }, words.sentences[name](facts));
    const text = make("div", {}, make("h3", {}, words.names[name]), said, make("p", { class: "formula" }, formula));
    return make("li", { "data-step": name }, text, make("div", { class: "pictures" }, ...pictures));
  });
}

/** @param {Scene} scene @param {Float32Array} weights */
function noteOf({ walk, words }, weights) {
  const difference = Math.max(...walk.weight.map((weight, key) => Math.abs(weight - weights[key])));
  const megabytes = Number(((page.steps?.bytes ?? 0) / 1e6).toPrecision(2));
  return words.note(difference < 1e-5 ? words.below : difference.toPrecision(1), String(megabytes));
}
