// The model view: every layer and head as a small heat map, drawn layer by layer.

const MOST_PIXELS = 96;
const MAPS = "Layers down, heads across; in each, queries down, keys across. ";
let drawing = 0;

function buildGrid() {
  const names = page.heads.map((head) => make("th", { scope: "col" }, String(head)));
  const rows = page.layers.map((layer, row) => {
    const cells = page.heads.map((_, column) => {
      const label = `${layerName(row)}, ${headName(column)}`;
      const title = label + rolesOf(row, [column]);
      const button = make("button", { type: "button", "aria-label": label, title }, make("canvas"));
      button.style.setProperty("--head", colourName(column));
      button.addEventListener("click", () => select(row, column));
      return make("td", {}, button);
    });
    return make("tr", {}, make("th", { scope: "row" }, String(layer)), ...cells);
  });
  const corner = make("th", { "aria-label": "layer" });
  const grid = find("grid", HTMLTableElement);
  grid.style.setProperty("--layers", String(page.layers.length));
  grid.style.setProperty("--columns", String(page.heads.length));
  grid.append(make("thead", {}, make("tr", {}, corner, ...names)), make("tbody", {}, ...rows));
  rove(grid, "button", (key, at, count) => gridStep(key, at, count, page.heads.length));
}

function markGrid() {
  find("grid", HTMLTableElement)
    .querySelectorAll("button")
    .forEach((button, at) => {
      const [layer, head] = [Math.floor(at / page.heads.length), at % page.heads.length];
      button.setAttribute("aria-pressed", String(layer === state.layer && state.heads.has(head)));
    });
}

/** Draws all heat maps anew, layer by layer, the shown layer first, or each head's weight between the chosen tokens. */
async function drawGrid() {
  const mine = ++drawing;
  const between = chosen();
  rankedFor = JSON.stringify(between);
  /** @type {Ranked[]} */
  const ranked = [];
  const grid = find("grid", HTMLTableElement);
  const layers = [...page.layers.keys()].sort((one, other) => Number(other === state.layer) - Number(one === state.layer));
  for (const layer of layers) {
    const canvases = [...grid.tBodies[0].rows[layer].querySelectorAll("canvas")];
    const isWanted = () => mine === drawing;
    const draws = canvases.map((canvas, head) => drawHeatMap(canvas, layer, head, between, isWanted));
    const weights = await Promise.all(draws);
    if (!isWanted()) return; // a newer choice is being drawn
    weights.forEach((weight, head) => ranked.push({ layer, head, weight }));
  }
  showRanking(between, ranked);
  find("map-note", HTMLElement).textContent = between ? "" : MAPS;
  find("scale-note", HTMLElement).textContent = `${state.scale === "sqrt" ? "√" : ""}${page.noun}`;
  grid.dataset.drawn = String(mine);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} layer
 * @param {number} head
 * @param {Chosen | null} between
 * @param {() => boolean} isWanted
 * @returns the weight between the chosen tokens
 */
async function drawHeatMap(canvas, layer, head, between, isWanted) {
  const choice = state.choice;
  const { queries, keys } = shownUnits(choice);
  const weights = await shownWeights(layer, head, choice);
  if (!isWanted()) return 0;
  const weight = between ? weightAmong(weights, between.width, between.rows, between.columns) : 0;
  const name = `${layerName(layer)}, ${headName(head)}${rolesOf(layer, [head])}`;
  canvas.parentElement?.setAttribute("title", between ? `${name}: ${number(weight)}` : name);
  if (between) paint(canvas, Float32Array.of(weight), 1, 1, colour("var(--accent)"));
  else paint(canvas, weights, queries.length, keys.length, colour(colourName(head)));
  return weight;
}

/**
 * A heat map, queries downwards, on one scale for all heads. Where there are more tokens than pixels, a
 * pixel shows the highest weight under it.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} weights
 * @param {number} rows
 * @param {number} columns
 * @param {string} rgb
 */
function paint(canvas, weights, rows, columns, rgb) {
  const [height, width] = [Math.min(rows, MOST_PIXELS), Math.min(columns, MOST_PIXELS)];
  [canvas.height, canvas.width] = [height, width];
  if (!height || !width) return;
  const highest = new Float32Array(height * width);
  for (let at = 0; at < weights.length; at++) {
    const row = Math.floor((Math.floor(at / columns) * height) / rows);
    const pixel = row * width + Math.floor(((at % columns) * width) / columns);
    if (weights[at] > highest[pixel]) highest[pixel] = weights[at];
  }
  const channels = (rgb.match(/\d+/g) ?? []).slice(0, 3).map(Number);
  const image = new ImageData(width, height);
  highest.forEach((weight, pixel) => image.data.set([...channels, 255 * strength(weight)], 4 * pixel));
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
