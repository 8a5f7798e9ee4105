// The heads that show most, each by one of its findings.

function buildTelling() {
  const entries = atlas.telling.flatMap(({ layer, head: number, finding }) => {
    const head = headAt(layer, number);
    const text = head?.findings[finding]?.text;
    if (!head || !text) return [];
    const button = make("button", { type: "button", "data-key": keyOf(head) }, make("b", {}, `${layer}.${number}`), ` ${text}`);
    button.addEventListener("click", () => change({ head }));
    return [make("li", {}, button)];
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
