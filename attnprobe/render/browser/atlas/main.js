// Puts the page together.

function start() {
  buildFilters();
  buildGrid();
  buildTelling();
  watchKeys(() => change({ head: null }));
  find("theme", HTMLElement).addEventListener("click", () => change({ theme: otherTheme() }));
  for (const medium of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(medium).addEventListener("change", () => redraw(["theme"]));
  }
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
