// The numbers of one head by group, each among those of all heads.

/** The groups that are open, which stay so from head to head: at first the first one. */
const openGroups = new Set(atlas.measures.slice(0, 1).map(({ name }) => groupOf(name)));

/** Notes which groups the reader opened and closed. */
function noteOpen() {
  for (const { open, dataset } of cardNumbers.querySelectorAll("details")) {
    openGroups[open ? "add" : "delete"](dataset.group ?? "");
  }
}

/** The groups of the measures that the head has. @param {Head} head */
function numberGroups(head) {
  noteOpen();
  const known = atlas.measures.filter(({ name }) => valuesOfBoth(head, name).length);
  return [...grouped(known, ({ name }) => groupOf(name))].map(([group, measures]) => numberGroup(head, group, measures));
}

/** @param {Head} head @param {string} group @param {Measure[]} measures */
function numberGroup(head, group, measures) {
  const table = make(
    "table",
    { class: atlas.against ? "numbers compared" : "numbers", "aria-label": groupTitle(group) },
    make("thead", {}, make("tr", {}, ...headersOf(measures).map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...measures.map((measure) => numberRow(head, measure))),
  );
  const summary = make("summary", {}, `${groupTitle(group)} (${measures.length})`);
  const details = make("details", { "data-group": group, open: openGroups.has(group) }, summary, make("div", { class: "wide" }, table), ...notesOf(group));
  rove(table.tBodies[0], "button", (key, at, count) => gridStep(key, at, count, 1));
  return details;
}

/** @param {Measure[]} measures */
function headersOf(measures) {
  const counts = new Set(measures.map(({ name }) => knownValues(name).length));
  const among = counts.size === 1 ? ` of\u00a0${[...counts][0]}` : "";
  return ["measure", ...(atlas.against ? SHOWN : ["value"]), "all heads", `rank${among}`];
}

/** The values that heads have, under `state.shown`. @param {string} name */
function knownValues(name) {
  return /** @type {number[]} */ (atlas.heads.map((head) => valueOf(head, name)).filter((value) => value !== null));
}

/** @param {Head} head @param {Measure} measure */
function numberRow(head, measure) {
  const { name } = measure;
  const about = { "data-measure": name, title: `${meaningWithCount(measure)}. Colours the grid.` };
  const button = makeButton(() => change({ colour: name }), about, titleInGroup(measure));
  const units = unitOf(name) ? [make("small", {}, unitOf(name))] : [];
  const all = knownValues(name);
  const value = valueOf(head, name);
  const rank = value === null ? "–" : ordinal(rankAmong(all, value));
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, button, ...units),
    ...valueCells(head, name),
    make("td", { class: "among" }, value === null ? "" : barOf(all, value, intervalOf(head, name))),
    make("td", { class: "rank", title: `${rank} of ${all.length}, highest first` }, rank),
  );
}

/** The value with its interval; of a comparison this, other and change. @param {Head} head @param {string} name */
function valueCells(head, name) {
  const mine = head.values[name] ?? null;
  if (!atlas.against) return [estimateCell(name, mine)];
  const other = otherOf(head)?.values[name] ?? null;
  /** @type {Estimate | null} */
  const difference = mine && other && [mine[0] - other[0], null, null];
  const cells = [estimateCell(name, mine), estimateCell(name, other), estimateCell(name, difference, true)];
  cells.forEach((cell, at) => cell.classList.toggle("on", SHOWN[at] === state.shown));
  return cells;
}

/** @param {string} name @param {Estimate | null} estimate @param {boolean} isChange */
function estimateCell(name, estimate, isChange = false) {
  if (!estimate) return make("td", {}, "–");
  const [value, low, high] = estimate;
  const text = (/** @type {number} */ number) => written(name, number, 1, isChange);
  const ends = low === null || high === null ? [] : [make("small", {}, `${text(low)}\u00a0to ${text(high)}`)];
  return make("td", { title: String(value) }, make("span", {}, text(value)), ...ends);
}

/** The place of a value, highest first; equal values share it. @param {number[]} all @param {number} value */
function rankAmong(all, value) {
  return 1 + all.filter((other) => other > value).length;
}

/** @param {number} count */
function ordinal(count) {
  const teen = count % 100 >= 11 && count % 100 <= 13;
  return `${count}${(!teen && { 1: "st", 2: "nd", 3: "rd" }[count % 10]) || "th"}`;
}

/**
 * From the lowest to the highest of all heads: a light tick for each, the interval and a strong tick of this one.
 * @param {number[]} all
 * @param {number} value
 * @param {[number, number] | null} interval
 */
function barOf(all, value, interval) {
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const at = (/** @type {number} */ number) => (high > low ? 2 + (96 * (Math.min(high, Math.max(low, number)) - low)) / (high - low) : 50);
  const ticks = draw("path", { class: "others", d: all.map((other) => `M${at(other).toFixed(2)} 3V13`).join("") });
  const [start, end] = (interval ?? [value, value]).map(at);
  const span = draw("rect", { class: "interval", x: start, y: 5, width: end - start, height: 6 });
  const own = draw("path", { class: "own", d: `M${at(value).toFixed(2)} 1V15` });
  return draw("svg", { class: "bar", viewBox: "0 0 100 16", preserveAspectRatio: "none", "aria-hidden": "true" }, ticks, span, own);
}

/** @type {Record<string, string>} */
const NOTES = {
  importance: "Heads were changed one at a time: others may do the same work, so a small number does not say that a head can be removed.",
  relations: "In-sample: of all sentences, in the better of two directions. What is held out stands under “Beside baselines”.",
  coreference: "In-sample: of all documents. What is held out stands under “Beside baselines”.",
};

/** What must be known of a group, and what it is compared to. @param {string} group */
function notesOf(group) {
  const baselines = group === "trees" ? atlas.trees.filter(({ layer }) => layer === null) : [];
  const named = baselines.map(({ head, uuas }) => `${head} ${number(Number(uuas))}`);
  const notes = [NOTES[group] ?? "", named.length ? `Without any head: ${named.join(", ")}.` : ""];
  return notes.filter((note) => note).map((note) => make("p", { class: "hint" }, note));
}
