// Pictures as files.

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const href = URL.createObjectURL(blob);
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** @param {SVGElement} picture */
function asSvg(picture) {
  return new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" });
}

/**
 * Draws a picture as PNG, with texts within.
 * @param {SVGElement} picture
 * @param {Record<string, string>} texts
 */
async function asPng(picture, texts) {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(await asSvg(picture).text())}`;
  await image.decode();
  const scale = Math.min(2, 16000 / image.naturalHeight); // browsers refuse larger canvases
  const canvas = make("canvas", { width: scale * image.naturalWidth, height: scale * image.naturalHeight });
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((/** @type {BlobCallback} */ done) => canvas.toBlob(done));
  if (!blob) throw new Error("the picture is too large");
  return withTexts(blob, texts);
}

/** @param {string} text @param {number} most characters */
function short(text, most) {
  const characters = [...text];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : text;
}
