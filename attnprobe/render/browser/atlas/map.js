// The map of all heads by likeness.

/** @param {Set<string>} changed */
function showMap(changed) {}

listeners.push(showMap);
