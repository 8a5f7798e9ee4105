"""The signature of a result: two results are comparable if theirs are equal."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from attnprobe.values.switches import with_off
from attnprobe.version import __version__

ORDER = ("model", "off", "tokenizer", "dtype", "max_length", "stride", "queries", "level", "long_range", "special")
CONTRIBUTIONS = "contributions"


def signature(**parts: object) -> str:
    """Makes the signature that every result carries, as sacreBLEU does: ``key:value`` pairs joined by ``|``.

    Parts that are None are left out; those of ORDER come first. The versions of attnprobe, torch and transformers are
    added.

    >>> signature(model="all-MiniLM-L6-v2@53aa51172d14", dtype="float32")  # doctest: +ELLIPSIS
    'attnprobe:...|model:all-MiniLM-L6-v2@53aa51172d14|dtype:float32|torch:...|transformers:...'
    """
    versions = {name: _version(name) for name in ("torch", "transformers")}
    first = {name: parts[name] for name in ORDER if name in parts}
    pairs = {"attnprobe": __version__, **first, **parts, **versions}
    return "|".join(f"{key}:{value}" for key, value in pairs.items() if value is not None)


def part_of(signature: str, name: str) -> str:
    """Returns one part of a signature; empty if it has no such part.

    >>> part_of("attnprobe:0.1.0|model:all-MiniLM-L6-v2@53aa51172d14", "model")
    'all-MiniLM-L6-v2@53aa51172d14'
    """
    parts = dict(pair.partition(":")[::2] for pair in signature.split("|"))
    return parts.get(name, "")


def counted(signature: str) -> str:
    """Names what counts as a weight in a result: "contributions"; empty for attention.

    >>> counted("attnprobe:0.1.0|of:norms"), counted("attnprobe:0.1.0")
    ('contributions', '')
    """
    return CONTRIBUTIONS if part_of(signature, "of") == "norms" else ""


def model_of(signature: str, side: str = "") -> str:
    """Returns the name of the model, and which of its heads are off.

    Args:
        side: "b_" for the second of two models, whose parts are named so where they are not those of the first.

    >>> model_of("model:all-MiniLM-L6-v2@53aa51172d14|off:3:1(zero)")
    'all-MiniLM-L6-v2 with heads 3:1(zero) off'
    """
    name, off = (part_of(signature, f"{side}{part}") or part_of(signature, part) for part in ("model", "off"))
    return with_off(name.rpartition("@")[0] or name, None if off == "none" else off)


@cache
def _version(name: str) -> str:
    """Returns the version of an installed package, which is searched for once: that takes milliseconds."""
    return version(name).split("+")[0]
