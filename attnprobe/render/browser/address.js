// The address of the page holds its state after the #, so that a finding is a link. Where there is no address, as in a
// notebook, nothing is written.

const SETTLED = 250; // milliseconds without a change
let settling = 0;
let inAddress = stateText();

/** Shows what the address says, now and whenever the reader goes back or forward, and keeps it true. */
function followAddress() {
  readAddress();
  listeners.push(() => {
    clearTimeout(settling);
    settling = setTimeout(writeAddress, SETTLED);
  });
  addEventListener("hashchange", readAddress);
}

function readAddress() {
  applyState(location.hash);
  inAddress = stateText();
}

function writeAddress() {
  if (stateText() === inAddress) return;
  inAddress = stateText();
  try {
    history.pushState(null, "", `#${inAddress}`);
  } catch {
    // a frame without an address of its own
  }
}
