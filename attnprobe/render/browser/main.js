// Puts the page together.

function start() {
  buildControls();
  buildGrid();
  buildStats();
  buildSteps();
  watchTokens();
  listeners.push(show);
  find("svg", HTMLElement).addEventListener("click", saveSvg);
  find("png", HTMLElement).addEventListener("click", savePng);
  find("help", HTMLElement).addEventListener("click", () => find("keys-help", HTMLDialogElement).showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.pinned) change({ pinned: null }, "lines");
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  drawLegend();
  nameTheme();
  change({}, "choice");
}

/** @param {What} what */
async function show(what) {
  markControls();
  if (what !== "lines") {
    markGrid();
    markStats();
  }
  await showHeads(what);
  if (what === "choice") requestAnimationFrame(() => setTimeout(drawGrid)); // when the head view is on the screen
}

start();
