// An example of a head: queries left, keys right, a line for each weight.

const MIXED = "mixed"; // the role of a head of none, whose examples show no share
const LEAST = 0.02; // weights from which lines are drawn
const ROW = 22; // the height of a row in pixels

/** The example that is shown: `at` is its number among those of the head. */
const scene = {
  /** @type {Head | null} */ head: null,
  at: 0,
  /** @type {Place | null} */ pointed: null,
};

const exampleChoice = make("div", { class: "options" });
const exampleWhy = make("p", { id: "example-why" });
const exampleSaid = make("p", { id: "example-said" });
const exampleTable = make("div", { class: "wide" });
const exampleText = make("details", {}, make("summary", {}, "As text"), exampleTable);
/** @type {Lists} */
const lists = {
  query: make("ol", { id: "queries", "aria-label": "queries: tokens that look" }),
  key: make("ol", { id: "keys", "aria-label": "keys: tokens that are looked at" }),
};
const canvas = draw("svg", { id: "lines", preserveAspectRatio: "none", "aria-hidden": "true" });
const tokenLists = make("div", { id: "tokens" }, lists.query, canvas, lists.key);
const exampleView = make("div", { id: "example", role: "group", "aria-label": "Examples" });

function buildExample() {
  const samples = make("span", { class: "samples" }, ...lineSamples(Math.sqrt));
  const sides = make("div", { class: "sides", "aria-hidden": true }, make("span", {}, "queries"), samples, make("span", {}, "keys"));
  const choice = make("fieldset", {}, make("legend", {}, "Example"), exampleChoice);
  exampleView.append(choice, exampleWhy, exampleSaid, sides, tokenLists, exampleText);
  tokenLists.style.setProperty("--row", `${ROW}px`);
  watchLists(tokenLists, lists, pointToken);
  exampleText.addEventListener("toggle", writeExample);
}

/** @param {Place | null} place */
function pointToken(place) {
  if (same(place, scene.pointed)) return;
  scene.pointed = place;
  drawExample();
}

/** Shows the examples of a head, its first one at first. @param {Head} head */
function showExamples(head) {
  exampleView.hidden = head.examples.length === 0;
  if (head === scene.head) return;
  scene.head = head;
  exampleChoice.replaceChildren(...head.examples.map(exampleRadio));
  showExample(0);
}

/** @param {Example} example @param {number} at */
function exampleRadio(example, at) {
  const input = make("input", { type: "radio", name: "example", value: at, checked: at === 0 });
  input.addEventListener("change", () => showExample(at));
  const share = shareOf(example);
  return make("label", { title: reasonOf(example) }, input, make("span", {}, example.why, share === null ? "" : ` ${number(share)}`));
}

/** @param {number} at */
function showExample(at) {
  Object.assign(scene, { at, pointed: null });
  const example = scene.head?.examples[at];
  if (!example) return;
  const text = atlas.texts[example.text];
  for (const side of SIDES) lists[side].replaceChildren(...text.tokens.map((token, row) => tokenOf(text, token, row)));
  exampleWhy.textContent = `${reasonOf(example)}: the text with the id ${text.id}.${measuredIn(example)}${stretchOf(text)}`;
  drawExample();
  writeExample();
}

/** @param {ShownText} text @param {string} token @param {number} row */
function tokenOf(text, token, row) {
  const item = tokenRow(token, row, text.special[row]);
  item.firstElementChild?.setAttribute("title", text.special[row] ? `${token} (added by the tokenizer)` : token);
  return item;
}

/** Why an example was chosen. @param {Example} example */
function reasonOf({ why, role }) {
  if (why === "random") return "Drawn at random";
  return role === MIXED ? "Where the head is most focused" : "Where the role shows most clearly";
}

/** The share by which a head has its role; null: a mixed head has none. @param {Example} example */
const shareOf = ({ role, share }) => (role === MIXED ? null : share);

/** @param {Example} example */
function measuredIn(example) {
  const share = shareOf(example);
  return share === null ? "" : ` The share that makes the head “${example.role}” is ${number(share)} here.`;
}

/** @param {ShownText} text */
function stretchOf({ tokens, n_tokens }) {
  const shown = ` Of its ${n_tokens} tokens, the ${tokens.length} in a row that hide least weight are shown: weights may sum to less than 1.`;
  return tokens.length < n_tokens ? shown : "";
}

/** @typedef {{ query: number, key: number, weight: number }} Line rows of the two lists */

/** The lines of the token that is pointed at, or of all; strong ones last, so that they lie on top. @returns {Line[]} */
function linesToDraw() {
  const weights = scene.head?.examples[scene.at]?.weights ?? [];
  const lines = weights.flatMap((row, query) => row.map((weight, key) => ({ query, key, weight })));
  const shown = lines.filter((line) => line.weight >= LEAST && (!scene.pointed || line[scene.pointed.side] === scene.pointed.at));
  return shown.sort((one, other) => one.weight - other.weight);
}

function drawExample() {
  const height = ROW * lists.query.children.length;
  const paths = linesToDraw().map(({ query, key, weight }) => {
    const d = curve((query + 0.5) * ROW, (key + 0.5) * ROW, 100);
    return draw("path", { d, ...strokeOf(weight, Math.sqrt(weight)) });
  });
  canvas.setAttribute("viewBox", `0 0 100 ${height}`);
  canvas.style.height = `${height}px`;
  canvas.replaceChildren(...paths);
  markExample();
  exampleSaid.ariaLive = scene.pointed ? "polite" : "off"; // a chosen head is said, what its example shows only when asked for
  exampleSaid.replaceChildren(...saidOf(scene.pointed, paths.length));
}

/** Writes the weights of the token that is pointed at beside the tokens of the other list. */
function markExample() {
  for (const side of SIDES) {
    [...lists[side].children].forEach((item, at) => {
      const button = /** @type {HTMLElement} */ (item.firstElementChild);
      const weight = scene.pointed && scene.pointed.side !== side ? weightWith(scene.pointed, at) : 0;
      button.style.setProperty("--amount", `${Math.round(50 * Math.sqrt(weight))}%`);
      button.classList.toggle("focused", scene.pointed?.side === side && scene.pointed.at === at);
      const value = weight >= 0.005 ? [make("span", { class: "value" }, number(weight))] : [];
      button.lastElementChild?.replaceChildren(...value);
    });
  }
}

/** The weight between a token and one of the other list. @param {Place} place @param {number} other */
function weightWith({ side, at }, other) {
  const weights = scene.head?.examples[scene.at]?.weights ?? [];
  return side === "query" ? weights[at][other] : weights[other][at];
}

/** The strongest weights of a token, strongest first. @param {Place} place @param {number} count */
function strongestOf(place, count) {
  const { tokens } = exampleTokens();
  const all = tokens.map((token, at) => ({ token, weight: weightWith(place, at) }));
  const most = all.sort((one, other) => other.weight - one.weight).slice(0, count);
  return most.flatMap(({ token, weight }, at) => [at ? " · " : "", ...quote(token), ` ${number(weight)}`]);
}

/** A token of any direction in quotes. @param {string} token */
function quote(token) {
  return ["“", make("bdi", {}, token), "”"];
}

function exampleTokens() {
  return atlas.texts[scene.head?.examples[scene.at]?.text ?? 0];
}

/** @param {Place | null} pointed @param {number} count */
function saidOf(pointed, count) {
  if (!pointed) return [`${count} weights of ${LEAST} or more. Point at a token to see its own.`];
  const verb = pointed.side === "query" ? "looks at" : "is looked at by";
  return [...quote(exampleTokens().tokens[pointed.at]), ` ${verb} `, ...strongestOf(pointed, 5)];
}

/** The same as text: for each query the strongest keys. */
function writeExample() {
  if (!exampleText.open) return;
  const rows = exampleTokens().tokens.map((token, at) => {
    const keys = make("td", {}, ...strongestOf({ side: "query", at }, 3));
    return make("tr", {}, make("th", { scope: "row" }, token), keys);
  });
  const names = ["query", "the three keys it looks at most"].map((name) => make("th", { scope: "col" }, name));
  exampleTable.replaceChildren(make("table", { class: "words" }, make("thead", {}, make("tr", {}, ...names)), make("tbody", {}, ...rows)));
}

buildExample();
