// Two pages beside each other show the same: what one says it shows, the other is told. Tokens are chosen by position, and
// only where both texts have as many.
"use strict";

const frames = [...document.querySelectorAll("iframe")];

addEventListener("message", ({ source, data }) => {
  const from = frames.findIndex((frame) => frame.contentWindow === source);
  if (from < 0 || typeof data?.shows !== "string") return;
  const shown = new URLSearchParams(data.shows);
  if (document.body.dataset.aligned !== "true") ["query", "key"].forEach((name) => shown.delete(name));
  frames[1 - from].contentWindow?.postMessage({ show: shown.toString() }, "*");
});
