// What the colours of the grid stand for.

/** @param {Set<string>} changed */
function showLegend(changed) {}

listeners.push(showLegend);
