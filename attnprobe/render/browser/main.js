// Puts the page together.

function start() {
  buildControls();
  buildGrid();
  buildStats();
  watchTokens();
  listeners.push(markControls, showHeads, (what) => {
    if (what !== "lines") markGrid();
    if (what !== "lines") markStats();
    if (what === "choice") drawGrid();
  });
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

start();
