// The head view as a picture of its own: SVG, and PNG drawn from it.

const PICTURE = { margin: 24, label: 170, lines: 320, head: 34 };

/** The head view as it is shown, with the signature in its metadata. */
function picture() {
  const { margin, label, lines, head } = PICTURE;
  const width = 2 * (margin + label) + lines;
  const height = 2 * margin + head + rowHeight() * Math.max(scene.queries.length, scene.keys.length);
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const name = `${page.model}, layer ${page.layers[scene.layer]}`;
  const left = margin + label;
  const body = draw("g", { transform: `translate(${left} ${margin + head})` }, pictureLines(), ...pictureLabels());
  return draw(
    "svg",
    { ...size, "font-family": "system-ui, sans-serif", "font-size": 13, fill: colour("var(--ink)") },
    draw("title", {}, name),
    draw("metadata", {}, page.signature),
    draw("rect", { width, height, fill: colour("var(--paper)") }),
    draw("text", { x: margin, y: margin + 10 }, name, ...legend()),
    body,
  );
}

/** The numbers of the heads in their colours. */
function legend() {
  return scene.heads.map((head) =>
    draw("tspan", { dx: 10, "font-weight": 600, fill: colour(colourName(head)) }, `head ${page.heads[head]}`),
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
  const focus = focused();
  const column = (/** @type {"query" | "key"} */ side, /** @type {number[]} */ units) =>
    units.map((unit, at) => {
      const x = side === "query" ? -8 : PICTURE.lines + 8;
      const anchor = side === "query" ? "end" : "start";
      const weight = focus?.side === side && focus.rows.includes(at) ? 700 : 400;
      const y = at * rowHeight() + rowHeight() / 2 + 4.5;
      const attributes = { x, y, "text-anchor": anchor, "font-weight": weight };
      return draw("text", attributes, short(scene.units.labels[unit]));
    });
  return [...column("query", scene.queries), ...column("key", scene.keys)];
}

/** @param {string} label */
function short(label) {
  const characters = [...label];
  return characters.length > 22 ? `${characters.slice(0, 21).join("")}…` : label;
}

function pictureText() {
  return new XMLSerializer().serializeToString(picture());
}

/** @param {Blob} blob @param {string} suffix */
function download(blob, suffix) {
  const heads = scene.heads.map((head) => page.heads[head]).join("-");
  const href = URL.createObjectURL(blob);
  make("a", { href, download: `attention-layer${page.layers[scene.layer]}-head${heads}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

function saveSvg() {
  download(new Blob([pictureText()], { type: "image/svg+xml" }), "svg");
}

async function savePng() {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(pictureText())}`;
  await image.decode();
  const scale = Math.min(2, 16000 / image.naturalHeight); // browsers refuse larger canvases
  const canvas = make("canvas", { width: scale * image.naturalWidth, height: scale * image.naturalHeight });
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => blob && download(blob, "png"));
}
