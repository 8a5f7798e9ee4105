// The card of the chosen head.

/** @param {Set<string>} changed */
function showCard(changed) {}

listeners.push(showCard);
