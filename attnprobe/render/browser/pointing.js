// Which tokens are looked at: by the mouse, by the keyboard, or kept by clicks.

/** @param {EventTarget | null} target @returns {Place | null} */
function placeOf(target) {
  const button = target instanceof Element ? target.closest("button") : null;
  if (!button?.dataset.at) return null;
  return { side: lists.query.contains(button) ? "query" : "key", at: Number(button.dataset.at) };
}

/** @param {Place | null} one @param {Place | null} other */
function same(one, other) {
  return one?.side === other?.side && one?.at === other?.at;
}

/** @param {Place | null} place */
function point(place) {
  if (same(place, state.pointed)) return;
  const isSeen = !keptRows("query").length && !keptRows("key").length;
  state.pointed = place;
  if (isSeen) change({}, "lines");
}

/**
 * Keeps a token, alone of its list or beside others, or lets it go if it is kept.
 * @param {Place} place
 * @param {boolean} beside
 */
function keep({ side, at }, beside) {
  const rows = keptRows(side);
  const pieces = piecesOf((side === "query" ? scene.queries : scene.keys)[at], state.choice);
  const others = beside ? state.kept[side].filter((piece) => !pieces.includes(piece)) : [];
  const isLetGo = rows.includes(at) && (beside || rows.length === 1);
  const kept = isLetGo ? others : [...others, ...pieces].sort((one, other) => one - other);
  change({ kept: { ...state.kept, [side]: kept } }, "kept");
}

function letGo() {
  if (state.kept.query.length + state.kept.key.length) change({ kept: { query: [], key: [] } }, "kept");
}

function watchTokens() {
  const tokens = find("tokens", HTMLElement);
  tokens.addEventListener("mouseover", (event) => point(placeOf(event.target)));
  tokens.addEventListener("mouseleave", () => point(null));
  tokens.addEventListener("focusin", (event) => {
    if (event.target instanceof Element && event.target.matches(":focus-visible")) point(placeOf(event.target));
  });
  tokens.addEventListener("focusout", () => point(null));
  tokens.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place) keep(place, event.shiftKey || event.ctrlKey || event.metaKey);
  });
  for (const list of Object.values(lists)) rove(list, "button", (key, at, count) => gridStep(key, at, count, 1));
  tokens.addEventListener("keydown", crossOver);
  find("as-text", HTMLDetailsElement).addEventListener("toggle", drawLines);
}

/** Left and right lead to the same row of the other list. @param {KeyboardEvent} event */
function crossOver(event) {
  const place = placeOf(event.target);
  const side = event.key === "ArrowLeft" ? "query" : event.key === "ArrowRight" ? "key" : null;
  if (!place || !side || side === place.side) return;
  event.preventDefault();
  const buttons = lists[side].querySelectorAll("button");
  buttons[Math.min(place.at, buttons.length - 1)]?.focus();
}
