"""Compares two results of ``attnprobe corpus``, text by text; the ids of the texts are all that is held of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from attnprobe.analyses.comparison import Comparison, signed
from attnprobe.errors import UsageError
from attnprobe.readers.results import HeadResults
from attnprobe.values.arguments import nearest
from attnprobe.values.selection import Indices, choose_among

MAY_DIFFER = ("model", "off", "tokenizer", "dtype", "attnprobe", "torch", "transformers")  # parts of signatures
MOST = 4  # differences that are named
STEP = 256  # texts at a time
UNLIKE = "-l and --head choose those that both have; unlike models: compare A B FILES --maps --match"

Blocks = Iterator[tuple[list[str], np.ndarray]]


def compare_results(
    a: HeadResults,
    b: HeadResults,
    metrics: Sequence[str] | None = None,
    *,
    layers: Indices = "all",
    heads: Indices = "all",
    seed: int = 0,
    unpaired: bool = False,
) -> Comparison:
    """Compares head statistics of two results, paired by the ids of their texts.

    Args:
        metrics: those to compare; None: all that both have.
        layers, heads: those to compare.
        seed: of the bootstrap.
        unpaired: whether the results are of two corpora, whose texts are drawn independently.

    Raises:
        UsageError: the results were measured differently, are of other texts, or have other layers or heads.
        InputError: a result cannot be read.
    """
    _check_alike(a, b)
    names = _metrics(a, b, metrics)
    chosen = _chosen("layers", a.layers, b.layers, layers), _chosen("heads", a.heads, b.heads, heads)
    parts = {f"b_{name}": value for name, value in b.signature.items() if a.signature.get(name) != value}
    parts |= {"b_off": "none"} if "off" in a.signature.keys() - b.signature.keys() else {}
    parts |= {"b_model": b.signature["model"]} if "model" in b.signature else {}
    said = [*_said_of_metrics(a, b, names, metrics), *_said_of_signatures(a, b)]
    sign = signed(a.signature, parts, seed, paired=not unpaired)
    total = Comparison.empty(*chosen, names, sign, seed=seed, paired=not unpaired, said=said)
    sides = [_cut(result, names, *chosen) for result in (a, b)]
    if unpaired:
        for side, blocks in zip(("first", "second"), sides, strict=True):
            for ids, values in blocks:
                total = total.of_side(side, ids, values)
        return total
    order = _order(a, b)
    if order is not None:
        sides[1] = _reordered(sides[1], order)
    for ids, one, other in _side_by_side(*sides):
        total = total.of_pairs(ids, one, other)
    return total


def _check_alike(a: HeadResults, b: HeadResults) -> None:
    """Refuses results that were measured differently.

    Raises:
        UsageError: parts of their signatures differ that must be equal.
    """
    if not (a.signature and b.signature):
        return
    one, other = ({name: part for name, part in it.signature.items() if name not in MAY_DIFFER} for it in (a, b))
    unlike = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    if unlike:
        found = [f"{name}: {one.get(name, 'none')} in A, {other.get(name, 'none')} in B" for name in unlike[:MOST]]
        raise UsageError(f"A and B were measured differently; {'; '.join(found)}", "measure both in the same way")


def _metrics(a: HeadResults, b: HeadResults, chosen: Sequence[str] | None) -> list[str]:
    """Lists the metrics to compare.

    Raises:
        UsageError: one is not in both, or there is none.
    """
    both = [name for name in a.metrics if name in b.metrics]
    for name in chosen or ():
        if name not in both:
            lacking = " and ".join(side for side, it in (("A", a), ("B", b)) if name not in it.metrics)
            raise UsageError(f"no metric {name!r} in {lacking}{nearest(name, both)}", f"both have {', '.join(both)}")
    if not both:
        raise UsageError(f"A has {', '.join(a.metrics)}, B {', '.join(b.metrics)}: no metric is in both")
    return both if chosen is None else list(dict.fromkeys(chosen))


def _chosen(what: str, a: Sequence[int], b: Sequence[int], choice: Indices) -> list[int]:
    """Lists the layers or heads to compare.

    Raises:
        UsageError: A or B lacks one.
    """
    found = [choose_among(choice, known, what[:-1], side) for known, side in ((a, "A"), (b, "B"))]
    if found[0] != found[1]:
        shown = [", ".join(map(str, numbers)) for numbers in found]
        raise UsageError(f"A and B have other {what}: {shown[0]} in A, {shown[1]} in B", UNLIKE)
    return found[0]


def _said_of_metrics(
    a: HeadResults, b: HeadResults, names: Sequence[str], chosen: Sequence[str] | None
) -> Iterator[str]:
    left = [name for name in {**dict.fromkeys(a.metrics), **dict.fromkeys(b.metrics)} if name not in names]
    if chosen is None and left:
        yield f"in one of A and B only, and left out: {', '.join(left)}"


def _said_of_signatures(a: HeadResults, b: HeadResults) -> Iterator[str]:
    unsigned = [it.name for it in (a, b) if not it.signature]
    if unsigned:
        yield f"{' and '.join(unsigned)} without a signature: whether A and B were measured alike is unknown"
        return
    for name in MAY_DIFFER[1:]:
        one, other = (it.signature.get(name, "none") for it in (a, b))
        if one != other:
            yield f"{name}: {one} in A, {other} in B"


def _cut(result: HeadResults, metrics: Sequence[str], layers: Sequence[int], heads: Sequence[int]) -> Blocks:
    """Reads ids and values of the chosen layers, heads and metrics."""
    rows, columns = [result.layers.index(it) for it in layers], [result.heads.index(it) for it in heads]
    for ids, values in result.texts(metrics):
        yield ids, values[:, rows][:, :, columns]


def _order(a: HeadResults, b: HeadResults) -> np.ndarray | None:
    """Finds where A's texts are among B's; None if both have the same order.

    Raises:
        UsageError: the texts are not the same.
    """
    _check_inputs(a, b)
    one, other = a.ids(), b.ids()
    if one == other:
        return None
    missing = [len(set(ids) - set(others)) for ids, others in ((one, other), (other, one))]
    if any(missing):
        found = f"{missing[0]:,} of the {len(set(one)):,} ids in A are not in B, {missing[1]:,} of the "
        hint = "measure the same texts with both; --unpaired compares two corpora"
        raise UsageError(f"the texts differ: {found}{len(set(other)):,} in B not in A", hint)
    if len(set(one)) < len(one) or len(set(other)) < len(other):
        raise UsageError("A and B have other orders, and several texts of one id", "give each text an id of its own")
    places = {name: place for place, name in enumerate(other)}
    return np.array([places[name] for name in one])


def _check_inputs(a: HeadResults, b: HeadResults) -> None:
    """Refuses to pair by numbers of lines what comes from files of other content.

    Raises:
        UsageError: it does.
    """
    inputs = [it.manifest.get("input") or {} for it in (a, b)]
    named = [_column(it.manifest) is not None for it in (a, b)]
    if all(inputs) and not all(named) and list(inputs[0].values()) != list(inputs[1].values()):
        files = [", ".join(it) for it in inputs]
        reason = f"texts are known by their line numbers only, and the files differ: {files[0]} in A, {files[1]} in B"
        raise UsageError(reason, "--unpaired compares two corpora; corpus --id-column gives texts ids")


def _column(manifest: Mapping[str, Any]) -> Any:
    """Finds the column of ids that a run read."""
    return ((manifest.get("options") or {}).get("columns") or {}).get("id")


def _reordered(blocks: Blocks, order: np.ndarray) -> Blocks:
    """Puts texts into another order, by way of a file without a name."""
    with TemporaryFile() as file:
        shape: tuple[int, ...] = ()
        names: list[str] = []
        for ids, values in blocks:
            names, shape = [*names, *ids], values.shape[1:]
            values.tofile(file)
        file.flush()
        kept = np.memmap(file, dtype=float, mode="r", shape=(len(names), *shape))
        for start in range(0, len(order), STEP):
            some = order[start : start + STEP]
            yield [names[place] for place in some], np.array(kept[some])


def _side_by_side(a: Blocks, b: Blocks) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Cuts two iterators over the same texts into pieces of the same texts."""
    ids: list[str] = []
    one = other = np.empty(0)
    for _, values in b:
        other = np.concatenate([other, values]) if other.size else values
        while len(ids) < len(other) and (found := next(a, None)) is not None:
            ids += found[0]
            one = np.concatenate([one, found[1]]) if one.size else found[1]
        size = min(len(ids), len(other))
        yield ids[:size], one[:size], other[:size]
        ids, one, other = ids[size:], one[size:], other[size:]
