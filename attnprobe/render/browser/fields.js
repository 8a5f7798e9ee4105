// The state of a page as text that an address can hold, and back. Each page has its own FIELDS.

/**
 * How a part of the state is written, null: not at all, and read; `read` changes nothing where the text makes no sense.
 * @typedef {{ write: (from: State) => string | null, read: (text: string, into: State) => void }} Field
 */

/**
 * @template {string} Word
 * @param {string} text
 * @param {readonly Word[]} known
 * @param {(word: Word) => unknown} use
 */
function readWord(text, known, use) {
  const word = known.find((one) => one === text);
  if (word) use(word);
}

/** What the page shows, as text. */
function stateText() {
  const written = new URLSearchParams();
  for (const [name, { write }] of Object.entries(FIELDS)) {
    const text = write(state);
    if (text !== null) written.append(name, text);
  }
  return written.toString().replaceAll("%2C", ",");
}

/** The state that such a text describes: the opening where it says nothing or what makes no sense. @param {string} text */
function stateIn(text) {
  const given = new URLSearchParams(text.replace(/^#/, ""));
  const found = openingState();
  for (const [name, { read }] of Object.entries(FIELDS)) {
    const value = given.get(name);
    if (value !== null) read(value, found);
  }
  return found;
}

/** Puts the state into the address. @param {string} text */
function keepInAddress(text) {
  try {
    history.pushState(null, "", `#${text}`);
  } catch {
    // a frame without an address of its own
  }
}
