// The grid: a head per cell, rows of layers.

/** @param {Set<string>} changed */
function showGrid(changed) {}

listeners.push(showGrid);
