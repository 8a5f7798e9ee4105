// The address of the page holds its state after the #, so that a finding is a link. A page in a frame, which may have no
// address, tells the page around it, and does what that says: so two pages beside each other show the same.

const SETTLED = 250; // milliseconds for which the slider rests
let settling = 0;
let told = stateText();

/**
 * Shows what the address says, now and whenever the reader goes back or forward, and keeps it true: at once, so that a
 * choice survives a reload right after it, but only where the slider comes to rest.
 */
function followAddress() {
  follow(location.hash);
  listeners.push((what) => {
    clearTimeout(settling);
    if (what === "lines") settling = setTimeout(tell, SETTLED);
    else queueMicrotask(tell); // when `follow` has noted what it was told
  });
  addEventListener("hashchange", () => follow(location.hash));
  addEventListener("message", ({ source, data }) => {
    if (source === parent && source !== window && typeof data?.show === "string") follow(inThisText(data.show));
  });
}

/** The state as text for a page of another text or model, with the names of the kept tokens. */
function forOthers() {
  const names = new URLSearchParams();
  for (const side of SIDES) for (const piece of state.kept[side]) names.append(`${side}-token`, page.pieces.labels[piece]);
  return `${told}&${names}`;
}

/**
 * What another page shows, in terms of this page: its tokens are found where they stand there, else by their names.
 * @param {string} text
 */
function inThisText(text) {
  const given = new URLSearchParams(text);
  const labels = page.pieces.labels.map(bare);
  for (const side of SIDES) {
    const names = given.getAll(`${side}-token`).map(bare);
    const positions = (given.get(side) ?? "").split(",").map(Number);
    const found = names.map((name, at) => (labels[positions[at]] === name ? positions[at] : labels.indexOf(name)));
    if (names.length) given.set(side, found.filter((at) => at >= 0).join());
  }
  return given.toString();
}

/** A piece without its vocabulary's marks and capitals. @param {string} label */
function bare(label) {
  return label.replace(/^(##|▁|Ġ)/, "").toLowerCase();
}

/** @param {string} text */
function follow(text) {
  applyState(text);
  told = stateText();
}

function tell() {
  if (stateText() === told) return;
  told = stateText();
  if (parent !== window) parent.postMessage({ shows: forOthers() }, "*");
  keepInAddress(told);
}
