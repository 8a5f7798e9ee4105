// A table that is wider than its place fades at the right edge while there is more beyond.

/** @param {Element} box */
function watchEdge(box) {
  const mark = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  box.addEventListener("scroll", mark);
  const watcher = new ResizeObserver(mark);
  [box, ...box.children].forEach((one) => watcher.observe(one));
}

document.querySelectorAll(".wide").forEach(watchEdge);
