// Light or dark: paper is light; else as the state says, else as the system does.

function isDark() {
  if (matchMedia("print").matches) return false;
  return state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function otherTheme() {
  return isDark() ? "light" : "dark";
}

/** Colours the page; the button says what it leads to. */
function showTheme() {
  document.documentElement.style.colorScheme = state.theme;
  find("theme", HTMLElement).textContent = isDark() ? "Light theme" : "Dark theme";
}

/**
 * A colour of base.css in the present theme, as rgb(...).
 * @param {string} name
 */
function colour(name) {
  const probe = find("probe", HTMLElement);
  probe.style.color = name;
  return getComputedStyle(probe).color;
}
