// The address of the page holds its state after the #, so that a finding is a link. A page in a frame, which may have no
// address, tells the page around it, and does what that says: so two pages beside each other show the same.

const SETTLED = 250; // milliseconds without a change
let settling = 0;
let told = stateText();

/** Shows what the address says, now and whenever the reader goes back or forward, and keeps it true. */
function followAddress() {
  follow(location.hash);
  listeners.push(() => {
    clearTimeout(settling);
    settling = setTimeout(tell, SETTLED);
  });
  addEventListener("hashchange", () => follow(location.hash));
  addEventListener("message", ({ source, data }) => {
    if (source === parent && source !== window && typeof data?.show === "string") follow(data.show);
  });
}

/** @param {string} text */
function follow(text) {
  applyState(text);
  told = stateText();
}

function tell() {
  if (stateText() === told) return;
  told = stateText();
  if (parent !== window) parent.postMessage({ shows: told }, "*");
  try {
    history.pushState(null, "", `#${told}`);
  } catch {
    // a frame without an address of its own
  }
}
