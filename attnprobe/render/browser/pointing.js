// Which token is looked at: by the mouse, by the keyboard, or kept by a click.

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
  const before = focused();
  state.pointed = place;
  if (!same(before, focused())) change({}, "lines");
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
    if (place) change({ pinned: same(place, state.pinned) ? null : place }, "lines");
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
