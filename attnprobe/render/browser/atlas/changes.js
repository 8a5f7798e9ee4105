// What changed between the two atlases.

/** @param {Set<string>} changed */
function showChanges(changed) {}

listeners.push(showChanges);
