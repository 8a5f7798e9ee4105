// Puts the page together.

function start() {
  buildControls();
  buildGrid();
  buildStats();
  buildSteps();
  rove(find("ranking", HTMLElement), "button", (key, at, count) => gridStep(key, at, count, count));
  watchTokens();
  listeners.push(show);
  find("svg", HTMLElement).addEventListener("click", saveSvg);
  find("png", HTMLElement).addEventListener("click", savePng);
  watchKeys(letGo);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => change({}, "choice"));
  followAddress();
}

/** @param {What} what */
async function show(what) {
  markControls();
  if (what !== "lines") {
    showTheme();
    markGrid();
    markRanking();
    markStats();
    drawLegend();
  }
  await showHeads(what);
  if (what === "choice" || isChoiceNew()) requestAnimationFrame(() => setTimeout(drawGrid)); // when the head view is on the screen
}

start();
