// Which heads are shown: those of some roles.

/** @param {Set<string>} changed */
function showFilters(changed) {}

listeners.push(showFilters);
