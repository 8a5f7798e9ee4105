"""The page in which a text's attention is explored: one HTML file that needs no network and allows none."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.opening import FIRST, Opening
from attnprobe.metrics import METRICS
from attnprobe.render.steps import pack_steps
from attnprobe.render.table import remarks
from attnprobe.values.attention import Attention
from attnprobe.values.notebook import one_line
from attnprobe.values.signature import model_of
from attnprobe.values.text import label, shorten, visible
from attnprobe.values.tokens import Role, Tokens
from attnprobe.version import __version__
from attnprobe.writers.files import check_target, replacing

if TYPE_CHECKING:
    from attnprobe.analyses.exploring import Explored
    from attnprobe.analyses.steps import Steps

PARTS = files("attnprobe.render") / "browser"
STYLES = ("base.css", "tokens.css", "page.css")
SCRIPTS = (
    "dom",
    "fields",
    "theme",
    "keys",
    "sorting",
    "saving",
    "tokens",
    "data",
    "weights",
    "state",
    "headview",
    "pointing",
    "ranking",
    "modelview",
    "stats",
    "walk",
    "wording",
    "pictures",
    "steps",
    "controls",
    "png",
    "export",
    "address",
    "main",
)


@dataclass(frozen=True, repr=False)
class View:
    """A page to look at; in a notebook it shows itself.

    Attributes:
        html: the whole page.
        signature: what its numbers depend on.
    """

    html: str
    signature: str

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Writes the page to a file.

        Raises:
            OutputError: the file exists and ``overwrite`` is off, or it cannot be written.
        """
        path = Path(path)
        check_target(path, "html", overwrite=overwrite)
        with replacing(path) as stream:
            stream.write(self.html.encode())

    def __repr__(self) -> str:
        return one_line("View", model_of(self.signature), f"a page of {len(self.html) / 1e6:.1f} MB")

    def _repr_html_(self) -> str:
        """Puts the page in a frame that can reach neither the notebook nor the network."""
        return (
            f'<iframe title="attnprobe" sandbox="allow-scripts allow-downloads" style="width: 100%; height: 820px; '
            f'border: 0" srcdoc="{html.escape(self.html)}"></iframe>'
        )


def make_view(title: str, found: Explored, scale: str = "sqrt", lang: str = "en") -> View:
    """The page of what was found of a text.

    Args:
        scale: what it colours by first, "sqrt" or "linear".
        lang: the language that explains the steps first, "en" or "zh".
    """
    page = make_page(
        title, found.attention, found.means, found.signature, found.opening, scale,
        steps=found.steps, lang=lang, roles=found.roles,
    )  # fmt: skip
    return View(page, found.signature)


def pack(weights: np.ndarray) -> str:
    """The weights of one head as text: round(weight · 65535) as uint16, low bytes first, deflated, in base64.

    No weight moves by more than 8e-6. High bytes are mostly 0: apart from the low ones they pack a sixth better.
    """
    quantised = np.rint(np.clip(weights, 0, 1) * 65535).astype("<u2")
    return base64.b64encode(zlib.compress(quantised.view("u1").reshape(-1, 2).T.tobytes())).decode()


def as_json(value: Any) -> str:
    """Encodes JSON without any character that has a meaning in HTML, whatever the tokens are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def make_page(
    title: str,
    attention: Attention,
    means: np.ndarray,
    signature: str,
    opening: Opening = FIRST,
    scale: str = "sqrt",
    steps: Steps | None = None,
    lang: str = "en",
    roles: Sequence[Sequence[str | None]] = (),
) -> str:
    """The whole page.

    Args:
        means: (layer, head, metric) of the same heads, NaN where a metric has no meaning.
        roles: of the same heads, by layer; empty: none are known.
    """
    style, script = "".join(map(read_part, STYLES)), join_scripts(SCRIPTS)
    blocks = {
        (layer, head): _block(f"weights-{layer}-{head}", pack(weights))
        for layer, of_layer in enumerate(attention.weights)
        for head, weights in enumerate(of_layer)
    }
    first = blocks.pop((opening.layer, opening.head))
    walk, numbers = pack_steps(steps)
    others = [*blocks.values(), *(_block(f"numbers-{at}", packed) for at, packed in enumerate(numbers))]
    shown = {"opening": {**vars(opening), "scale": scale}, "steps": walk, "lang": lang, "headRoles": roles}
    return Template(read_part("page.html")).substitute(
        policy=policy_of(style, script),
        signature=html.escape(signature),
        title=html.escape(f"attnprobe: {shorten(title, 60)}"),
        noun=_noun(attention),
        heading=html.escape(shorten(title, 120)),
        about=html.escape(_about(attention)),
        notes="\n".join(f'<p class="note">{html.escape(note)}</p>' for note in _notes(attention)),
        style=style,
        data=as_json(_data(attention, means, signature) | shown),
        first=first,
        others="\n".join(others),
        script=script,
    )


def _block(name: str, packed: str) -> str:
    """Makes the element that holds packed numbers."""
    return f'<script type="text/plain" id="{name}">{packed}</script>'


def read_part(name: str) -> str:
    """Reads a file of the folder ``browser``."""
    return (PARTS / name).read_text(encoding="utf-8")


def join_scripts(names: Sequence[str]) -> str:
    """Joins scripts of the folder ``browser`` into one, in this order."""
    return '"use strict";\n' + "\n".join(read_part(f"{name}.js") for name in names)


def policy_of(style: str, script: str) -> str:
    """Makes the content security policy that allows these parts of a page, pictures within it, and no network."""
    own = f"style-src '{hash_of(style)}'; script-src '{hash_of(script)}'; img-src data:"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def hash_of(part: str) -> str:
    """Computes the hash by which a content security policy names a part of the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}"


def _about(attention: Attention) -> str:
    layers, heads, length, _ = attention.weights.shape
    model, mean = visible(attention.notes["model"]), attention.notes.get("mean")
    kept = [f"{layers} layers"] * (None not in attention.layers) + [f"{heads} heads"] * (None not in attention.heads)
    counted = attention.notes.get("counted")
    of = ", ".join(filter(None, [counted, " × ".join(kept), mean, "counted from 0"]))
    return f"{model} · {length} tokens · {of} · attnprobe {__version__}"


def _noun(attention: Attention) -> str:
    """Names one number of a map."""
    return "contribution" if attention.notes.get("counted") else "weight"


def _notes(attention: Attention) -> list[str]:
    """Writes the notes that a reader must know before trusting the page."""
    cut = attention.pieces.n_cut
    kept = len(attention.pieces)
    notes = [f"The text has {kept + cut} tokens; only the first {kept} were read."] if cut else []
    return [*notes, *remarks({**attention.notes, "mean": ""})]


def _data(attention: Attention, means: np.ndarray, signature: str) -> dict[str, Any]:
    pieces = attention.pieces
    words = None if pieces.words is None else {**_units(pieces.by_word()), "of": list(pieces.words)}
    return {
        "model": visible(attention.notes["model"]),
        "signature": signature,
        "noun": _noun(attention),
        "layers": list(map(_shown, attention.layers)),
        "heads": list(map(_shown, attention.heads)),
        "pieces": _units(pieces),
        "words": words,
        "pair": 2 in pieces.segments,
        "roles": _roles(pieces),
        "metrics": [{"name": name, "meaning": METRICS[name][1]} for name in METRICS],
        "stats": [
            [[None if math.isnan(value) else value for value in row] for row in layer] for layer in means.tolist()
        ],
    }


def _shown(number: int | None) -> int | str:
    """Returns the number of a layer or a head, or the word for their mean."""
    return "mean" if number is None else number


def _roles(pieces: Tokens) -> dict[str, list[str]]:
    """Names the tokens that the statistics call cls and sep, where they are written in another way."""
    found = {role: {pieces.strings[at] for at in pieces.positions(role)} for role in (Role.CLS, Role.SEP)}
    named = {role.name.lower(): strings - {f"[{role.name}]"} for role, strings in found.items()}
    return {name: sorted(map(visible, strings)) for name, strings in named.items() if strings}


def _units(tokens: Tokens) -> dict[str, Any]:
    return {
        "labels": [label(string) for string in tokens.strings],
        "special": [role != Role.CONTENT for role in tokens.roles],
        "segments": list(tokens.segments),
    }
