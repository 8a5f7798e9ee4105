// The heads that show most, each by one of its findings.

function buildTelling() {
  const entries = atlas.telling.flatMap(({ layer, head: number, finding }) => {
    const head = headAt(layer, number);
    const text = head?.findings[finding]?.text;
    if (!head || !text) return [];
    const words = [make("b", {}, keyOf(head)), ` ${text}`];
    return [make("li", {}, makeButton(() => change({ head }), { "data-key": keyOf(head) }, ...words))];
  });
  const list = find("telling-list", HTMLElement);
  list.append(...entries);
  find("telling", HTMLElement).hidden = !entries.length;
  rove(list, "button", (key, at, count) => gridStep(key, at, count, 1));
}

function showTelling() {
  for (const button of find("telling-list", HTMLElement).querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(state.head !== null && button.dataset.key === keyOf(state.head)));
  }
}

listeners.push(showTelling);
