// What the colours of the grid stand for: a swatch for each name, or a bar on which the heads lie.

const BAR = { width: 320, height: 12, ticks: 10, steps: 64 };

/** @param {Set<string>} changed */
function showLegend(changed) {
  const isScale = measureNamed(state.colour) !== null;
  if (hasAny(changed, "colour", "shown", "theme", "roles") || (isScale && changed.has("head"))) {
    find("legend", HTMLElement).replaceChildren(isScale ? scaleLegend(state.colour) : namesLegend(state.colour));
  }
}

/** @param {string} by a kind */
function namesLegend(by) {
  const list = make("ul", { class: "names" });
  if (by === "cluster") list.append(...clusterEntries());
  else list.append(...kindEntries(/** @type {Kind} */ (by)));
  return list;
}

/** The names that heads have in the atlas that is shown, as the filters count them; of changes also how many are new. @param {Kind} by */
function kindEntries(by) {
  const heads = grouped(atlas.heads, (head) => kindOf(head, by) ?? "");
  const named = [...vocabulary[by], { name: "", short: "–", meaning: "" }].filter(({ name }) => heads.has(name));
  const entries = named.map(({ name, short, meaning }) => {
    const ground = name ? colourOfKind(by, name) : null;
    return entry(ground, short, name || `no ${by}`, countInWords(heads.get(name) ?? [], by), meaning);
  });
  const same = atlas.heads.filter((head) => !isChanged(head, by)).length;
  if (same) entries.push(entry(paletteColour("paper"), "=", "unchanged", same, `the ${by} is that of the other atlas`));
  return entries;
}

/** @param {Head[]} heads of one role or pattern @param {Kind} by */
function countInWords(heads, by) {
  if (state.shown !== "change") return heads.length;
  const changed = heads.filter((head) => isChanged(head, by)).length;
  return `${heads.length} ${shownInAtlas()}, ${changed || "none"} changed`;
}

function clusterEntries() {
  const counts = countsOf(atlas.heads.flatMap(({ cluster }) => (cluster === null ? [] : String(cluster))));
  return [...counts.keys()]
    .sort((one, other) => Number(one) - Number(other))
    .map((name) => entry(distinctColour(Number(name)), name, `cluster ${name}`, counts.get(name) ?? 0, ""));
}

/** @param {string | null} ground @param {string} short @param {string} name @param {number | string} count @param {string} meaning */
function entry(ground, short, name, count, meaning) {
  const swatch = make("span", { class: ground ? "swatch" : "swatch empty", "aria-hidden": "true" }, short);
  swatch.style.backgroundColor = ground ?? "";
  swatch.style.color = ground ? inkOn(ground) : "";
  return make("li", {}, swatch, make("span", {}, make("b", {}, name), ` ${count}`, meaning && ` · ${meaning}`));
}

/** @param {string} name of a measure */
function scaleLegend(name) {
  const scale = scaleOf(name);
  const { width, height, ticks, steps } = BAR;
  const picture = draw("svg", { viewBox: `-6 0 ${width + 12} ${ticks + height}`, class: "scale", "aria-hidden": "true" });
  for (let at = 0; at < steps; at++) {
    const fill = colourAt((at + 0.5) / steps, scale.diverging);
    picture.append(draw("rect", { x: (at * width) / steps, y: ticks, width: width / steps + 0.5, height, fill }));
  }
  picture.append(...atlas.heads.filter(isKept).map((head) => tick(head, name)));
  const ends = [scale.low, ...(scale.diverging ? [0] : []), scale.high].map((value) => make("span", {}, written(name, value)));
  const without = atlas.heads.filter((head) => valueOf(head, name) === null).length;
  return make("div", {}, picture, make("p", { class: "ends" }, ...ends), make("p", {}, ...aboutScale(name, without)));
}

/** A line where a head lies on the bar; the chosen one's is longer and bold. @param {Head} head @param {string} name */
function tick(head, name) {
  const value = valueOf(head, name);
  if (value === null) return "";
  const x = BAR.width * placeOn(value, scaleOf(name));
  const isChosen = head === state.head;
  return draw("line", { x1: x, x2: x, y1: isChosen ? 0 : 4, y2: BAR.ticks, class: isChosen ? "chosen" : "" });
}

/** @param {string} name of a measure @param {number} without how many heads have no value */
function aboutScale(name, without) {
  const unit = unitOf(name);
  const what = state.shown === "change" ? "Change, this − other" : "Each line is a head";
  const none = without ? ` ${headCount(without)} without a value.` : "";
  const command = make("code", {}, ...withFlags(measureNamed(name)?.command ?? ""));
  return [`${what}${unit ? `, in ${unit}` : ""}.${none} Measured alone by `, command];
}

listeners.push(showLegend);
