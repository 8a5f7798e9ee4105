// Two pages beside each other show the same: what one says it shows, the other is told. Tokens are chosen by position, and
// only where both texts have as many; else each page keeps what was chosen in it.
"use strict";

const sides = [...document.querySelectorAll("iframe")];
const aligned = document.body.dataset.aligned === "true";
const said = sides.map(() => new URLSearchParams());

addEventListener("message", ({ source, data }) => {
  const from = sides.findIndex((frame) => frame.contentWindow === source);
  if (from < 0 || typeof data?.shows !== "string") return;
  said[from] = new URLSearchParams(data.shows);
  const news = new URLSearchParams(data.shows);
  for (const name of aligned ? [] : ["query", "key"]) {
    const kept = said[1 - from].get(name);
    if (kept === null) news.delete(name);
    else news.set(name, kept);
  }
  sides[1 - from].contentWindow?.postMessage({ show: news.toString() }, "*");
});
