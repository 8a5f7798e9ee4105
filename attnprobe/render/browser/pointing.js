// Which tokens are looked at: by the mouse, by the keyboard, or kept by clicks.

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
  if (!scene.choice) return;
  const rows = keptRows(side);
  const pieces = piecesOf((side === "query" ? scene.queries : scene.keys)[at], scene.choice);
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
  watchLists(tokens, lists, point);
  tokens.addEventListener("click", (event) => {
    const place = placeIn(lists, event.target);
    if (place) keep(place, event.shiftKey || event.ctrlKey || event.metaKey);
  });
  find("as-text", HTMLDetailsElement).addEventListener("toggle", drawLines);
}
