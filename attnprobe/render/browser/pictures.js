// What each step shows: its formula in numbers, and bars, boxes or the table of keys.

const FEW_BARS = 16; // whose keys' names fit below them

/** @typedef {{ formula: string, pictures: Node[] }} Picture */

/** @type {Record<StepName, (scene: Scene) => Picture>} */
const PICTURES = {
  input: ({ walk: { x }, words }) =>
    x ? { formula: `x${words.colon}${sizeOf(x, words)}`, pictures: [barsOf("x", "", x, highest(x), dimensionOf(x, words))] } : { formula: "", pictures: [] },

  maps: ({ walk, key, of, words }) => {
    const made = (/** @type {"q" | "k"} */ name) => `${name} = ${madeBy(of.made_by[name], words) || words.given}`;
    const [q, k] = [walk.q, walk.k[key]];
    const most = Math.max(highest(q), highest(k));
    const length = (/** @type {Float64Array} */ vector) => `${words.length} ${decimal(lengthOf(vector))}`;
    const pictures = [barsOf("q", length(q), q, most, dimensionOf(q, words)), barsOf("k", length(k), k, most, dimensionOf(k, words))];
    return { formula: `${made("q")}\n${made("k")}`, pictures };
  },

  dot: ({ walk, key, words }) => {
    const [q, k] = [walk.q, walk.k[key]];
    const products = q.map((value, at) => value * k[at]);
    const written = (/** @type {number} */ at) => `${decimal(q[at])} × ${decimal(k[at])} = ${decimal(products[at])}`;
    const most = products.indexOf(Math.max(...products));
    const title = (/** @type {number} */ at) => `${words.dimension(at)}${words.colon}${written(at)}`;
    const bars = barsOf("q × k", `${words.sum} ${decimal(walk.dot[key])}`, products, highest(products), title);
    return { formula: `q·k = ${decimal(walk.dot[key])}\n${words.largest(most, written(most))}`, pictures: [bars, dimensionsTable(q, k, products, words)] };
  },

  scaled: ({ walk, key, of, facts, words }) => {
    const by = facts.scale === "root" ? ` / √${facts.keyDimensions}` : ` · ${Number(of.scale.toPrecision(4))}`;
    const formula = `${decimal(walk.dot[key])}${by} = ${decimal(walk.scaled[key])}`;
    return { formula, pictures: [barsByKey("scaled", walk.scaled, key, words)] };
  },

  terms: ({ walk, key, words }) => {
    const terms = Object.entries(walk.terms);
    const added = terms.map(([name, term]) => ` + ${bracketed(term[key])} [${columnName(name, words)}]`);
    const formula = `${decimal(walk.scaled[key])}${added.join("")} → ${words.columns.score} ${decimal(walk.score[key])}`;
    return { formula, pictures: terms.map(([name, term]) => barsByKey(name, term, key, words)) };
  },

  softmax: (scene) => {
    const { walk, key, of, words } = scene;
    const powers = [...walk.score, ...(of.sink === null ? [] : [of.sink])].map(Math.exp);
    const total = powers.reduce((sum, power) => sum + power);
    const formula = `exp(${decimal(walk.score[key])}) / Σ exp = ${short4(powers[key])} / ${short4(total)} = ${decimal(walk.weight[key])}`;
    return { formula: Number.isFinite(total) ? formula : decimal(walk.weight[key]), pictures: keysTable(scene) };
  },

  values: ({ walk, key, of, facts, words }) => {
    const [v, weight, z] = [walk.v[key], walk.weight[key], walk.output];
    const part = v.map((value) => weight * value);
    const most = Math.max(highest(v), highest(z));
    const row = (/** @type {string} */ name, /** @type {Float64Array} */ vector) =>
      barsOf(name, `${words.length} ${decimal(lengthOf(vector))}`, vector, most, dimensionOf(vector, words));
    const made = `v = ${madeBy(of.made_by.v, words) || words.given}`;
    const formula = `${made}\nz = Σ ${words.weighted}${words.colon}${sizeOf(z, words)}\n${facts.key}${words.colon}‖${decimal(weight)} · v‖ = ${decimal(walk.value_norm[key])}`;
    return { formula, pictures: [row("v", v), row(words.weighted, part), row("z", z)] };
  },

  place: ({ facts, words }) => {
    const boxes = [...Array(facts.heads).keys()].map((head) => make("span", { class: head === facts.head ? "mine" : "" }, String(head)));
    const strip = make("div", { class: "boxes", role: "img", "aria-label": words.columnsOf(facts) }, ...boxes);
    return { formula: words.columnsOf(facts), pictures: [labelled(words.heads, "", strip)] };
  },

  output: ({ walk, key, facts, words }) => {
    if (!walk.projected || !walk.output_norm) return { formula: "", pictures: [] };
    const lengths = walk.projected;
    const title = (/** @type {number} */ head) => `${words.headNumber(head)}${words.colon}${decimal(lengths[head])}`;
    const bars = barsOf("‖z·W_O‖", words.byHead, lengths, highest(lengths), title, facts.head);
    const formula = `‖z·W_O‖ = ${decimal(lengths[facts.head])}\n${facts.key}${words.colon}${columnName("output_norm", words)} = ${decimal(walk.output_norm[key])}`;
    return { formula, pictures: [bars] };
  },
};

/** @param {ArrayLike<number>} numbers */
function highest(numbers) {
  return Math.max(...Array.from(numbers, Math.abs));
}

/** @param {Float64Array} vector @param {Words} words */
function sizeOf(vector, words) {
  return words.size(vector.length, decimal(lengthOf(vector)));
}

/** @param {Float64Array} vector @param {Words} words */
function dimensionOf(vector, words) {
  return (/** @type {number} */ at) => `${words.dimension(at)}${words.colon}${decimal(vector[at])}`;
}

/** Three decimals, one of large numbers. @param {number} value */
function decimal(value) {
  if (value === -Infinity) return "−∞";
  return value.toFixed(Math.abs(value) < 1000 ? 3 : 1).replace("-", "−");
}

/** @param {number} value */
function bracketed(value) {
  return value < 0 ? `(${decimal(value)})` : decimal(value);
}

/** @param {number} value */
function short4(value) {
  return value.toPrecision(4).replace("-", "−");
}

/** The name of a column of numbers; a term keeps the model's name. @param {string} name @param {Words} words */
function columnName(name, words) {
  return /** @type {Record<string, string>} */ (words.columns)[name] ?? name.replaceAll("_", " ");
}

/**
 * Numbers as bars from a middle line, up if positive.
 * @param {string} name
 * @param {string} note
 * @param {ArrayLike<number>} numbers
 * @param {number} most the number whose bar is highest
 * @param {(at: number) => string} title
 * @param {number} mark the bar that stands out; -1: none
 */
function barsOf(name, note, numbers, most, title, mark = -1) {
  const isSigned = Array.from(numbers).some((value) => value < 0);
  const bars = Array.from(numbers, (value, at) => {
    const height = most ? Math.abs(value) / most : 0;
    const kind = mark < 0 ? (value < 0 ? "minus" : "plus") : at === mark ? "plus" : "other";
    const bar = { x: at + 0.08, width: 0.84, y: value < 0 ? 1 : 1 - height, height, class: kind };
    return draw("rect", bar, draw("title", {}, title(at)));
  });
  const size = { viewBox: `0 0 ${numbers.length} ${isSigned ? 2 : 1}`, preserveAspectRatio: "none" };
  const line = draw("line", { x1: 0, x2: numbers.length, y1: 1, y2: 1 });
  return labelled(name, note, draw("svg", { ...size, role: "img", "aria-label": `${name}, ${note}` }, line, ...bars));
}

/**
 * A column of the table as bars, the chosen key's in colour, and the names of a few keys below.
 * @param {string} column
 * @param {number[]} numbers
 * @param {number} key
 * @param {Words} words
 */
function barsByKey(column, numbers, key, words) {
  const title = (/** @type {number} */ at) => `${at} ${page.pieces.labels[at]}${words.colon}${decimal(numbers[at])}`;
  const bars = barsOf(columnName(column, words), words.byKey, numbers, highest(numbers), title, key);
  const names = page.pieces.labels.map((label) => make("span", {}, label));
  if (numbers.length <= FEW_BARS) bars.append(make("div", { class: "under", "aria-hidden": true }, ...names));
  return bars;
}

/** @param {string} name @param {string} note @param {Element} picture */
function labelled(name, note, picture) {
  const label = make("div", { class: "name" }, make("b", {}, name), ...(note ? [make("span", {}, note)] : []));
  return make("div", { class: "bars" }, label, picture);
}

/**
 * q, k and their product by dimension, as text.
 * @param {Float64Array} q
 * @param {Float64Array} k
 * @param {Float64Array} products
 * @param {Words} words
 */
function dimensionsTable(q, k, products, words) {
  const names = ["", "q", "k", "q × k"].map((name) => make("th", { scope: "col" }, name));
  const rows = [...q.keys()].map((at) => {
    const cells = [q, k, products].map((vector) => make("td", {}, decimal(vector[at])));
    return make("tr", {}, make("th", { scope: "row" }, String(at)), ...cells);
  });
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...names)), make("tbody", {}, ...rows));
  const details = make("details", {}, make("summary", {}, words.table), make("div", { class: "wide" }, table));
  details.open = find("walk", HTMLElement).querySelector("details")?.open ?? false; // as in the pane that this is drawn over
  return details;
}

/** The keys by weight, each a button that chooses it. @param {Scene} scene @returns {Node[]} */
function keysTable({ walk, key, words }) {
  const order = [...walk.weight.keys()].sort((one, other) => walk.weight[other] - walk.weight[one] || one - other);
  const listed = walked.all ? order : order.filter((at, rank) => rank < FEW_KEYS || at === key);
  const columns = columnsOf(walk);
  const names = [words.columns.token, ...Object.keys(columns).map((name) => columnName(name, words))];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const rows = listed.map((at) => keyRow(at, key, columns, walk));
  const table = make("table", { class: "keys" }, make("thead", {}, head), make("tbody", {}, ...rows));
  rove(table, "button", (pressed, at, count) => gridStep(pressed, at, count, 1));
  const wide = make("div", { class: "wide" }, table);
  if (order.length <= FEW_KEYS) return [wide];
  const rest = order.filter((at) => !listed.includes(at));
  const left = rest.reduce((sum, at) => sum + walk.weight[at], 0);
  const more = make("button", { type: "button", "data-key": "more" }, rest.length ? words.more(rest.length, decimal(left)) : words.less);
  more.addEventListener("click", () => changeSteps({ all: !walked.all }));
  return [wide, more];
}

/** The columns of numbers by key; a score that is the scaled product is left out. @param {Walk} walk */
function columnsOf(walk) {
  const isNew = Object.keys(walk.terms).length > 0 || walk.score.includes(-Infinity);
  return {
    dot: walk.dot,
    scaled: walk.scaled,
    ...walk.terms,
    ...(isNew ? { score: walk.score } : {}),
    weight: walk.weight,
    value_norm: walk.value_norm,
    ...(walk.output_norm ? { output_norm: walk.output_norm } : {}),
  };
}

/**
 * @param {number} at
 * @param {number} chosen
 * @param {Record<string, number[]>} columns
 * @param {Walk} walk
 */
function keyRow(at, chosen, columns, walk) {
  const pressed = { "aria-pressed": String(at === chosen), "data-key": at };
  const button = make("button", { type: "button", ...pressed }, make("span", {}, String(at)), page.pieces.labels[at]);
  button.addEventListener("click", () => changeSteps({ key: at }));
  const cells = Object.entries(columns).map(([name, numbers]) => {
    const cell = make("td", { "data-column": name }, decimal(numbers[at]));
    if (name === "weight") cell.style.setProperty("--share", `${(100 * walk.weight[at]) / Math.max(...walk.weight)}%`);
    return cell;
  });
  const row = make("tr", {}, make("th", { scope: "row" }, button), ...cells);
  row.classList.toggle("on", at === chosen);
  return row;
}
