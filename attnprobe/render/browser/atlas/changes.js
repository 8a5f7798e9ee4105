// What changed from the other atlas to this one. `changes` in atlases/changes.py finds the same.

const MOST_CHANGED = 3; // heads of each measure

/** @typedef {{ head: Head, name: string, before: number, now: number, spread: number }} Changed `spread`: of the measure, over heads */
/** @typedef {{ before: string, now: string, heads: Head[] }} RoleChange */

/** Whether two intervals are known and share no number. @param {Estimate | undefined} now @param {Estimate | undefined} before */
function areApart(now, before) {
  if (!now || !before) return false;
  const [[, low, high], [, lowBefore, highBefore]] = [now, before];
  if (low === null || high === null || lowBefore === null || highBefore === null) return false;
  return low > highBefore || high < lowBefore;
}

/** The standard deviation of a measure over the heads of the other atlas. @param {string} name */
function spreadOf(name) {
  const values = [...othersByKey.values()].flatMap(({ values }) => (values[name] ? [values[name][0]] : []));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/** The heads whose intervals of a measure are apart, the largest change first. @param {string} name @returns {Changed[]} */
function changedIn(name) {
  const spread = spreadOf(name);
  const found = atlas.heads.flatMap((head) => {
    const [now, before] = [head.values[name], otherOf(head)?.values[name]];
    if (!before || !areApart(now, before)) return [];
    return [{ head, name, before: before[0], now: now[0], spread }];
  });
  return found.sort((one, other) => Math.abs(other.now - other.before) - Math.abs(one.now - one.before));
}

/** A change beside the spread of its measure over heads; 0 where heads do not differ. @param {Changed} changed */
function sizeOf({ now, before, spread }) {
  return spread > 0 ? Math.abs(now - before) / spread : 0;
}

/** The heads that have another role, by what it was and is, most heads first. @returns {RoleChange[]} */
function changedRoles() {
  /** @type {Map<string, RoleChange>} */
  const found = new Map();
  for (const head of atlas.heads) {
    const other = otherOf(head);
    if (!other || other.role === head.role) continue;
    const [before, now] = [other.role ?? "no role", head.role ?? "no role"];
    const key = JSON.stringify([before, now]);
    found.set(key, { before, now, heads: [...(found.get(key)?.heads ?? []), head] });
  }
  return [...found.values()].sort((one, other) => other.heads.length - one.heads.length);
}

/** @type {PlainColumn<RoleChange>[]} */
const ROLE_COLUMNS = [
  { title: "role in the other", isText: true, cell: ({ before }) => before },
  { title: "role in this", isText: true, cell: ({ now }) => now },
  { title: "heads", isText: true, cell: ({ heads }) => make("span", { class: "heads" }, ...heads.map(headButton)) },
];
/** @type {PlainColumn<Changed>[]} */
const CHANGE_COLUMNS = [
  { title: "head", isText: true, cell: ({ head }) => headButton(head) },
  { title: "measure", isText: true, cell: ({ name }) => measureButton(name) },
  { title: "other", isSpare: true, cell: ({ before, spread }) => digitsBy(spread, before) },
  { title: "this", isSpare: true, cell: ({ now, spread }) => digitsBy(spread, now) },
  { title: "change", meaning: "this minus the other", cell: ({ before, now, spread }) => digitsBy(spread, now - before, true) },
  { title: "in spreads", meaning: "the change, divided by the standard deviation over the heads of the other atlas", cell: (changed) => sizeOf(changed).toFixed(1) },
];

/** A number with the digits that tell it from others of such a spread. @param {number} spread @param {number} value @param {boolean} isChange */
function digitsBy(spread, value, isChange = false) {
  const digits = spread > 0 ? Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(spread)))) : 3;
  return withSign(value.toFixed(digits), isChange);
}

/** A measure's name, which colours all heads by how it changed. @param {string} name */
function measureButton(name) {
  const measure = measureNamed(name);
  const title = measure?.title ?? name;
  const label = `colour by the change of ${groupTitle(groupOf(name))}: ${title}`;
  const show = () => change({ colour: name, shown: "change" });
  return makeButton(show, { title: measure?.meaning ?? "", "aria-label": label }, title);
}

function buildChanges() {
  const { against } = atlas;
  const section = find("changes", HTMLElement);
  if (!against) return section.remove();
  section.hidden = false;
  section.tabIndex = -1;
  find("see-changes", HTMLElement).addEventListener("click", () => {
    section.focus({ preventScroll: true });
    section.scrollIntoView();
  });
  const read = [`attnprobe ${against.attnprobe}`, ...sourcesOf(against)].join(" · ");
  const about = `From the other, ${against.model.name} (${read}), to this: a change is this minus the other.`;
  section.querySelector(".title")?.after(make("p", {}, about));
  section.append(rolesPart(), numbersPart());
}

function rolesPart() {
  const both = atlas.heads.filter(otherOf);
  if (both.some(({ role }) => role !== null) !== both.some((head) => otherOf(head)?.role != null)) {
    return make("div", {}, make("h3", {}, "Roles"), make("p", {}, "Roles are not compared: one of the two atlases has none."));
  }
  const roles = changedRoles();
  const count = roles.reduce((sum, { heads }) => sum + heads.length, 0);
  const title = make("h3", { id: "roles-title" }, `${count} of ${othersByKey.size} heads ${count === 1 ? "has" : "have"} another role`);
  return make("div", {}, title, ...(count ? [plainTable("roles-title", ROLE_COLUMNS, roles)] : []));
}

function numbersPart() {
  const found = atlas.measures.map(({ name }) => changedIn(name));
  const count = found.reduce((sum, { length }) => sum + length, 0);
  const most = found.flatMap((changed) => changed.slice(0, MOST_CHANGED)).sort((one, other) => sizeOf(other) - sizeOf(one));
  const nothing = "No number changed so much that its two 95\u00a0% intervals are apart. Numbers without intervals are not tested.";
  const about =
    `${count.toLocaleString("en")} numbers changed so much that their two 95\u00a0% intervals are apart. Listed are the ${MOST_CHANGED} heads of each measure that changed most, ` +
    "in the order of their change beside the spread of that measure over heads. " +
    "Numbers without intervals are not among them; of many intervals, some are apart by chance.";
  const title = make("h3", { id: "numbers-title" }, "The largest changes");
  return make("div", {}, title, make("p", {}, count ? about : nothing), ...(count ? [plainTable("numbers-title", CHANGE_COLUMNS, most)] : []));
}

buildChanges();
