// Tells each of two pages what the other shows; pages that know of it answer, others stay as they are.
"use strict";

const frames = [...document.querySelectorAll("iframe")];

addEventListener("message", ({ source, data }) => {
  const from = frames.findIndex((frame) => frame.contentWindow === source);
  if (from >= 0 && typeof data?.shows === "string") frames[1 - from].contentWindow?.postMessage({ show: data.shows }, "*");
});
