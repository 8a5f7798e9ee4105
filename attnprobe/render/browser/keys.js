// The list of keys, which its button and the ? key open. Escape closes it; where it is closed, Escape lets go of what was chosen.

/** @param {() => void} letGo */
function watchKeys(letGo) {
  const list = find("keys-help", HTMLDialogElement);
  find("help", HTMLElement).addEventListener("click", () => list.showModal());
  document.addEventListener("keydown", ({ key, target, ctrlKey, metaKey }) => {
    if (list.open) return;
    if (key === "Escape") letGo();
    const isTyped = target instanceof HTMLSelectElement; // which looks for what is typed; no field takes text
    if (key === "?" && !isTyped && !ctrlKey && !metaKey) list.showModal();
  });
}
