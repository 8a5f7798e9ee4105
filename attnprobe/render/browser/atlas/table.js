// The table of all numbers.

/** @param {Set<string>} changed */
function showTable(changed) {}

listeners.push(showTable);
