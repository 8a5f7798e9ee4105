// What heads are measured against: relations and antecedents on texts that did not choose the head, trees beside chains.

const BEST = 3; // heads of which trees are listed
const FEW = 30; // questions, of which fewer say little

/** @type {PlainColumn<Cells>[]} */
const HEAD_AND_GAIN = [
  { title: "head", isText: true, cell: headOfRow },
  { title: "accuracy, %", cell: ({ accuracy }) => percent(accuracy) },
  { title: "baseline, %", cell: ({ baseline }) => percent(baseline) },
];
/** @type {PlainColumn<Cells>[]} */
const GAIN = [
  { title: "gain, points", meaning: "accuracy minus baseline", cell: ({ gain }) => percent(gain, true) },
  { title: "95\u00a0% interval", meaning: "of the gain", cell: ({ gain_low, gain_high }) => (gain_low === null ? "" : `${percent(gain_low, true)} … ${percent(gain_high, true)}`) },
];
/** @type {PlainColumn<Cells>[]} */
const RELATION_COLUMNS = [
  { title: "relation", isText: true, cell: ({ relation }) => String(relation) },
  { title: "n", meaning: "how many of it are in the sentences that report", cell: ({ n }) => String(n) },
  HEAD_AND_GAIN[0],
  { title: "direction", isText: true, meaning: "dep->head: what the dependent attends to most; head->dep: what attends most to it", cell: ({ direction }) => String(direction ?? "") },
  HEAD_AND_GAIN[1],
  { title: "offset", meaning: "the word at this distance from the dependent is the baseline", cell: ({ baseline_offset: offset }) => (typeof offset === "number" ? withSign(String(offset), true) : "") },
  HEAD_AND_GAIN[2],
  ...GAIN,
];
/** @type {PlainColumn<Cells>[]} */
const COREFERENCE_COLUMNS = [
  { title: "mentions", isText: true, cell: ({ group }) => String(group) },
  { title: "answer", isText: true, cell: ({ answer }) => String(answer) },
  { title: "n", meaning: "how many mentions the documents that report have", cell: ({ n }) => String(n) },
  ...HEAD_AND_GAIN.slice(0, 2),
  { title: "baseline", isText: true, cell: ({ baseline_name }) => String(baseline_name ?? "").replaceAll("_", " ") },
  HEAD_AND_GAIN[2],
  ...GAIN,
];
/** @type {PlainColumn<Cells>[]} */
const TREE_COLUMNS = [
  { title: "tree of", isText: true, cell: treeOfRow },
  { title: "UUAS, %", meaning: "the share of annotated edges that the tree has, whatever their direction", cell: ({ uuas }) => percent(uuas) },
  { title: "95\u00a0% interval", cell: ({ low, high }) => (typeof low === "number" ? `${percent(low)} … ${percent(high)}` : "") },
  { title: "n", meaning: "how many edges are annotated", cell: ({ n }) => String(n) },
];

/** @param {Cells} row */
function headOfRow({ layer, head }) {
  return typeof layer === "number" && typeof head === "number" ? headButton({ layer, head }) : "";
}

/** Whether a gain may be none: its interval is not all above 0, or unknown; or it is of few. @param {Cells} row */
function isUnsure({ gain, gain_low: low, n }) {
  return gain !== undefined && !(typeof low === "number" && low > 0 && Number(n) >= FEW);
}

/** @param {Cells} row */
function treeOfRow(row) {
  if (typeof row.head === "number") return headOfRow(row);
  return row.layer === null ? String(row.head) : `layer ${row.layer}, mean of heads`;
}

/** The best heads, the best mean of a layer, and the baselines. @returns {Cells[]} */
function treeRows() {
  const [n] = atlas.trees.map((row) => row.n);
  const heads = atlas.heads.filter(({ values }) => values["trees.uuas"]).map(({ layer, head, values }) => {
    const [uuas, low, high] = values["trees.uuas"];
    return { layer, head, uuas, low, high, n };
  });
  const means = atlas.trees.filter(({ layer }) => layer !== null);
  const highest = (/** @type {Cells[]} */ rows) => rows.sort((one, other) => Number(other.uuas) - Number(one.uuas));
  return [...highest(heads).slice(0, BEST), ...highest(means).slice(0, 1), ...atlas.trees.filter(({ layer }) => layer === null)];
}

/** What a section of records was read from. @param {string} name @param {string} unit what a record is */
function sourceOf(name, unit) {
  const section = atlas.sections.find((section) => section.name === name);
  return section ? `${section.sources.join(", ")}, ${section.texts.toLocaleString("en")} ${unit}` : name;
}

/** What is shown of each part of the data that is not of single heads; without rows it is not. */
const BASELINES = [
  {
    name: "relations",
    title: "Relations, held out",
    columns: RELATION_COLUMNS,
    rows: atlas.relations,
    about:
      `${sourceOf("treebank", "sentences")}. The head, its direction and the offset of the baseline are those that are right most often in even sentences; ` +
      `all numbers are about the odd ones, which did not choose. The interval is a bootstrap over sentences; rows are dim unless all of it is above 0, and where n is below ${FEW}.`,
  },
  {
    name: "trees",
    title: "Trees beside baselines",
    columns: TREE_COLUMNS,
    rows: atlas.trees.length ? treeRows() : [],
    about:
      `${sourceOf("treebank", "sentences")}. Maximum spanning trees over words; chain joins neighbours, offset joins words at the best fixed distance. ` +
      `Nothing is held out here: the best of ${atlas.heads.length} heads looks better than it is on other sentences.`,
  },
  {
    name: "coreference",
    title: "Antecedents, held out",
    columns: COREFERENCE_COLUMNS,
    rows: atlas.coreference,
    about:
      `${sourceOf("documents", "documents")}. Head and baseline are those that are right most often in even documents; all numbers are about the odd ones. ` +
      "A head is right where its largest weight falls on the word that stands for an earlier mention of the same entity: of all earlier mentions (answer mentions), of all earlier words (words), or where mentions look back at it from (back). " +
      `Rules: nearest, the mention before; head match, the last one with the same head word; sieves, both and more in turn. Rows are dim unless the gain's interval is above 0, and where n is below ${FEW}.`,
  },
];

function buildBaselines() {
  const parts = BASELINES.filter(({ rows }) => rows.length).map(({ name, title, about, columns, rows }) => {
    const id = `${name}-title`;
    return make("div", { id: name }, make("h3", { id }, title), make("p", {}, about), plainTable(id, columns, rows, isUnsure));
  });
  const section = find("baselines", HTMLElement);
  section.hidden = !parts.length;
  section.append(...parts);
}

buildBaselines();
