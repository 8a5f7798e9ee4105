// Elements. Text reaches the page through `textContent` alone.

/**
 * The element with this id, which must be of this kind.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 */
function find(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${kind.name} #${id}`);
  return found;
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number | boolean>} attributes true: present; false: absent
 * @param {(Node | string)[]} children
 */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * Arrow keys move among the items of a group, which is one stop of the Tab key.
 * @param {HTMLElement} group
 * @param {string} items a selector
 * @param {(key: string, at: number, count: number) => number} step
 */
function rove(group, items, step) {
  const all = () => /** @type {HTMLElement[]} */ ([...group.querySelectorAll(items)]);
  stopAt(all(), all()[0]);
  group.addEventListener("focusin", (event) => stopAt(all(), /** @type {HTMLElement} */ (event.target)));
  group.addEventListener("keydown", (event) => {
    const found = all().filter((item) => item.checkVisibility());
    const at = found.indexOf(/** @type {HTMLElement} */ (event.target));
    const next = at < 0 ? -1 : step(event.key, at, found.length);
    if (next < 0 || next >= found.length || next === at) return;
    event.preventDefault();
    found[next].focus();
  });
}

/**
 * @param {HTMLElement[]} items
 * @param {HTMLElement} chosen
 */
function stopAt(items, chosen) {
  if (items.includes(chosen)) items.forEach((item) => (item.tabIndex = item === chosen ? 0 : -1));
}

/**
 * Where an arrow key leads in a grid of so many columns, read line by line; -1: it is no such key.
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @param {number} columns
 */
function gridStep(key, at, count, columns) {
  const column = at % columns;
  if (key === "ArrowLeft") return column > 0 ? at - 1 : -1;
  if (key === "ArrowRight") return column < columns - 1 ? at + 1 : -1;
  if (key === "ArrowUp") return at - columns;
  if (key === "ArrowDown") return at + columns;
  if (key === "Home") return column;
  if (key === "End") return count - columns + column;
  return -1;
}

/** @param {number} weight */
function number(weight) {
  return weight.toFixed(weight < 0.1 ? 3 : 2);
}

/** The weight that is written. @param {number} weight */
function rounded(weight) {
  return Number(number(weight));
}
