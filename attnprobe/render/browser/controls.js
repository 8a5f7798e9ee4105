// What can be chosen: layer, heads, words, special tokens, direction, threshold, theme.

function buildControls() {
  const layers = page.layers.map((layer, at) => option("radio", "layer", String(at), String(layer)));
  find("layers", HTMLElement).append(...layers);
  const heads = page.heads.map((head, at) => {
    const chip = option("checkbox", "head", String(at), String(head));
    chip.style.setProperty("--head", colourName(at));
    return chip;
  });
  find("heads", HTMLElement).append(...heads);
  find("units", HTMLElement).hidden = page.words === null;
  find("pair", HTMLElement).hidden = !page.pair;
  const controls = find("controls", HTMLFormElement);
  controls.addEventListener("input", (event) => readControl(/** @type {HTMLInputElement} */ (event.target)));
  controls.addEventListener("submit", (event) => event.preventDefault());
  rove(find("heads", HTMLElement), "input", (key, at, count) => gridStep(key, at, count, count));
  find("all-heads", HTMLElement).addEventListener("click", () => chooseHeads([...page.heads.keys()]));
  find("no-heads", HTMLElement).addEventListener("click", () => chooseHeads([]));
  find("theme", HTMLElement).addEventListener("click", switchTheme);
}

/**
 * @param {"radio" | "checkbox"} type
 * @param {string} name
 * @param {string} value
 * @param {string} label
 */
function option(type, name, value, label) {
  return make("label", {}, make("input", { type, name, value, "aria-label": `${name} ${label}` }), make("span", {}, label));
}

/** @param {number[]} heads */
function chooseHeads(heads) {
  change({ heads: new Set(heads) }, "heads");
}

/** @param {HTMLInputElement} input */
function readControl(input) {
  if (input.name === "layer") change({ layer: Number(input.value) }, "heads");
  else if (input.name === "head") chooseHeads(checkedHeads());
  else if (input.name === "scale") change({ scale: input.value }, "choice");
  else if (input.name === "threshold") change({ threshold: thresholdAt(input.value) }, "lines");
  else {
    const value = input.name === "words" ? input.value === "words" : input.value;
    change({ choice: { ...state.choice, [input.name]: value } }, "choice");
  }
}

/** The threshold at a place of the slider, finer where weights are small: exactly the number that is written beside it. */
function thresholdAt(/** @type {string} */ value) {
  return rounded((Number(value) / 100) ** 2);
}

function checkedHeads() {
  const boxes = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("input[name=head]:checked"));
  return [...boxes].map((box) => Number(box.value));
}

/** Makes the controls say what the state says, wherever it was changed. */
function markControls() {
  for (const input of find("controls", HTMLFormElement).querySelectorAll("input")) {
    if (input.name === "layer") input.checked = Number(input.value) === state.layer;
    if (input.name === "head") input.checked = state.heads.has(Number(input.value));
    if (input.name === "words") input.checked = input.value === (state.choice.words ? "words" : "pieces");
    if (input.name === "special") input.checked = input.value === state.choice.special;
    if (input.name === "pair") input.checked = input.value === state.choice.pair;
    if (input.name === "scale") input.checked = input.value === state.scale;
    if (input.name === "threshold") markThreshold(input);
  }
  find("least", HTMLElement).textContent = number(state.threshold);
}

/** Moves the slider to the threshold, unless it is there. @param {HTMLInputElement} slider */
function markThreshold(slider) {
  if (thresholdAt(slider.value) !== state.threshold) slider.value = String(100 * Math.sqrt(state.threshold));
  slider.setAttribute("aria-valuetext", number(state.threshold));
}

function switchTheme() {
  change({ theme: otherTheme() }, "choice");
}
