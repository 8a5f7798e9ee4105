// Files of the atlas: the grid and the map as pictures, the numbers as CSV, all of the data as JSON.

const SHEET = { margin: 24, cell: 34, gap: 2, line: 20, swatch: 12, letter: 6.8, least: 460 };
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/; // what begins a formula in some spreadsheet, as in writers/delimited.py

/** @param {string} what @param {string} suffix */
function fileName(what, suffix) {
  return `atlas-${atlas.model.name.replace(/[^\w.-]+/g, "-").slice(-60)}-${what}.${suffix}`;
}

/** A line of RFC 4180: text quoted, and none of it a formula; numbers as they are, missing ones empty. @param {(string | number | null)[]} cells */
function csvLine(cells) {
  const written = cells.map((cell) => {
    if (typeof cell !== "string") return cell === null ? "" : String(cell);
    return `"${(FORMULA.test(cell) ? `'${cell}` : cell).replaceAll('"', '""')}"`;
  });
  return `${written.join()}\r\n`;
}

/** All heads with all numbers of this atlas. */
function numbersAsCsv() {
  const names = atlas.measures.map(({ name }) => name);
  const lines = atlas.heads.map(({ layer, head, role, pattern, cluster, values }) =>
    csvLine([layer, head, role, pattern, cluster, ...names.map((name) => values[name]?.[0] ?? null)]),
  );
  return csvLine(["layer", "head", "role", "pattern", "cluster", ...names]) + lines.join("");
}

/** What colours stand for. */
function colouringInWords() {
  const measure = measureNamed(state.colour);
  if (!measure) return state.colour;
  const unit = unitOf(measure.name);
  return `${titleInGroup(measure)}${unit && ` (${unit})`}, ${groupTitle(groupOf(measure.name))}`;
}

/** The model, and which of its heads are off, as `model_name` of render/atlas_text.py names it. @param {Atlas | Against} of */
function modelName({ model, signature }) {
  const off = signature.match(/\|off:([^|]*)/)?.[1] ?? "none";
  return off === "none" ? model.name : `${model.name} with heads ${short(off, 60)} off`;
}

/** What a picture shows: a picture leaves the page. */
function shownInWords() {
  const { against } = atlas;
  const other = against ? `, ${modelName(against)} (${sourcesOf(against).join(" · ")})` : "";
  const beside = { this: "", other: ` of the other atlas${other}`, change: `, change from the other atlas${other}` };
  const roles = state.roles.size ? [`only ${[...state.roles].join(", ")}`] : [];
  return [[`colour by ${colouringInWords()}${beside[state.shown]}`, ...roles].join(" · "), sourcesOf(atlas).join(" · ")];
}

/**
 * A picture under a title, what is shown in words, and above its legend; words and signature are in its metadata.
 * @param {string} title
 * @param {SVGElement} body
 * @param {{ width: number, height: number }} size of the body
 */
function sheet(title, body, size) {
  const { margin, line, least } = SHEET;
  const name = `${modelName(atlas)}: ${title}`;
  const words = shownInWords();
  const width = Math.max(least, size.width);
  const most = Math.floor(width / SHEET.letter);
  const lines = words.flatMap((text) => wrapped(text, most));
  const key = legendPicture(width);
  const top = margin + line * (1 + lines.length);
  const box = { width: width + 2 * margin, height: top + size.height + line + key.height + margin };
  body.setAttribute("transform", `translate(${margin} ${top})`);
  key.node.setAttribute("transform", `translate(${margin} ${top + size.height + line})`);
  const quiet = { "font-size": 12, fill: paletteColour("quiet") };
  return draw(
    "svg",
    { ...box, viewBox: `0 0 ${box.width} ${box.height}`, "font-family": "system-ui, sans-serif", "font-size": 13, fill: paletteColour("ink") },
    draw("title", {}, name),
    draw("desc", {}, [name, ...words].join(" · ")),
    draw("metadata", {}, atlas.signature),
    draw("rect", { width: box.width, height: box.height, fill: paletteColour("paper") }),
    draw("text", { x: margin, y: margin + 8, "font-weight": 600 }, short(name, most)),
    ...lines.map((text, at) => draw("text", { x: margin, y: margin + 8 + line * (at + 1), ...quiet }, short(text, most))),
    body,
    key.node,
  );
}

/** Breaks a text at spaces into lines of so many characters. @param {string} text @param {number} most */
function wrapped(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim();
    if (longer.length > most) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

const STRUCK = { "text-decoration": "line-through" };

/** The grid, a head per cell. */
function gridPicture() {
  const { cell, gap, line } = SHEET;
  const { layers, heads } = atlas.model;
  const quiet = { "font-size": 11, fill: paletteColour("quiet"), "text-anchor": "middle" };
  const middle = (/** @type {number} */ at) => (at + 1.5) * cell;
  const columns = heads.map((head, at) => draw("text", { x: middle(at), y: cell / 2 + 4, ...quiet }, String(head)));
  const rows = layers.map((layer, at) => draw("text", { x: cell / 2, y: middle(at) + 4, ...quiet }, String(layer)));
  const boxes = atlas.heads.map((head) => {
    const [x, y] = [heads.indexOf(head.head) + 1, layers.indexOf(head.layer) + 1].map((place) => place * cell);
    const fill = colourOf(head) ?? paletteColour("paper");
    const look = { fill, stroke: paletteColour("rule"), rx: 2 };
    const label = { x: x + cell / 2, y: y + cell / 2 + 3, "font-size": 9, "text-anchor": "middle", fill: inkOn(fill) };
    const text = draw("text", { ...label, ...(isOff(head) && STRUCK) }, briefOf(head));
    const box = draw("rect", { x: x + gap / 2, y: y + gap / 2, width: cell - gap, height: cell - gap, ...look });
    return draw("g", { opacity: isKept(head) ? 1 : 0.15 }, draw("title", {}, headName(head)), box, text);
  });
  const size = { width: (heads.length + 1) * cell, height: (layers.length + 1) * cell + line };
  const off = atlas.heads.some(isOff) ? "; off: struck through" : "";
  const words = `rows: layers, columns: heads, both counted from 0${off}`;
  const axes = draw("text", { x: 0, y: size.height - 4, "font-size": 11, fill: paletteColour("quiet") }, words);
  return sheet("heads by layer", draw("g", {}, ...columns, ...rows, ...boxes, axes), size);
}

/** The map, as it is shown. */
function mapSheet() {
  const shown = find("map", SVGElement);
  const [, , width, height] = (shown.getAttribute("viewBox") ?? "0 0 0 0").split(" ").map(Number);
  const body = draw("g", { stroke: "none" });
  for (const element of shown.cloneNode(true).childNodes) body.append(element);
  for (const element of body.querySelectorAll("*")) {
    for (const name of ["role", "tabindex", "aria-label", "aria-pressed", "data-key"]) element.removeAttribute(name);
  }
  return sheet("heads by likeness", body, { width, height });
}

/** What the colours stand for, as the legend of the page says it. @param {number} width */
function legendPicture(width) {
  return measureNamed(state.colour) ? scalePicture(state.colour) : swatches(width);
}

/** @param {string} name of a measure */
function scalePicture(name) {
  const { low, high, diverging } = scaleOf(name);
  const { line, swatch } = SHEET;
  const steps = [...Array(48).keys()].map((step) =>
    draw("rect", { x: 5 * step, width: 5.5, height: swatch, fill: colourAt((step + 0.5) / 48, diverging) }),
  );
  const ends = [low, ...(diverging ? [0] : []), high].map((value, at, { length }) =>
    draw("text", { x: (240 * at) / (length - 1), y: swatch + 14, "text-anchor": ["start", "middle", "end"].at(at === length - 1 ? 2 : at) ?? "", "font-size": 12 }, written(name, value)),
  );
  return { node: draw("g", {}, ...steps, ...ends), height: 2 * line };
}

/** @param {number} width */
function swatches(width) {
  const { line, swatch, letter } = SHEET;
  const node = draw("g");
  let [x, y] = [0, 0];
  for (const item of find("legend", HTMLElement).querySelectorAll("li")) {
    const name = item.querySelector("b")?.textContent ?? "";
    const fill = getComputedStyle(item.querySelector(".swatch") ?? item).backgroundColor;
    const room = swatch + 6 + name.length * letter + 14;
    if (x && x + room > width) [x, y] = [0, y + line];
    node.append(draw("rect", { x, y, width: swatch, height: swatch, rx: 2, fill }));
    node.append(draw("text", { x: x + swatch + 6, y: y + 10, "font-size": 12 }, name));
    x += room;
  }
  return { node, height: y + line };
}

/** @param {() => SVGElement} picture @param {string} what */
function saveButtons(picture, what) {
  const textsOf = (/** @type {SVGElement} */ drawn) => ({
    Description: drawn.querySelector("desc")?.textContent ?? "",
    Signature: atlas.signature,
    Software: "attnprobe",
  });
  const png = () => {
    const drawn = picture();
    return asPng(drawn, textsOf(drawn));
  };
  return [saveButton("Save SVG", () => asSvg(picture()), fileName(what, "svg")), saveButton("Save PNG", png, fileName(what, "png"))];
}

/** @param {string} label @param {() => Blob | Promise<Blob>} content @param {string} name */
function saveButton(label, content, name) {
  return makeButton(async () => download(await content(), name), {}, label);
}

function buildSaving() {
  const csv = () => new Blob([numbersAsCsv()], { type: "text/csv" });
  const json = () => new Blob([atlasText], { type: "application/json" });
  find("grid-buttons", HTMLElement).append(...saveButtons(gridPicture, "grid"));
  if (points.length) find("map-buttons", HTMLElement).append(...saveButtons(mapSheet, "map"));
  find("table-buttons", HTMLElement).append(saveButton("Save CSV", csv, fileName("numbers", "csv")), saveButton("Save JSON", json, fileName("data", "json")));
}

buildSaving();
