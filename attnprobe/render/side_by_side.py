"""Two pages in one file, beside each other: of two texts, or of two models."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from string import Template

from attnprobe.render.page import View, hash_of, read_part
from attnprobe.values.text import shorten

POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="(.*?)"')
HEAD = 10_000  # characters of a page, among which its policy stands


def side_by_side(sides: Sequence[tuple[str, View]]) -> View:
    """Puts two pages, each with its heading, into frames without a network; each shows what the other does."""
    style, script = read_part("side_by_side.css"), read_part("side_by_side.js")
    names = [shorten(name, 120) for name, _ in sides]
    frames = [
        f"<section><h1>{html.escape(name)}</h1>\n"
        f'<iframe title="{html.escape(name)}" sandbox="allow-scripts allow-downloads" '
        f'srcdoc="{html.escape(page.html)}"></iframe></section>'
        for name, (_, page) in zip(names, sides, strict=True)
    ]
    signature = " versus ".join(page.signature for _, page in sides)
    made = Template(read_part("side_by_side.html")).substitute(
        policy=_policy([page.html for _, page in sides], style, script),
        signature=html.escape(signature),
        title=html.escape(f"attnprobe: {' | '.join(names)}"),
        style=style,
        sides="\n".join(frames),
        script=script,
    )
    return View(made, signature)


def _policy(pages: Iterable[str], style: str, script: str) -> str:
    """Makes the policy of the page around others, which they inherit beside their own: it allows what theirs allow."""
    around = f"style-src '{hash_of(style)}'; script-src '{hash_of(script)}'"
    allowed: dict[str, list[str]] = {}
    for policy in (around, *(found for page in pages for found in POLICY.findall(page, 0, HEAD))):
        for name, *sources in map(str.split, policy.split(";")):
            allowed[name] = [*dict.fromkeys([*allowed.get(name, []), *sources])]
    return "; ".join(" ".join([name, *sources]) for name, sources in allowed.items())
