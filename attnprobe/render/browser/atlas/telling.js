// The heads that say most.

/** @param {Set<string>} changed */
function showTelling(changed) {}

listeners.push(showTelling);
