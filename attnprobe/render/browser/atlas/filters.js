// What can be chosen: what colours stand for, which of two atlases is shown, and the heads of which roles.

/** @type {Record<string, string>} */
const KIND_MEANINGS = {
  role: "what a head mostly does: the first role whose rule its shares of weight meet; attnprobe patterns --explain has the rules",
  pattern: "the shape of a head's maps: the first pattern whose rule its shares of weight meet",
  cluster: "heads of one cluster look at much the same tokens; 0 is the largest cluster",
};

function buildFilters() {
  const groups = grouped(atlas.measures, ({ name }) => groupTitle(groupOf(name)));
  const options = (/** @type {[string, string][]} */ named) => named.map(([value, text]) => make("option", { value }, text));
  find("colour", HTMLSelectElement).append(
    ...options(colourings.filter((one) => !measureNamed(one)).map((kind) => [kind, kind])),
    ...[...groups].map(([label, measures]) =>
      make("optgroup", { label }, ...options(measures.map(({ name, title }) => [name, title]))),
    ),
  );
  find("roles", HTMLElement).append(...rolesToShow().map((name) => chip(name)));
  find("filters", HTMLElement).hidden = rolesToShow().length < 2;
  find("shown", HTMLElement).hidden = !atlas.against;
  const controls = find("controls", HTMLFormElement);
  controls.addEventListener("input", readControl);
  controls.addEventListener("submit", (event) => event.preventDefault());
  find("all-roles", HTMLElement).addEventListener("click", () => change({ roles: new Set() }));
  rove(find("filters", HTMLElement), "input, button", (key, at, count) => gridStep(key, at, count, count));
}

/** The roles that some head has in either atlas, in their order. */
function rolesToShow() {
  const had = new Set([...headsByKey.values(), ...othersByKey.values()].map((one) => kindIn(one, "role") ?? NO_ROLE));
  return [...vocabulary.role.map(({ name }) => name), NO_ROLE].filter((name) => had.has(name));
}

/** @param {string} name of a role */
function chip(name) {
  const title = kindNamed("role", name)?.meaning ?? "";
  const input = make("input", { type: "checkbox", name: "role", value: name });
  return make("label", { title }, input, make("span", {}, name === NO_ROLE ? "no role" : name, " ", make("b")));
}

function readControl() {
  const form = find("controls", HTMLFormElement);
  const chosen = new FormData(form);
  change({
    colour: String(chosen.get("colour")),
    shown: SHOWN.find((one) => one === chosen.get("shown")) ?? "this",
    roles: new Set(chosen.getAll("role").map(String)),
  });
}

/** Makes the controls say what the state says, wherever it was changed. */
function showFilters() {
  find("colour", HTMLSelectElement).value = state.colour;
  const counts = countsOf(atlas.heads.map((head) => roleOf(head) ?? NO_ROLE));
  for (const input of find("controls", HTMLFormElement).querySelectorAll("input")) {
    if (input.name === "shown") input.checked = input.value === state.shown;
    if (input.name !== "role") continue;
    input.checked = state.roles.has(input.value);
    const count = counts.get(input.value) ?? 0;
    input.setAttribute("aria-label", `${input.value}: ${headCount(count)} ${shownInAtlas()}`.trim());
    /** @type {Element} */ (input.parentElement?.querySelector("b")).textContent = String(count);
  }
  find("colour-meaning", HTMLElement).replaceChildren(...withFlags(meaningOf(state.colour)));
}

/** Which of two atlases roles are counted in; empty if there is only one. */
function shownInAtlas() {
  if (!atlas.against) return "";
  return state.shown === "other" ? "in the other atlas" : "in this atlas";
}

/** @param {number} count */
const headCount = (count) => `${count} ${count === 1 ? "head" : "heads"}`;

/** What a kind or a measure means. @param {string} colour */
function meaningOf(colour) {
  const measure = measureNamed(colour);
  if (!measure) return `${colour}: ${KIND_MEANINGS[colour]}.`;
  return `${measure.title}: ${meaningWithCount(measure)}.`;
}

/** What numbers are over. @type {Record<string, string>} */
const COUNTED = { relations: "relations", trees: "edges", coreference: "mentions" };

/** @param {Measure} measure */
function meaningWithCount(measure) {
  const { name, n, command } = measure;
  return `${meaningWithUnit(measure)}; over ${n.toLocaleString("en")} ${COUNTED[groupOf(name)] ?? "texts"}, as ${command} measures it`;
}

/** @param {Measure} measure */
function meaningWithUnit({ name, meaning }) {
  const unit = unitOf(name);
  return unit && !meaning.includes(unit) ? `${meaning} (${unit})` : meaning;
}

listeners.push(showFilters);
