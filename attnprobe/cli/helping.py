"""The help of a command: flags in groups, and examples at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand

from attnprobe.values.options import OUTPUT, PANELS


class Helped(TyperCommand):
    """A command whose epilog is its examples, a line each."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the arguments and flags, those of each panel together."""
        panels: dict[str, list[tuple[str, str]]] = {panel: [] for panel in PANELS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                name, help = record
                name = name.partition(" <")[0] if parameter.param_type_name == "argument" else name
                panels[getattr(parameter, "rich_help_panel", None) or OUTPUT].append((name, help))
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples as they are typed."""
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.epilog.splitlines()))


def registration(examples: Iterable[str]) -> dict[str, Any]:
    """The arguments with which typer registers a command that has examples."""
    return {"cls": Helped, "epilog": "\n".join(examples)}
