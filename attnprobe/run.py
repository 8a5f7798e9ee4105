"""Text -> rows: tokens, model and metrics joined. Knows no terminal and no file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import reduce
from itertools import chain
from operator import add
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.arguments import check_choice, check_whole, known_options
from attnprobe.attention.blocks import Observer
from attnprobe.errors import CaseWarning, TruncationWarning, UnknownTokensWarning, UsageError, WordsWarning
from attnprobe.metrics import check_names, load_metrics
from attnprobe.metrics.kinds import Metric
from attnprobe.metrics.reduce import Reducer, Sums
from attnprobe.models.describe import reach_by_layers
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.models.vocabulary import count_unknown, remark_on_unknown
from attnprobe.selection import Indices, select
from attnprobe.signature import signature
from attnprobe.table import Table
from attnprobe.tokens import Tokens, unspaced_script

if TYPE_CHECKING:
    import pandas


def head_stats(
    text: str,
    encoder: Encoder | str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    model: str | PathLike[str] = DEFAULT_MODEL,
    **options: Any,
) -> pandas.DataFrame:
    """What each head attends to in a text, a row per layer and head; the twin of ``attnprobe heads``.

    Args:
        text: the text itself, never a path.
        encoder: from :func:`load_encoder`; or a folder or Hub id to load. None loads ``model``.
        metrics: names from ``attnprobe metrics``; None: all.
        model: the folder or Hub id to load where no encoder is given.
        options: pair, layers, heads, long_range, queries, level, max_length, stride, global_attention, as
            :func:`attnprobe.run.head_table` explains them.

    Returns:
        columns ``layer``, ``head`` (from 0), then the metrics in the order of METRICS; NaN where a metric has no
        meaning. ``attrs["signature"]`` says what the numbers depend on.

    Raises:
        UsageError: an unknown metric, a layer or head out of range, an empty text.
        ModelError: a model that cannot be loaded or measured.

    Warns:
        TruncationWarning, UnknownTokensWarning, WordsWarning, CaseWarning: the text is not read as it stands, see
            :func:`attnprobe.run.read`.
    """
    names = check_names(metrics)
    return head_table(text, loaded(encoder, model), names, **known_options(options, head_table)).to_frame()


def head_table(
    text: str,
    encoder: Encoder,
    metrics: Sequence[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    long_range: int = 10,
    queries: str = "all",
    level: str = "token",
    max_length: int | None = None,
    stride: int | None = None,
    global_attention: str = "none",
) -> Table:
    """The rows of :func:`head_stats` as a Table.

    Args:
        pair: the second text of a pair.
        layers, heads: which to report, counted from 0: ``3``, ``[0, 2, -1]``, ``"0-5"``, ``"0,2,-1"``, ``"all"``.
        long_range: threshold of long_range_share, in tokens.
        queries: "all", or "content": average only over tokens of the text, not over added ones.
        level: "token", or "word": weights summed over the key's pieces, averaged over the query's.
        max_length: the most tokens read at once; a longer text is cut.
        stride: reads a longer text in windows that overlap by this many tokens instead; the mean is over the queries of
            all windows.
        global_attention: which tokens Longformer and LED let see and be seen by all: "none" (as the bare model does),
            "cls" (as their classifiers do), or "first", those of the first text (as their question answerers do).
    """
    check_options(long_range=long_range, queries=queries, level=level, global_attention=global_attention)
    chosen = load_metrics(metrics)
    layer_numbers = select(layers, encoder.layers, "layer")
    head_numbers = select(heads, encoder.heads, "head")
    windows = read(
        encoder, text, pair, level=level, max_length=max_length, stride=stride, global_attention=global_attention
    )
    sums = measure(windows, encoder, chosen, layers=layer_numbers, long_range=long_range, queries=queries, level=level)
    means = reduce(add, sums).means()
    rows = [
        (layer, head, *(None if math.isnan(value) else float(value) for value in means[index, head]))
        for index, layer in enumerate(layer_numbers)
        for head in head_numbers
    ]
    notes = notes_on(encoder, windows, global_attention)

    def sign() -> str:
        return sign_run(
            encoder,
            max_length=max_length,
            stride=stride,
            queries=queries,
            level=level,
            long_range=long_range,
            global_attention=global_attention,
        )

    return Table(["layer", "head", *chosen], rows, notes, sign)


def read(
    encoder: Encoder,
    text: str,
    pair: str | None = None,
    *,
    level: str = "token",
    max_length: int | None = None,
    stride: int | None = None,
    global_attention: str = "none",
) -> list[Tokens]:
    """A text as the encoder reads it, in one window or several; the options are those of :func:`head_table`.

    Raises:
        UsageError: there is nothing to read, or an option does not suit the text or the model.

    Warns:
        TruncationWarning: the text is longer than the model reads and was cut.
        UnknownTokensWarning: more than a third of its tokens are unknown to the model's vocabulary.
        WordsWarning: its words are asked for, and its script has no spaces between them.
        CaseWarning: it has capitals, and the tokenizer and its vocabulary are not of one mind about them.
    """
    windows = encoder.tokenize(text, pair, max_length=max_length, stride=stride)
    if global_attention != "none":
        windows = [encoder.with_global_attention(window, global_attention) for window in windows]
    if level == "word":
        check_words(encoder, windows)
    texts = [text] if pair is None else [text, pair]
    said = {
        TruncationWarning: _remark_on_length(encoder, windows[0], max_length),
        CaseWarning: encoder.case if any(each != each.lower() for each in texts) else "",
        WordsWarning: _remark_on_words(windows, level),
        UnknownTokensWarning: remark_on_unknown(encoder.tokenizer, windows, texts),
    }
    for category, message in said.items():
        if message:
            warnings.warn(message, category, stacklevel=3)
    return windows


def check_words(encoder: Encoder, windows: Sequence[Tokens]) -> None:
    """Refuses a text whose tokens cannot be found again in it.

    Raises:
        UsageError: they cannot.
    """
    if any(window.words is None for window in windows):
        name = type(encoder.tokenizer).__name__
        raise UsageError(f"no words for this text: the tokens of {name} cannot be found again in it")


def script_without_words(windows: Sequence[Tokens]) -> str:
    """The script of a text whose words are not known; empty: they are, see :func:`attnprobe.tokens.unspaced_script`."""
    return unspaced_script("".join(chain(*(window.texts for window in windows))))


def _remark_on_words(windows: Sequence[Tokens], level: str) -> str:
    """What to say of a text whose words are asked for and not known; empty of any other."""
    script = script_without_words(windows) if level == "word" else ""
    why = f"{script} has no spaces between words, and finding them takes a dictionary"
    return f"this text has no words here: {why}; each of its tokens stands for itself" if script else ""


def _remark_on_length(encoder: Encoder, read: Tokens, max_length: int | None) -> str:
    """What to say of a text that was cut; empty of any other."""
    if not read.n_cut:
        return ""
    more, limit = "", encoder.position_limit
    if max_length is None and (limit is None or limit > len(read)):
        more = f"; a max_length of up to {limit} reads more" if limit else "; a larger max_length reads more"
    return f"the text has {len(read) + read.n_cut} tokens; only the first {len(read)} were read{more}"


def notes_on(encoder: Encoder, windows: Sequence[Tokens], global_attention: str = "none") -> dict[str, Any]:
    """How the numbers of a text came about, for what a terminal shows."""
    return {
        "model": encoder.location.short_name,
        "tokens": [list(window.strings) for window in windows],
        "n_unknown": count_unknown(encoder.tokenizer, windows)[0],
        "reach": reach_by_layers(encoder) if global_attention == "none" else {},
        "changed": encoder.family.remark if encoder.family and encoder.family.options else "",
    }


def sign_run(
    encoder: Encoder,
    *,
    max_length: int | None,
    level: str,
    stride: int | None = None,
    queries: str | None = None,
    long_range: int | None = None,
    global_attention: str = "none",
    **more: object,
) -> str:
    """The signature of what this encoder measures with these options; None: nothing depends on that one."""
    return signature(
        model=encoder.fingerprint,
        tokenizer=encoder.tokenizer_fingerprint,
        dtype=str(encoder.dtype).removeprefix("torch."),
        max_length=max_length or encoder.max_length,
        stride=stride,
        queries=queries,
        level=level,
        long_range=long_range,
        special="kept",
        global_attention=None if global_attention == "none" else global_attention,
        **more,
    )


def measure(
    texts: Sequence[Tokens],
    encoder: Encoder,
    metrics: dict[str, Metric],
    *,
    layers: Sequence[int],
    long_range: int,
    queries: str,
    level: str,
    profiles: list[np.ndarray] | None = None,
) -> list[Sums]:
    """Runs one batch and reduces each text's weights while the model computes them.

    Args:
        profiles: where to put the weights' sums by offset, (layer, head, offset), an array per length of text.
    """
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    by_length = [texts[index] for index in order]
    alone = [slice(place, place + 1) for place in range(len(texts))]
    groups = alone if level == "word" else encoder.groups(by_length)
    reducers = [
        Reducer(
            by_length[group],
            metrics,
            layers,
            encoder.heads,
            long_range=int(long_range),
            queries=queries,
            level=level,
            profile=profiles is not None,
            dtype=encoder.dtype,
            device=encoder.device,
            compiled=encoder.compiled,
        )
        for group in groups
    ]

    def observe(layer: int, group: int) -> Observer | None:
        return reducers[group].start_layer(layer) if layer in layers else None

    encoder.observe(by_length, observe, groups, [reducer.starts for reducer in reducers])
    if profiles is not None:
        profiles += [reducer.profile() for reducer in reducers]
    sums = dict(zip(order, (text for reducer in reducers for text in reducer.sums), strict=True))
    return [sums[index] for index in range(len(texts))]


def check_options(*, level: str, queries: str = "all", long_range: int = 0, global_attention: str = "none") -> None:
    """Refuses what cannot be meant.

    Raises:
        UsageError: some option has no such value.
    """
    for name, value, choices in (
        ("global_attention", global_attention, ("none", "cls", "first")),
        ("queries", queries, ("all", "content")),
        ("level", level, ("token", "word")),
    ):
        check_choice(name, value, choices)
    check_whole("long_range", long_range)
