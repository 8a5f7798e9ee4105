// Tables that sort by their columns.

/**
 * Which of two values comes first; missing ones come last, whatever the direction.
 * @param {number | null} one
 * @param {number | null} other
 * @param {boolean} down
 */
function inOrder(one, other, down) {
  if (one === null || other === null) return Number(one === null) - Number(other === null);
  return down ? other - one : one - other;
}

/**
 * Marks the column by which a table is sorted.
 * @param {HTMLTableElement} table
 * @param {string | number} at the `data-at` of the column's header
 * @param {boolean} down
 */
function markSorted(table, at, down) {
  for (const header of table.querySelectorAll("th")) header.removeAttribute("aria-sort");
  table.querySelector(`th[data-at="${at}"]`)?.setAttribute("aria-sort", down ? "descending" : "ascending");
}
