// Colours of heads: one per role, pattern or cluster, a scale for numbers. Each is rgb(...), also in saved pictures.

const COLOURS = 12; // --head-0 ... in base.css
const REST = "·"; // the short name of what no rule names

/** Read from the page once for each theme. @type {Map<string, string>} */
const palette = new Map();

/** A colour of the style sheet in the present theme. @param {string} name */
function paletteColour(name) {
  const key = `${isDark()} ${name}`;
  const found = palette.get(key) ?? colour(`var(--${name})`);
  palette.set(key, found);
  return found;
}

/** One of the colours that tell things apart. @param {number} at */
const distinctColour = (at) => paletteColour(`head-${at % COLOURS}`);

/** The colour of a role or pattern: none of its own where no rule names it, or its heads are off. @param {Kind} kind @param {string} name */
function colourOfKind(kind, name) {
  const at = vocabulary[kind].findIndex((one) => one.name === name);
  return [REST, OFF.short].includes(vocabulary[kind][at]?.short) ? paletteColour("none") : distinctColour(at);
}

/**
 * The colour of a head under `state.colour`; null: it has nothing to be coloured by. Of changes of a role or a pattern,
 * only heads that changed have a colour.
 * @param {Head} head
 */
function colourOf(head) {
  const by = state.colour;
  if (by === "role" || by === "pattern") {
    const name = kindOf(head, by);
    if (name !== null && !isChanged(head, by)) return paletteColour("paper");
    return name && colourOfKind(by, name);
  }
  if (by === "cluster") return head.cluster === null ? null : distinctColour(head.cluster);
  const value = valueOf(head, by);
  const scale = scaleOf(by);
  return value === null ? null : colourAt(placeOn(value, scale), scale.diverging);
}

/** Black or white, whichever is easier to read on a colour. @param {string} ground rgb(...) */
function inkOn(ground) {
  const [red, green, blue] = (ground.match(/[\d.]+/g) ?? []).map((part) => {
    const share = Number(part) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
