"""How one head computes one row of attention, step by step (Vaswani et al. 2017, equation 1 and §3.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from attnprobe.analyses.kinds import Analysis
from attnprobe.errors import ModelError, UsageError
from attnprobe.values.arguments import shown
from attnprobe.values.finding import one_query
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.options import Options, Reading, Without, indices, option, whole
from attnprobe.values.selection import Indices, select
from attnprobe.values.table import Cell, Table
from attnprobe.values.text import visible
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    import pandas
    import torch

    from attnprobe.models.encoder import Encoder
    from attnprobe.models.heads import HeadParts
    from attnprobe.models.origins import Vectors


COLUMNS = {
    "position": "of the key, counted from 0",
    "token": "the key as the vocabulary writes it",
    "text": "its characters in the text",
    "dot": "q·k",
    "scaled": "dot · scale, which is 1/√d_k unless the model has another; after it, a column for each term that the "
    "model adds: position_bias, softcap",
    "score": "scaled and terms; missing where the query may not see the key",
    "weight": "the softmax of the scores",
    "value_norm": "‖weight · v‖, in the head's own space",
    "output_norm": "‖weight · v·W_O‖ with the head's rows of W_O; missing where W_O was not found",
}


@dataclass(frozen=True, repr=False)
class Trace:
    """One row of attention of one head, with every number on the way to it.

    What the model computed (x, q, k, v) is in its own precision, what follows from it is recomputed in float64.

    Attributes:
        model: the short name.
        tokens: the tokens that the encoder reads, which are the keys.
        layer, head, query: counted from 0; the query is a position.
        x: (d_model,) the query's vector as the linear map W_Q reads it, after any norm; None if the map was not found.
        q_projected: (d_k,) x·W_Q + b_Q, the head's columns; None if the map was not found.
        q: (d_k,) as it is multiplied with the keys.
        k_projected, k: (key, d_k) the same of all keys.
        v: (key, d_v) the values, as they are summed up.
        made_by: the steps from a token's vector to q, k and v, in order; empty if they were not found.
        dot: (key,) q·k.
        scale: the factor of ``dot``, 1/√d_k unless the model has another.
        scaled: (key,) dot · scale.
        terms: the terms added to ``scaled``, by name, each (key,): ``position_bias``; ``softcap``,
            c·tanh(scaled / c) − scaled.
        score: (key,) scaled and terms; −∞ where the query may not see the key.
        sink: one more score in the softmax, whose weight falls on no key; None if there is none.
        weight: (key,) softmax of the scores.
        value_norm: (key,) ‖weight · v‖, in the head's own space.
        output_norm: (key,) ‖weight · v·W_O‖ with the head's rows of W_O, the ‖αf(x)‖ of Kobayashi et al. 2020; None
            if W_O was not found.
        output: (d_v,) z = Σ weight · v, which takes the columns head·d_v to (head + 1)·d_v of the heads side by side.
        projected: (d_model,) z·W_O, what this head adds to the layer's attention output, without b_O; None if W_O was
            not found.
        difference: the largest one between ``weight`` and the weights that the model used.
        remarks: sentences on what the numbers do not show.
        top: how many keys the table has, largest weight first; None: all in order.
        sign: returns the signature.
    """

    model: str
    tokens: Tokens
    layer: int
    head: int
    query: int
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    dot: np.ndarray
    scale: float
    scaled: np.ndarray
    terms: Mapping[str, np.ndarray]
    score: np.ndarray
    weight: np.ndarray
    value_norm: np.ndarray
    output: np.ndarray
    difference: float
    x: np.ndarray | None = None
    q_projected: np.ndarray | None = None
    k_projected: np.ndarray | None = None
    output_norm: np.ndarray | None = None
    projected: np.ndarray | None = None
    sink: float | None = None
    made_by: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys("qkv", ()))
    remarks: tuple[str, ...] = ()
    top: int | None = None
    sign: Callable[[], str] | None = None

    def __repr__(self) -> str:
        asks = f"query {self.query} {visible(self.tokens.strings[self.query])!r} of {len(self.tokens)} tokens"
        return one_line("Trace", self.model, f"layer {self.layer}", f"head {self.head}", asks)

    def _repr_html_(self) -> str:
        """Shows the keys with the largest weights."""
        table = replace(self, top=self.top or len(self.tokens)).to_table()
        names = [name for name in table.columns if name != "text"]
        rows = list(zip(*(table.column(name) for name in names), strict=True))
        return html_table(repr(self), names, rows)

    @property
    def columns(self) -> tuple[int, int]:
        """The head's columns in the concatenation: the first, and the first after them."""
        return self.head * len(self.output), (self.head + 1) * len(self.output)

    def to_table(self) -> Table:
        """Makes a row per key: position, token, text (its characters), then numbers from ``dot`` to ``output_norm``.

        The keys come in order; or, if ``top`` is given, only so many, largest weight first.
        """
        before, after = ("dot", "scaled"), ("score", "weight", "value_norm", "output_norm")
        numbers: dict[str, np.ndarray | None] = {name: getattr(self, name) for name in before}
        numbers |= {**self.terms, **{name: getattr(self, name) for name in after}}
        missing: list[Cell] = [None] * len(self.tokens)
        cells = [missing if column is None else [_cell(x) for x in column.tolist()] for column in numbers.values()]
        rows = list(zip(range(len(self.tokens)), self.tokens.strings, self.tokens.texts, *cells, strict=True))
        if self.top is not None:
            rows = [rows[at] for at in np.argsort(-self.weight, kind="stable")[: self.top]]
        return Table(["position", "token", "text", *numbers], rows, sign=self.sign, document=self.to_dict)

    def to_frame(self) -> pandas.DataFrame:
        """Returns :meth:`to_table` as a DataFrame; a masked score is NaN."""
        return self.to_table().to_frame()

    def to_dict(self) -> dict[str, Any]:
        """Returns all numbers by name, as ``-f json`` holds them; ``keys`` has an object per key."""
        rows, vectors = self.to_table(), {"k_projected": self.k_projected, "k": self.k, "v": self.v}
        keys = [
            dict(zip(rows.columns, row, strict=True))
            | {name: None if by_key is None else by_key[at] for name, by_key in vectors.items()}
            for at, row in zip(map(int, rows.column("position")), rows.rows, strict=True)
        ]
        text, token = self.tokens.texts[self.query], self.tokens.strings[self.query]
        asked = {"position": self.query, "token": token, "text": text}
        names = ("scale", "sink", "made_by", "x", "q_projected", "q", "output", "columns", "projected", "difference")
        return {
            "model": self.model, "layer": self.layer, "head": self.head, "query": asked,
            **{name: getattr(self, name) for name in names}, "remarks": self.remarks,
            "signature": self.sign() if self.sign else None, "keys": keys,
        }  # fmt: skip


def _cell(number: float) -> float | None:
    return number if np.isfinite(number) else None


@dataclass(frozen=True)
class Row(Options):
    """Chooses the row and the head to trace.

    Attributes:
        layer, head: counted from 0, negative ones from the end.
        query: a position, or the characters of a token or word, see :func:`attnprobe.values.finding.find_matches`;
            None: the only token of the text.
    """

    layer: Indices = indices(flags=("-l", "--layer"), metavar="LAYER", help="The layer, counted from 0.")
    head: Indices = indices(metavar="HEAD", help="The head, likewise.")
    query: str | None = option(
        None,
        metavar="TOKEN|INDEX",
        help="Whose attention: a token or word, or a position from 0.  [default: the text's only token]",
    )


@dataclass(frozen=True)
class Keys(Options):
    """Chooses the keys that become rows.

    Attributes:
        top: only so many, largest weight first; None: all in order, of which a terminal shows those with the largest.
    """

    top: int | None = whole(
        None, least=1, help="Only the N keys with the largest weights.  [default: 10 on a terminal, else all]"
    )


def trace_row(text: str, encoder: Encoder, pair: str | None, row: Row, keys: Keys, reading: Reading) -> Trace:
    """Traces how one head computes one row of attention.

    Raises:
        UsageError: the layer, head or token does not exist, or the text is empty.
        ModelError: the scores have a term that is not separated here, or the numbers do not add up.
    """
    from attnprobe.attention.blocks import exact
    from attnprobe.measure.reading import sign, windows_of
    from attnprobe.models.parts import head_parts

    layer, head = _one(row.layer, encoder.layers, "layer"), _one(row.head, encoder.heads, "head")
    [tokens] = windows_of(encoder, text, pair, reading)
    position, choice = one_query(tokens, row.query)
    parts = head_parts(encoder, tokens, layer, head)

    return Trace(
        model=encoder.name,
        tokens=tokens,
        layer=layer,
        head=head,
        query=position,
        **_vectors(parts, position, exact(encoder.dtype)),
        **_row(parts, position, encoder.dtype),
        remarks=tuple(filter(None, [choice, *_remarks(parts, tokens, encoder.tokenizer)])),
        top=keys.top,
        sign=lambda: sign(encoder, reading, layer=layer, head=head, query=position),
    )


def _one(choice: Indices, count: int, what: str) -> int:
    chosen = select(choice, count, what)
    if len(chosen) != 1:
        message = f"a trace is of one {what}; {shown(choice)} means {len(chosen)}"
        raise UsageError(message, f"choose one of 0 to {count - 1}")
    return chosen[0]


def _vectors(parts: HeadParts, query: int, dtype: torch.dtype) -> dict[str, Any]:
    """Collects the numbers that the model computed, as fields of a Trace."""
    q, k, v = parts.q, parts.k, parts.v
    vectors = {
        "x": None if q.x is None else q.x[query],
        "q_projected": None if q.projected is None else q.projected[query],
        "q": q.final[query],
        "k_projected": k.projected,
        "k": k.final,
        "v": v.final,
    }
    fields: dict[str, Any] = {
        name: None if vector is None else vector.to(dtype).contiguous().numpy() for name, vector in vectors.items()
    }
    return fields | {"made_by": {name: made_by(name, made) for name, made in (("q", q), ("k", k), ("v", v))}}


def made_by(name: str, vectors: Vectors) -> tuple[str, ...]:
    """Lists the steps from a token's vector to q, k or v, in words; empty if its linear map was not found."""
    if vectors.x is None:
        return ()
    letter = name.upper()
    return f"x·W_{letter}" + (f" + b_{letter}" if vectors.bias is not None else ""), *vectors.changes


def _row(parts: HeadParts, query: int, dtype: torch.dtype) -> dict[str, Any]:
    """Computes one row of attention from q, k and v, as fields of a Trace.

    Raises:
        ModelError: the weights are not those that the model used.
    """
    import torch

    from attnprobe.attention.rounding import rounding_of_weights
    from attnprobe.attention.textbook import attention_scores, linear, mask_scores, softmax

    asks, values = slice(query, query + 1), parts.v.final
    dot = attention_scores(parts.q.final[asks], parts.k.final, 1.0)
    scaled = dot * parts.scale
    terms = {} if parts.softcap is None else {"softcap": parts.softcap * torch.tanh(scaled / parts.softcap) - scaled}
    terms |= {name: term[asks] for name, term in parts.terms.items()}
    score = scaled + sum(terms.values())
    if parts.allowed is not None:
        score = mask_scores(score, parts.allowed[asks])
    sinks = score.new_tensor([[] if parts.sink is None else [parts.sink]])
    weight = softmax(torch.cat([score, sinks], 1))[:, : len(values)]
    difference = float((weight - parts.weights[asks]).abs().max())
    if not difference <= rounding_of_weights(dtype, parts.q.final[asks], parts.k.final, parts.scale):
        raise ModelError(
            f"the weights recomputed from q and k differ from those the model used by {difference:.1e}",
            "--dtype float64 computes more exactly",
        )
    output, rows = weight @ values, parts.output_weight
    numbers = {"dot": dot, "scaled": scaled, "score": score, "weight": weight, "output": output}
    numbers["value_norm"] = weight * values.norm(dim=1)
    if rows is not None:
        numbers |= {"output_norm": weight * linear(values, rows).norm(dim=1), "projected": linear(output, rows)}
    fields: dict[str, Any] = {name: number[0].numpy() for name, number in numbers.items()}
    fields["terms"] = {name: term[0].numpy() for name, term in terms.items()}
    return fields | {"scale": parts.scale, "sink": parts.sink, "difference": difference}


def _remarks(parts: HeadParts, tokens: Tokens, tokenizer: Any) -> Iterator[str]:
    import torch

    from attnprobe.models.vocabulary import MOST_UNKNOWN, count_unknown

    for name, vectors in zip("qkv", (parts.q, parts.k, parts.v), strict=True):
        if vectors.x is None:
            yield f"{name} is shown from where attention is given it: no linear map of the layer makes it by itself"
        elif parts.q.x is not None and not torch.equal(vectors.x, parts.q.x):
            yield f"{name} is made from another input of its token than q is"
    if parts.output_weight is None:
        yield "the heads' outputs go through something else before W_O, which is not shown"
    unknown, content = count_unknown(tokenizer, [tokens])
    if 0 < unknown <= MOST_UNKNOWN * content:  # of more there is a warning
        yield f"the model's vocabulary lacks {unknown} of the text's {content} tokens"


TRACE = Analysis(
    trace_row,
    COLUMNS,
    options=(Row, Keys, Annotated[Reading, Without("stride", "level", "global_attention", "of")]),
    names_tokens=("query",),
    view="attnprobe.render.trace:trace_view",
    examples=(
        "attnprobe trace 'It was too tired.' -l 3 --head 1 --query It",
        "attnprobe trace 'It was too tired.' -l 3 --head 1 --query 2 --top 3",
        "attnprobe trace 'It was too tired.' -l -1 --head 0 --query tired -f json",
    ),
)
