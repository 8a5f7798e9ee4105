// Texts within a PNG file: chunks of a length, a name, data, and a checksum over name and data.

const HEADER_END = 33; // the signature, and the chunk IHDR

/**
 * Puts texts behind the header, as tEXt where Latin-1 can write them, else as iTXt.
 * @param {Blob} png
 * @param {Record<string, string>} texts
 */
async function withTexts(png, texts) {
  const chunks = Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text));
  return new Blob([png.slice(0, HEADER_END), ...chunks, png.slice(HEADER_END)], { type: "image/png" });
}

/** @param {string} keyword @param {string} text */
function textChunk(keyword, text) {
  const isLatin = /^[\x20-\x7e\xa0-\xff]*$/.test(text);
  const plain = [...text].map((character) => character.charCodeAt(0));
  const before = [...new TextEncoder().encode(keyword), 0];
  return isLatin
    ? pngChunk("tEXt", [...before, ...plain])
    : pngChunk("iTXt", [...before, 0, 0, 0, 0, ...new TextEncoder().encode(text)]);
}

/** @param {string} name @param {number[]} data */
function pngChunk(name, data) {
  const chunk = new Uint8Array(data.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(new TextEncoder().encode(name), 4);
  chunk.set(data, 8);
  view.setUint32(data.length + 8, checksum(chunk.subarray(4, data.length + 8)));
  return chunk;
}

/** The CRC-32 of some bytes. @param {Uint8Array} bytes */
function checksum(bytes) {
  let rest = ~0;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
  }
  return ~rest >>> 0;
}
