// The map of all heads by likeness: near is alike, and the axes have no meaning.

const MARGIN = 24;
const CHOSEN = 3; // how much larger the chosen point is
const LABEL = { size: 11, height: 13, letter: 6.2 };
/** @typedef {{ head: Head, x: number, y: number, node: SVGElement }} Point */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */

/** Of the heads that have a place, in the order of the atlas. @type {Point[]} */
const points = [];
const mapLabels = draw("g", { "pointer-events": "none" });
const mapDots = draw("g");
const mapTip = draw("g", { "pointer-events": "none" });
const mapPicture = draw("svg", { id: "map", role: "group", "aria-label": "Map of heads" }, mapDots, mapLabels, mapTip);
const mapBox = make("div", { id: "map-box" }, mapPicture);
const mapSize = { width: 0, height: 0, radius: 6 };

function buildMap() {
  for (const head of atlas.heads.filter(({ place }) => place !== null)) {
    const node = draw("circle", { role: "button", tabindex: -1, "data-key": keyOf(head) });
    points.push({ head, x: 0, y: 0, node });
  }
  mapDots.append(...points.map(({ node }) => node));
  find("map-view", HTMLElement).append(make("p", { id: "map-note" }, mapNote()));
  if (!points.length) return;
  find("map-view", HTMLElement).append(mapBox);
  rove(mapBox, "[data-key]", (key, at) => nearestTowards(key, at));
  mapBox.addEventListener("keydown", (event) => {
    const point = event.key === "Enter" || event.key === " " ? pointOf(event.target) : null;
    if (!point) return;
    event.preventDefault();
    change({ head: point.head });
  });
  mapBox.addEventListener("click", (event) => {
    const point = pointNear(event, 20);
    if (point) change({ head: point.head });
  });
  mapBox.addEventListener("mousemove", (event) => showTip(pointNear(event, 12)));
  mapBox.addEventListener("mouseleave", () => showTip(null));
  mapBox.addEventListener("focusin", (event) => showTip(pointOf(event.target)));
  mapBox.addEventListener("focusout", () => showTip(null));
  new ResizeObserver(fitMap).observe(mapBox);
}

function mapNote() {
  const missing = atlas.heads.length - points.length;
  if (!points.length) return "No map: how alike the heads are was not measured; the remarks above say why.";
  const some = missing ? ` ${headCount(missing)} without a place: left out.` : "";
  return `Heads that lie near each other spread their weights alike. The axes have no meaning; colours are those of the grid.${some}`;
}

/** @param {EventTarget | null} target */
function pointOf(target) {
  return points.find(({ node }) => node === target) ?? null;
}

/** The point nearest to the mouse, no further away than so many pixels. @param {MouseEvent} event @param {number} most */
function pointNear(event, most) {
  const { left, top } = mapPicture.getBoundingClientRect();
  const distance = (/** @type {Point} */ { x, y }) => Math.hypot(x - event.clientX + left, y - event.clientY + top);
  const nearest = points.reduce((one, other) => (distance(other) < distance(one) ? other : one));
  return distance(nearest) <= most ? nearest : null;
}

/** How far a point lies in the direction of an arrow key, and how far aside. @type {Record<string, (x: number, y: number) => [number, number]>} */
const DIRECTIONS = {
  ArrowRight: (x, y) => [x, y],
  ArrowLeft: (x, y) => [-x, y],
  ArrowDown: (x, y) => [y, x],
  ArrowUp: (x, y) => [-y, x],
};

/** The nearest point in the direction of a key, -1 if there is none. @param {string} key @param {number} at */
function nearestTowards(key, at) {
  if (key === "Home") return 0;
  if (key === "End") return points.length - 1;
  const towards = DIRECTIONS[key];
  if (!towards) return -1;
  const isForward = key === "ArrowRight" || key === "ArrowDown";
  const found = points
    .map(({ x, y }, other) => ({ other, way: towards(x - points[at].x, y - points[at].y) }))
    .filter(({ other, way: [ahead, aside] }) => (ahead || aside ? ahead > 0 : isForward ? other > at : other < at))
    .map(({ other, way: [ahead, aside] }) => ({ other, cost: ahead + 2 * Math.abs(aside) }));
  return found.length ? found.reduce((one, next) => (next.cost < one.cost ? next : one)).other : -1;
}

/** Places the points anew if the width of the page is not that for which they were. */
function fitMap() {
  if (mapBox.clientWidth !== mapSize.width) placePoints();
}

/** Fits the map to the width of the page, with both axes in the same scale. */
function placePoints() {
  const places = points.map(({ head }) => /** @type {[number, number]} */ (head.place));
  const width = mapBox.clientWidth || 640;
  const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
  const [left, top] = [Math.min(...xs), Math.max(...ys)];
  const [wide, high] = [Math.max(...xs) - left, top - Math.min(...ys)];
  const most = Math.min(600, Math.max(340, 0.6 * width));
  const scale = Math.min((width - 2 * MARGIN) / (wide || 1), (most - 2 * MARGIN) / (high || 1));
  Object.assign(mapSize, { width, height: high * scale + 2 * MARGIN, radius: width < 500 ? 5 : 7 });
  const before = (width - wide * scale) / 2;
  points.forEach((point, at) => {
    Object.assign(point, { x: before + (xs[at] - left) * scale, y: MARGIN + (top - ys[at]) * scale });
  });
  for (const [name, value] of Object.entries({ width, height: mapSize.height, viewBox: `0 0 ${width} ${mapSize.height}` })) {
    mapPicture.setAttribute(name, String(value));
  }
  markMap();
}

/** Colours the points, marks the chosen head, and labels those that matter. */
function markMap() {
  for (const { head, x, y, node } of points) {
    const isChosen = head === state.head;
    const attributes = {
      cx: x.toFixed(1),
      cy: y.toFixed(1),
      r: mapSize.radius + (isChosen ? CHOSEN : 0),
      fill: colourOf(head) ?? paletteColour("paper"),
      stroke: isChosen ? paletteColour("ink") : paletteColour("quiet"),
      "stroke-width": isChosen ? 2.5 : 0.7,
      opacity: isKept(head) || isChosen ? 1 : 0.15,
      "aria-pressed": String(isChosen),
      "aria-label": `${headName(head)}, ${kindInWords(head, "role")}`,
    };
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  }
  const nodes = points.map(({ node }) => node);
  const stop = points.find(({ head }) => head === state.head)?.node ?? nodes[0];
  nodes.forEach((node) => node.setAttribute("tabindex", node === stop ? "0" : "-1"));
  const chosen = points.filter(({ head }) => head === state.head).map(({ node }) => draw("circle", lookOf(node)));
  mapLabels.replaceChildren(...chosen, ...labelsOf());
  showTip(null);
}

/** How a point looks, for another that is drawn over its neighbours. @param {SVGElement} node */
function lookOf(node) {
  const names = ["cx", "cy", "r", "fill", "stroke", "stroke-width"];
  return Object.fromEntries(names.map((name) => [name, node.getAttribute(name) ?? ""]));
}

/** The points worth a label: the chosen head, those like it, the telling ones; of several in one place the first. */
function pointsToLabel() {
  const { head } = state;
  const keys = [...(head ? [keyOf(head), ...head.nearest.map(keyOf)] : []), ...atlas.telling.map(keyOf)];
  return [...new Set(keys)].flatMap((key) => points.find((point) => keyOf(point.head) === key) ?? []).filter((point) => isKept(point.head) || point.head === head);
}

/** Each label beside its point where it hides least; none on another label. */
function labelsOf() {
  /** @type {Box[]} */
  const taken = [];
  return pointsToLabel().flatMap((point) => {
    const text = keyOf(point.head);
    const free = labelBoxes(point, text).filter((box) => isInside(box) && !taken.some((other) => overlap(box, other)));
    const hidden = (/** @type {Box} */ box) => points.filter(({ x, y }) => overlap(box, boxAround(x, y, mapSize.radius, mapSize.radius))).length;
    const best = free.sort((one, other) => hidden(one) - hidden(other))[0];
    if (!best) return [];
    taken.push(best);
    return [labelAt(text, (best.left + best.right) / 2, best.bottom - 3, point.head === state.head)];
  });
}

/** Right of the point, left, above, below. @param {Point} point @param {string} text */
function labelBoxes({ head, x, y }, text) {
  const [half, high] = [(text.length * LABEL.letter) / 2, LABEL.height / 2];
  const away = mapSize.radius + (head === state.head ? CHOSEN : 0) + 4;
  const shifts = [[away + half, 0], [-away - half, 0], [0, -away - high + 2], [0, away + high - 2]];
  return shifts.map(([right, down]) => boxAround(x + right, y + down, half, high));
}

/** @param {number} x @param {number} y @param {number} half its width @param {number} high half its height @returns {Box} */
function boxAround(x, y, half, high) {
  return { left: x - half, right: x + half, top: y - high, bottom: y + high };
}

/** @param {Box} one @param {Box} other */
function overlap(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

/** @param {Box} box */
function isInside({ left, right, top, bottom }) {
  return left >= 0 && top >= 0 && right <= mapSize.width && bottom <= mapSize.height;
}

/** @param {string} text @param {number} x @param {number} y @param {boolean} isStrong */
function labelAt(text, x, y, isStrong) {
  const halo = { stroke: paletteColour("paper"), "stroke-width": 3, "paint-order": "stroke", "stroke-linejoin": "round" };
  const look = { "font-size": LABEL.size + (isStrong ? 1 : 0), "font-weight": isStrong ? 700 : 400, fill: paletteColour("ink") };
  return draw("text", { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": "middle", ...look, ...halo }, text);
}

/** Names the point that is pointed at. @param {Point | null} point */
function showTip(point) {
  const text = point ? `${keyOf(point.head)} ${roleOf(point.head) ?? ""}`.trim() : "";
  const half = (text.length * LABEL.letter) / 2;
  const x = point ? Math.min(mapSize.width - half, Math.max(half, point.x)) : 0;
  const y = point ? (point.y < 2 * MARGIN ? point.y + mapSize.radius + 16 : point.y - mapSize.radius - 6) : 0;
  mapTip.replaceChildren(...(point ? [labelAt(text, x, y, true)] : []));
}

/** @param {Set<string>} changed */
function showMap(changed) {
  if (points.length && hasAny(changed, "colour", "shown", "head", "roles", "theme")) markMap();
}

buildMap();
listeners.push(showMap);
