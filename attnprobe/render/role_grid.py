"""Shows the roles of all heads on a terminal: layers down, heads across, each by its role's short name and colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from attnprobe.analyses.rules import OTHER_ROLE, SHORT
from attnprobe.render.colours import Ink, kind_shade

CELL = 6  # characters of a head in the grid, one of them between it and the head before
EDGE = len("layer ")


@dataclass(frozen=True)
class RoleGrid:
    """The roles of heads, as many as fit side by side, then those of the next; without colours, by their names alone.

    Attributes:
        roles: by layer and head; None, or no entry: it has none.
        known: the short name of each role there is, in an order that gives them their colours.
        width: in characters.
        plain: the roles that have no colour.
    """

    roles: Mapping[tuple[int, int], str | None]
    known: Mapping[str, str]
    width: int
    plain: tuple[str, ...] = (OTHER_ROLE,)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ink = Ink.of(console, options)
        layers, heads = (sorted({place[axis] for place in self.roles}) for axis in (0, 1))
        room = max(1, (self.width - EDGE) // CELL)
        for start in range(0, len(heads), room):
            shown = heads[start : start + room]
            numbers = "".join(f"{head:^{CELL}}" for head in shown)
            yield Text(f"head   {numbers}".rstrip(), "bold", no_wrap=True)
            for layer in layers:
                line = Text(f"{layer:>5} ", no_wrap=True)
                for role in (self.roles.get((layer, head)) for head in shown):
                    line.append(" ").append(f"{self.short(role, ink):^{CELL - 1}}", self.style(role, ink))
                if not ink.colours:
                    line.rstrip()
                yield line

    def legend(self, counts: Mapping[str, int]) -> RoleLegend:
        """Makes the legend of some roles: how many heads have each."""
        return RoleLegend(self, counts)

    def short(self, role: str | None, ink: Ink) -> str:
        """Returns a role's short name, in characters that the terminal has."""
        short = self.known.get(role or "", "")
        return "." if ink.ascii and short == SHORT[OTHER_ROLE] else ink.label(short)

    def style(self, role: str | None, ink: Ink) -> Style:
        """Chooses a role's colour."""
        if role is None or role in self.plain:
            return Style(dim=role is not None)
        return kind_shade([*self.known].index(role)) if ink.colours and role in self.known else Style()


@dataclass(frozen=True)
class RoleLegend:
    """The roles in a grid, spelled out, with how many heads have each."""

    grid: RoleGrid
    counts: Mapping[str, int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ink, line = Ink.of(console, options), Text()
        for entry in self._entries(ink):
            if len(line) and line.cell_len + 3 + entry.cell_len > self.grid.width:
                yield line
                line = Text()
            line = Text.assemble(line, "   " if len(line) else "", entry)
        yield line

    def _entries(self, ink: Ink) -> Iterator[Text]:
        for role, count in self.counts.items():
            short = self.grid.short(role, ink)
            named = f"{count}" if short == role else f"{ink.label(role)} {count}"
            swatch = f" {short} " if ink.colours else short if short == role else f"{short}:"
            yield Text.assemble((swatch, self.grid.style(role, ink)), " ", named) if short else Text(named)
