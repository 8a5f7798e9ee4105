// The address of the page holds its state after the #, so that a finding is a link.

/** @type {Record<string, Field>} */
const FIELDS = {
  colour: {
    write: ({ colour }) => colour,
    read: (text, into) => readWord(text, colourings, (colour) => (into.colour = colour)),
  },
  shown: {
    write: ({ shown }) => (atlas.against ? shown : null),
    read: (text, into) => readWord(text, atlas.against ? SHOWN : [], (shown) => (into.shown = shown)),
  },
  head: {
    write: ({ head }) => (head ? keyOf(head) : ""),
    read: (text, into) => (into.head = text ? (headsByKey.get(text) ?? into.head) : null),
  },
  roles: {
    write: ({ roles }) => [...roles].join() || null,
    read: (text, into) => {
      const roles = text.split(",");
      if (roles.every((role) => rolesToShow().includes(role))) into.roles = new Set(roles);
    },
  },
  group: {
    write: ({ group }) => group || null,
    read: (text, into) => readWord(text, groupsOfMeasures, (group) => (into.group = group)),
  },
  sort: {
    write: ({ sort: { by, down } }) => (down ? "-" : "") + by,
    read: (text, into) => {
      const by = text.replace(/^-/, "");
      if (!["layer", "finding", ...colourings].includes(by)) return;
      into.sort = { by, down: text !== by };
      if (measureNamed(by)) into.group = groupOf(by); // which has its column
    },
  },
  theme: {
    write: ({ theme }) => theme || null,
    read: (text, into) => readWord(text, ["light", "dark"], (theme) => (into.theme = theme)),
  },
};

let told = "";

/** Shows what the address says, now and whenever the reader goes back or forward, and keeps it true. */
function followAddress() {
  const follow = () => {
    Object.assign(state, stateIn(location.hash));
    told = stateText();
    redraw(Object.keys(state));
  };
  follow();
  addEventListener("hashchange", follow);
  listeners.push(() => {
    if (stateText() === told) return;
    told = stateText();
    keepInAddress(told);
  });
}
