// Two pages beside each other show the same: what one says it shows, the other is told. Their headings follow the theme.
"use strict";

const sides = [...document.querySelectorAll("iframe")];

addEventListener("message", ({ source, data }) => {
  const from = sides.findIndex((frame) => frame.contentWindow === source);
  if (from < 0 || typeof data?.shows !== "string") return;
  sides[1 - from].contentWindow?.postMessage({ show: data.shows }, "*");
  const theme = new URLSearchParams(data.shows).get("theme") ?? "";
  document.documentElement.style.colorScheme = ["light", "dark"].includes(theme) ? theme : "";
});
