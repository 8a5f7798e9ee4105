// The card of the chosen head: what it does in words, an example, its numbers, the heads that are like it.

const card = find("card", HTMLElement);
const cardName = find("card-title", HTMLElement);
const cardWords = make("div", { id: "card-words" });
const cardNumbers = make("div", { id: "card-numbers" });

/** The head that the card shows: the chosen one, else a telling one. */
function headOfCard() {
  const [first] = atlas.telling;
  return state.head ?? (first ? headAt(first.layer, first.head) : null) ?? atlas.heads[0];
}

function buildCard() {
  const buttons = [stepButton("Previous", "p", -1), stepButton("Next", "n", 1)];
  cardName.after(make("span", { class: "buttons" }, ...buttons));
  card.tabIndex = -1;
  card.addEventListener("keydown", ({ key, ctrlKey, altKey, metaKey, target }) => {
    const step = { p: -1, n: 1 }[key];
    if (step && !ctrlKey && !altKey && !metaKey && !(target instanceof HTMLSelectElement)) stepHead(step);
  });
  find("card-body", HTMLElement).append(cardWords, exampleView, cardNumbers);
}

/** @param {string} name @param {string} key @param {number} step */
function stepButton(name, key, step) {
  const title = `${name} head (key ${key}, within the card)`;
  return makeButton(() => stepHead(step), { "aria-label": `${name} head`, "aria-keyshortcuts": key, title }, name);
}

/** Chooses the next head of those whose roles are shown, from the last to the first; the keys stay with the card. @param {number} step */
function stepHead(step) {
  const { length } = atlas.heads;
  const from = atlas.heads.indexOf(headOfCard());
  const others = atlas.heads.map((_, at) => atlas.heads[(from + step * (at + 1) + length * (at + 2)) % length]);
  const head = others.find(isKept);
  if (head) change({ head });
  if (!card.contains(document.activeElement)) card.focus({ preventScroll: true });
}

/** @param {Set<string>} changed */
function showCard(changed) {
  if (hasAny(changed, "head", "shown", "theme")) {
    const head = headOfCard();
    cardName.replaceChildren(keyOf(head), make("small", {}, ` ${headName(head)}`));
    cardWords.replaceChildren(...hintsOf(), ...namesOf(head), findingsOf(head));
    showExamples(head);
    cardNumbers.replaceChildren(...nearestOf(head), ...numbersOf(head), ...relationsOf(head));
  }
  for (const button of cardNumbers.querySelectorAll("[data-measure]")) {
    button.setAttribute("aria-pressed", String(button.getAttribute("data-measure") === state.colour));
  }
}

/** What the card shows, where that is not plain to see. */
function hintsOf() {
  const choose = "Choose a head in the grid, on the map or in the table. ";
  const first = atlas.telling.length ? "Until then, here is a telling one." : "Until then, here is the first one.";
  const other = "Findings of the other atlas; examples and nearest heads of this one.";
  const hints = [...(state.head ? [] : [choose + first]), ...(state.shown === "other" ? [other] : [])];
  return hints.map((hint) => make("p", { class: "hint" }, hint));
}

/** The role and the pattern with what they mean; of a comparison those of both atlases, where they differ. @param {Head} head */
function namesOf(head) {
  const other = atlas.against ? otherOf(head) : head;
  const role = nameLine("role", kindIn(head, "role"), kindIn(other, "role"));
  role.prepend(roleDot(head));
  return [role, nameLine("pattern", head.pattern, other?.pattern ?? null)];
}

/** A dot in the colour of the head's role. @param {Head} head */
function roleDot(head) {
  const dot = make("span", { class: "dot", "aria-hidden": true });
  const role = roleOf(head);
  if (role !== null) dot.style.background = colourOfKind("role", role);
  return dot;
}

/** @param {Kind} kind @param {string | null} name @param {string | null} other of the other atlas */
function nameLine(kind, name, other) {
  const meaning = kindNamed(kind, name)?.meaning;
  const before = other === name ? "" : ` In the other atlas: ${other ?? "none"}.`;
  const title = { role: "Role ", pattern: "Pattern " }[kind];
  return make("p", { class: "name" }, title, make("strong", {}, name ?? "none"), meaning ? `: ${meaning}.` : ".", before);
}

/** @param {Head} head */
function findingsOf(head) {
  const findings = shownOf(head)?.findings ?? [];
  const items = findings.map(({ text }) => make("li", {}, text));
  return items.length ? make("ol", { class: "findings", "aria-label": "findings" }, ...items) : make("p", {}, "Nothing stands out.");
}

/** @param {Head} head */
function numbersOf(head) {
  const groups = numberGroups(head);
  const hint =
    "Statistics are means over all tokens of a text as queries, added ones too, then over texts. " +
    "Small print: 95\u00a0% intervals over texts, of trees over sentences (Student's t). " +
    "Bars run from the lowest to the highest of all heads. Rank 1 is the highest. A name colours the grid.";
  return groups.length ? [make("h3", {}, "Numbers"), make("p", { class: "hint" }, hint), ...groups] : [];
}

/** @param {Head} head */
function nearestOf({ nearest }) {
  const items = nearest.flatMap(({ layer, head, distance }) => {
    const found = headAt(layer, head);
    return found ? [make("li", {}, nearButton(found, distance))] : [];
  });
  const hint = "Jensen-Shannon divergence of their weights, in nats: from 0, the same, to 0.693 (ln 2), nothing in common.";
  return items.length ? [make("h3", {}, "Nearest heads"), make("p", { class: "hint" }, hint), make("ol", { class: "nearest" }, ...items)] : [];
}

/** @param {Head} head @param {number} distance */
function nearButton(head, distance) {
  const role = kindInWords(head, "role");
  const label = `${headName(head)}, ${role}, distance ${number(distance)}`;
  const choose = () => {
    change({ head });
    card.focus();
  };
  const words = [roleDot(head), `${keyOf(head)} `, make("small", {}, number(distance))];
  return makeButton(choose, { "aria-label": label, title: `${role}, distance ${distance}` }, ...words);
}

/** @type {PlainColumn<Relation>[]} */
const POINTED_COLUMNS = [
  { title: "relation", isText: true, cell: ({ relation }) => relation },
  { title: "direction", isText: true, cell: ({ direction }) => direction },
  { title: "accuracy, %", cell: ({ accuracy }) => percent(accuracy) },
  {
    title: "baseline, %",
    meaning: "the best fixed offset, and how often the word at this offset is the right one",
    cell: ({ baseline, baseline_offset: offset }) => `${percent(baseline)} (${withSign(String(offset), true)})`,
  },
  { title: "gain, points", meaning: "accuracy minus baseline", cell: ({ gain }) => percent(gain, true) },
  { title: "n", cell: ({ n }) => String(n) },
];

/** The relations that the head gains most on, chosen and measured on the same sentences. @param {Head} head */
function relationsOf({ relations }) {
  if (!relations.length) return [];
  const note = "In-sample: chosen and measured on the same sentences, so they look better than they are. See “Relations, held out”.";
  const title = make("h3", { id: "pointed-title" }, "Best relations");
  return [title, make("p", { class: "hint" }, note), plainTable("pointed-title", POINTED_COLUMNS, relations)];
}

buildCard();
listeners.push(showCard);
