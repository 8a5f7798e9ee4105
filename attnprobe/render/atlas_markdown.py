"""Writes an atlas as a section for a model card: what its heads do, how that was measured, and how to do it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from attnprobe.atlases.data import Charted
from attnprobe.atlases.findings import LEAST_HELD_OUT
from attnprobe.atlases.wording import link, percents
from attnprobe.render.atlas_text import (
    AGAIN,
    LIMITS,
    Data,
    changes_in_words,
    command_of,
    counts_of,
    model_name,
    names_of,
    read_of,
    roles_of,
    shorts_of,
    size_of,
    told,
)
from attnprobe.values.text import visible
from attnprobe.writers.markdown import escaped

WIDEST = 16  # heads side by side; of more, each layer's roles are counted
MOST = 10  # relations


def write_markdown(summary: Charted, stream: IO[bytes]) -> None:
    """Writes the section as GitHub's Markdown, which holds nothing that a browser would obey."""
    stream.write(("\n\n".join(_parts(summary.atlas.data)) + "\n").encode())


def _parts(data: Data) -> Iterator[str]:
    """Yields headings, paragraphs, tables and lists."""
    yield "## Attention heads"
    yield _measured(data)
    yield _grid(data) if len(data["model"]["heads"]) <= WIDEST else _counts_by_layer(data)
    yield f"Roles, and how many heads have each: {_legend(data)}. Layers and heads count from 0."
    if data["telling"]:
        yield "### The most telling heads"
        yield "\n".join(f"- **{place}** {escaped(text)}" for place, text in told(data))
    relations = [row for row in data["relations"] if row["gain"] is not None and row["n"] >= LEAST_HELD_OUT]
    if relations:
        yield "### Relations, held out"
        yield (
            f"Heads and offsets were chosen on even sentences; the numbers are those of odd ones, of relations with "
            f"{LEAST_HELD_OUT} links there or more, those with the most gain."
        )
        yield _relations(sorted(relations, key=lambda row: -float(row["gain"]))[:MOST])
    if "against" in data:
        yield f"### Changes from {escaped(names_of(data)[1])}"
        for said, listed in changes_in_words(data):
            yield escaped(said)
            if listed:
                yield "\n".join(f"- **{place}** {escaped(text)}" for place, text in listed)
    yield "### Limits"
    yield LIMITS
    if remarks := [*data["remarks"], *data.get("against", {}).get("remarks", ())]:
        yield "\n".join(f"- {escaped(remark)}" for remark in remarks)
    yield "### How to measure it again"
    yield _fenced(command_of(data))
    yield f"{AGAIN} The signature names all that the numbers depend on; equal signatures and texts give equal numbers:"
    yield _fenced(data["signature"])


def _measured(data: Data) -> str:
    model = f"{escaped(model_name(data))} ({escaped(data['model']['type'])}, {size_of(data)})"
    files = [source for section in data["sections"] if not section["sample"] for source in section["sources"]]
    of_files = f", from {', '.join(map(escaped, files))}" if files else ""
    return (
        f"What the heads of {model} do in {', '.join(read_of(data))}{of_files}; attnprobe {escaped(data['attnprobe'])}."
    )


def _grid(data: Data) -> str:
    """Makes a table of the roles' short names, layers down and heads across."""
    roles, shorts, heads = roles_of(data), shorts_of(data), data["model"]["heads"]
    rows = [
        [f"**{layer}**", *(escaped(shorts.get(roles[layer, head] or "", "")) for head in heads)]
        for layer in data["model"]["layers"]
    ]
    return _table(["layer", *map(str, heads)], rows, ":-:")


def _counts_by_layer(data: Data) -> str:
    """Makes a table of how many heads of each layer have each role."""
    roles, names = roles_of(data), [*counts_of(data)]
    rows = []
    for layer in data["model"]["layers"]:
        counts = Counter(role for (of, _), role in roles.items() if of == layer)
        rows.append([f"**{layer}**", *(str(counts[name] or "") for name in names)])
    return _table(["layer", *map(escaped, names)], rows, "---:")


def _legend(data: Data) -> str:
    named = [(name, shorts_of(data).get(name, name), count) for name, count in counts_of(data).items()]
    return ", ".join(
        escaped(f"{name} {count}" if short == name else f"{short}: {name} {count}") for name, short, count in named
    )


def _relations(rows: Iterable[Mapping[str, Any]]) -> str:
    """Tables relations with their heads, the best first."""
    cells = [
        [
            escaped(row["relation"]),
            f"{row['layer']}.{row['head']}",
            escaped(link(row["relation"], row["direction"])),
            *percents(row["accuracy"], row["baseline"]),
            f"{100 * row['gain']:+.1f}",
            "" if row["gain_low"] is None else f"{100 * row['gain_low']:+.1f} … {100 * row['gain_high']:+.1f}",
            f"{row['n']:,}",
        ]
        for row in rows
    ]
    columns = ["relation", "head", "from → to", "right", "best fixed offset", "gain", "95 % interval", "n"]
    return _table(columns, cells, "---")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], aligned: str) -> str:
    lines = [columns, ["---", *[aligned] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fenced(text: str) -> str:
    return f"```text\n{visible(text)}\n```"
