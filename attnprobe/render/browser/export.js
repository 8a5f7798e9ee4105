// The head view as a picture of its own: SVG, and PNG drawn from it.

const PICTURE = { margin: 24, label: 170, lines: 320, head: 34, settings: 20 };

const SPECIAL_WORDS = {
  show: "special tokens shown",
  hide: "special tokens hidden",
  renormalise: "special tokens hidden and rows renormalised",
};
const PAIR_WORDS = { all: [], ab: ["from A to B"], ba: ["from B to A"] };

/** How weights are shown, in words. */
function settingsInWords() {
  const { words, special, pair } = state.choice;
  const units = words ? "words" : "pieces";
  const colours = `colour by ${state.scale === "sqrt" ? "√" : ""}${page.noun}`;
  return [`${page.noun}s ≥ ${number(state.threshold)}`, units, SPECIAL_WORDS[special], ...PAIR_WORDS[pair], colours].join(" · ");
}

/** The kept tokens, in words. */
function keptInWords() {
  const named = SIDES.map((side) => [side, namesOf({ side, rows: keptRows(side) })]);
  return named.filter(([, names]) => names).map(([side, names]) => `${side} ${names}`).join(" · ");
}

/** All that is shown, in words: a picture leaves the page. */
function stateInWords() {
  const heads = scene.heads.map((head) => `${page.layers[scene.layer]}.${page.heads[head]}`);
  const parts = [page.model, `layer.head ${heads.join(", ") || "none"}`, settingsInWords(), keptInWords()];
  return parts.filter((part) => part).join(" · ");
}

/** The head view as it is shown, with the state and the signature in its metadata. */
function picture() {
  const { margin, label, lines } = PICTURE;
  const settings = [settingsInWords(), keptInWords()].filter((line) => line);
  const head = PICTURE.head + PICTURE.settings * settings.length;
  const width = 2 * (margin + label) + lines;
  const height = 2 * margin + head + rowHeight() * Math.max(scene.queries.length, scene.keys.length);
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const name = `${page.model}, ${layerName(scene.layer)}`;
  const left = margin + label;
  const body = draw("g", { transform: `translate(${left} ${margin + head})` }, pictureLines(), ...pictureLabels());
  return draw(
    "svg",
    { ...size, "font-family": "system-ui, sans-serif", "font-size": 13, fill: colour("var(--ink)") },
    draw("title", {}, name),
    draw("desc", {}, stateInWords()),
    draw("metadata", {}, page.signature),
    draw("rect", { width, height, fill: colour("var(--paper)") }),
    draw("text", { x: margin, y: margin + 10 }, name, ...legend()),
    ...settings.map((line, at) => pictureNote(line, margin + 10 + PICTURE.settings * (at + 1))),
    body,
  );
}

/** @param {string} line @param {number} y */
function pictureNote(line, y) {
  return draw("text", { x: PICTURE.margin, y, "font-size": 12, fill: colour("var(--quiet)") }, short(line, 110));
}

/** The numbers of the heads in their colours. */
function legend() {
  return scene.heads.map((head) =>
    draw("tspan", { dx: 10, "font-weight": 600, fill: colour(colourName(head)) }, headName(head)),
  );
}

function pictureLines() {
  const strokes = new Map(scene.heads.map((head) => [head, colour(colourName(head))]));
  const paths = linesToDraw().lines.map((line) =>
    draw("path", { ...lineAttributes(line, PICTURE.lines), stroke: strokes.get(line.head) ?? "" }),
  );
  return draw("g", { fill: "none" }, ...paths);
}

function pictureLabels() {
  const kept = { query: keptRows("query"), key: keptRows("key") };
  const column = (/** @type {Side} */ side, /** @type {number[]} */ units) =>
    units.map((unit, at) => {
      const x = side === "query" ? -8 : PICTURE.lines + 8;
      const anchor = side === "query" ? "end" : "start";
      const weight = kept[side].includes(at) ? 700 : 400;
      const y = at * rowHeight() + rowHeight() / 2 + 4.5;
      const attributes = { x, y, "text-anchor": anchor, "font-weight": weight };
      return draw("text", attributes, short(scene.units.labels[unit], 22));
    });
  return [...column("query", scene.queries), ...column("key", scene.keys)];
}

/** @param {string} suffix */
function pictureName(suffix) {
  const heads = scene.heads.map((head) => page.heads[head]).join("-");
  return `attention-layer${page.layers[scene.layer]}-head${heads}.${suffix}`;
}

function saveSvg() {
  download(asSvg(picture()), pictureName("svg"));
}

async function savePng() {
  const texts = { Description: stateInWords(), Signature: page.signature, Software: "attnprobe" };
  download(await asPng(picture(), texts), pictureName("png"));
}
