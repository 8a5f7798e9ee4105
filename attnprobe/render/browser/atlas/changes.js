// What changed from the other atlas to this one. `changes` in atlases/changes.py finds the same.

const MOST_CHANGED = 3; // heads of each measure
const MOST_HEADS = 10;
const ALIKE = 1e-6; // of the largest magnitude: heads that differ by less differ by rounding

/** @typedef {{ head: Head, name: string, before: number, now: number, spread: number }} Changed `spread`: of the measure, over heads */
/** @typedef {{ before: string, now: string, heads: Head[] }} RoleChange */
/** @typedef {{ head: Head, count: number, largest: Changed, role: RoleChange | null }} HeadChange `count`: of numbers */

/** Whether two intervals are known and share no number. @param {Estimate | undefined} now @param {Estimate | undefined} before */
function areApart(now, before) {
  if (!now || !before) return false;
  const [[, low, high], [, lowBefore, highBefore]] = [now, before];
  if (low === null || high === null || lowBefore === null || highBefore === null) return false;
  return low > highBefore || high < lowBefore;
}

/** The standard deviation over heads; 0: they are alike but for rounding. @param {Known[]} heads @param {string} name */
function spreadOver(heads, name) {
  const values = heads.flatMap(({ values }) => (values[name] ? [values[name][0]] : []));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return spread > ALIKE * Math.max(...values.map(Math.abs)) ? spread : 0;
}

/** That of the other atlas, or of this one if the other's heads are alike; 0: the measure says nothing of heads. @param {string} name */
function spreadOf(name) {
  return spreadOver([...othersByKey.values()], name) || spreadOver(atlas.heads, name);
}

/** The heads whose intervals of a measure are apart, the largest change first. @param {string} name @returns {Changed[]} */
function changedIn(name) {
  const spread = spreadOf(name);
  if (!spread && atlas.heads.length > 1) return [];
  const found = atlas.heads.flatMap((head) => {
    const [now, before] = [head.values[name], otherOf(head)?.values[name]];
    if (!before || !areApart(now, before)) return [];
    return [{ head, name, before: before[0], now: now[0], spread }];
  });
  return found.sort((one, other) => Math.abs(other.now - other.before) - Math.abs(one.now - one.before));
}

/** Heads by how many of their numbers changed; of equal counts, those with another role first. @param {Changed[]} numbers @param {RoleChange[]} changes @returns {HeadChange[]} */
function changedMost(numbers, changes) {
  const roles = new Map(changes.flatMap((role) => role.heads.map((head) => [head, role])));
  const byHead = grouped(numbers, ({ head }) => keyOf(head));
  const heads = atlas.heads.flatMap((head) => {
    const [first, ...more] = byHead.get(keyOf(head)) ?? [];
    if (!first) return [];
    const largest = more.reduce((most, one) => (sizeOf(one) > sizeOf(most) ? one : most), first);
    return [{ head, count: 1 + more.length, largest, role: roles.get(head) ?? null }];
  });
  return heads.sort((one, other) => other.count - one.count || Number(other.role !== null) - Number(one.role !== null));
}

/** A change in spreads of its measure; 0 if there is no other head to compare to. @param {Changed} changed */
function sizeOf({ now, before, spread }) {
  return spread > 0 ? Math.abs(now - before) / spread : 0;
}

/** The heads that have another role, by what it was and is, most heads first; null if only one of the two atlases has roles. @returns {RoleChange[] | null} */
function changedRoles() {
  const both = atlas.heads.filter(otherOf);
  if (both.some(({ role }) => role !== null) !== both.some((head) => otherOf(head)?.role != null)) return null;
  /** @type {Map<string, RoleChange>} */
  const found = new Map();
  for (const head of atlas.heads) {
    const other = otherOf(head);
    if (!other || kindIn(other, "role") === kindIn(head, "role")) continue;
    const [before, now] = [other, head].map((one) => kindIn(one, "role") ?? "no role");
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
const SPREADS =
  "the change, divided by the standard deviation over the heads of the other atlas, or of this one if the other's heads are alike";
/** @type {PlainColumn<Changed>[]} */
const CHANGE_COLUMNS = [
  { title: "head", isText: true, cell: ({ head }) => headButton(head) },
  { title: "measure", isText: true, cell: ({ name }) => measureButton(name) },
  { title: "other", isSpare: true, cell: ({ name, before }) => inDigits(name, before) },
  { title: "this", isSpare: true, cell: ({ name, now }) => inDigits(name, now) },
  { title: "change", meaning: "this minus the other", cell: ({ name, before, now }) => inDigits(name, now - before, true) },
  { title: "in spreads", meaning: SPREADS, cell: (changed) => sizeOf(changed).toFixed(1) },
];
/** @type {PlainColumn<HeadChange>[]} */
const HEAD_COLUMNS = [
  { title: "head", isText: true, cell: ({ head }) => headButton(head) },
  { title: "numbers", meaning: "how many of its numbers changed", cell: ({ count }) => String(count) },
  { title: "largest change", meaning: "in spreads", isText: true, cell: ({ largest }) => make("span", {}, measureButton(largest.name), changeInWords(largest)) },
  { title: "role", isText: true, cell: ({ role }) => (role ? `${role.before} → ${role.now}` : "") },
];

/** A value of a measure, or its change, with the digits that tell its changes apart. @param {string} name @param {number} value @param {boolean} isChange */
function inDigits(name, value, isChange = false) {
  return written(name, value, 1, isChange, scaleOf(name, true).digits);
}

/** @param {Changed} changed */
function changeInWords({ name, before, now }) {
  return ` ${inDigits(name, before)} → ${inDigits(name, now)} (${inDigits(name, now - before, true)})`;
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
  const section = find("changes", HTMLElement);
  if (!atlas.against) return section.remove();
  section.hidden = false;
  section.tabIndex = -1;
  find("see-changes", HTMLElement).addEventListener("click", () => {
    section.focus({ preventScroll: true });
    section.scrollIntoView();
  });
  const numbers = atlas.measures.map(({ name }) => changedIn(name));
  const roles = changedRoles();
  section.append(rolesPart(roles), ...headsPart(numbers.flat(), roles ?? []), numbersPart(numbers));
}

/** @param {RoleChange[] | null} roles */
function rolesPart(roles) {
  if (!roles) {
    return make("div", {}, make("h3", {}, "Roles"), make("p", {}, "Roles are not compared: one of the two atlases has none."));
  }
  const count = roles.reduce((sum, { heads }) => sum + heads.length, 0);
  const title = make("h3", { id: "roles-title" }, `${count} of ${othersByKey.size} heads ${count === 1 ? "has" : "have"} another role`);
  return make("div", {}, title, ...(count ? [plainTable("roles-title", ROLE_COLUMNS, roles)] : []));
}

/** @param {Changed[]} numbers @param {RoleChange[]} roles */
function headsPart(numbers, roles) {
  const heads = changedMost(numbers, roles).slice(0, MOST_HEADS);
  if (!heads.length) return [];
  const title = make("h3", { id: "changed-title" }, "The heads that changed most");
  const about = "By how many of their numbers changed so much that the two 95\u00a0% intervals are apart.";
  return [make("div", {}, title, make("p", {}, about), plainTable("changed-title", HEAD_COLUMNS, heads))];
}

/** @param {Changed[][]} found by measure */
function numbersPart(found) {
  const count = found.flat().length;
  const most = found.flatMap((changed) => changed.slice(0, MOST_CHANGED)).sort((one, other) => sizeOf(other) - sizeOf(one));
  const nothing = "No number changed so much that its two 95\u00a0% intervals are apart. Numbers without intervals are not tested.";
  const about =
    `${count.toLocaleString("en")} ${count === 1 ? "number" : "numbers"} changed so much that the two 95\u00a0% intervals are apart. Listed are the ${MOST_CHANGED} heads of each measure that changed most, ` +
    "in the order of their change beside the spread of that measure over heads. " +
    "Numbers without intervals, and measures in which all heads are alike, are not among them; of many intervals, some are apart by chance.";
  const title = make("h3", { id: "numbers-title" }, "The largest changes");
  return make("div", {}, title, make("p", {}, count ? about : nothing), ...(count ? [plainTable("numbers-title", CHANGE_COLUMNS, most)] : []));
}

buildChanges();
