// Puts the page together.

function start() {
  find("help", HTMLElement).addEventListener("click", () => find("keys-help", HTMLDialogElement).showModal());
  find("theme", HTMLElement).addEventListener("click", () => change({ theme: otherTheme() }));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !find("keys-help", HTMLDialogElement).open) change({ head: null });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAll);
  find("shown", HTMLElement).hidden = !atlas.against;
  showAll();
}

listeners.unshift(showTheme);
start();
