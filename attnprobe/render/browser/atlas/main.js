// Puts the page together.

function start() {
  buildFilters();
  buildGrid();
  buildTelling();
  find("help", HTMLElement).addEventListener("click", () => find("keys-help", HTMLDialogElement).showModal());
  find("theme", HTMLElement).addEventListener("click", () => change({ theme: otherTheme() }));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !find("keys-help", HTMLDialogElement).open) change({ head: null });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(["theme"]));
  listeners.unshift(showTheme);
  followAddress();
  fitMap();
  listeners.push(sayHead);
}

/** Says to a screen reader, and on a phone, which head was chosen. @param {Set<string>} changed */
function sayHead(changed) {
  if (!changed.has("head")) return;
  const { head } = state;
  find("said", HTMLElement).textContent = head ? `${headName(head)}: ${inWords(head)}` : "no head is chosen";
}

/** What colours a head, and what it does; once where both begin alike. @param {Head} head */
function inWords(head) {
  const [words, sentence] = [wordsOf(head), sentenceOf(head)];
  return sentence.startsWith(words) ? sentence : `${words}. ${sentence}`;
}

start();
