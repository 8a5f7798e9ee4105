"""Measures what two words of a text give to each other in each head, and how unusual that is for the head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attnprobe.analyses.weights import SUM
from attnprobe.errors import UsageError
from attnprobe.values.arguments import listed, shown
from attnprobe.values.attention import Attention
from attnprobe.values.averaging import Numbers
from attnprobe.values.finding import first_match
from attnprobe.values.options import Mean, Reading, Selection
from attnprobe.values.runs import join_tokens
from attnprobe.values.table import ArrayRows, Table
from attnprobe.values.tokens import Role, Tokens

if TYPE_CHECKING:
    from attnprobe.models.encoder import Encoder

NUMBERS = {
    "weight": "what the query gives to the key: the mean over the query's tokens of the sum over the key's",
    "unusual": "the share of the head's other weights in the text, between as many tokens, that are smaller",
    "excess": "how much larger the weight is than what other queries give to this key on average, and than the mean "
    "weight at this distance",
}
COLUMNS = {
    "layer": "counted from 0; empty if layers are averaged",
    "head": "counted from 0; empty if heads are averaged",
    "query": "the first position of the word that attends, counted from 0",
    "query_token": "its tokens, joined by +",
    "key": "the first position of the word that is attended to",
    "key_token": "its tokens, joined by +",
    **NUMBERS,
}
FORM = "write both words, or positions, with a colon between them: it:animal, 3:7"


class Way(NamedTuple):
    """A link in one direction.

    Attributes:
        query, key: the positions of the tokens that attend, and of those that are attended to.
        numbers: (number, layer, head), those of NUMBERS in their order; NaN where one has no meaning.
    """

    query: Sequence[int]
    key: Sequence[int]
    numbers: np.ndarray

    def ranked(self, sort: str, top: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Ranks the heads, highest first by a number, missing ones last, as places of layers and of heads."""
        values = self.numbers[list(NUMBERS).index(sort)]
        order = np.argsort(-values, axis=None, kind="stable")[:top]
        layer, head = np.unravel_index(order, values.shape)
        return layer, head


@dataclass(frozen=True)
class Links:
    """The links that were asked for, each in both directions.

    Attributes:
        ways: the directions: of the first link, from its first word to its second, then back; and so on.
        texts: the text, or the two of a pair.
        tokens: their tokens; words at level "word".
        layers, heads: the numbers of the axes, as in :class:`attnprobe.values.attention.Attention`.
        notes, sign: as in :class:`attnprobe.values.table.Table`.
        remarks: what there is to say of how the words were found.
    """

    ways: Sequence[Way]
    texts: Sequence[str]
    tokens: Tokens
    layers: Numbers
    heads: Numbers
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None
    remarks: Sequence[str] = ()

    def to_table(self, sort: str = "weight", top: int | None = None) -> Table:
        """Makes a row per link, direction, layer and head: the rows of each direction highest first.

        Args:
            sort: one of NUMBERS.
            top: only so many heads of each direction; None: all.
        """
        parts = [self._columns(way, *way.ranked(sort, top)) for way in self.ways]
        rows = ArrayRows([np.concatenate(column) for column in zip(*parts, strict=True)])
        return Table(list(COLUMNS), rows, self.notes, self.sign)

    def characters(self, positions: Sequence[int]) -> str:
        """Returns the characters of a word, with what stands between its tokens in the text."""
        runs = join_tokens(self.tokens, self.texts)
        found = [at for at, run in enumerate(runs) if {*run.tokens} & {*positions}]
        return "".join(run.text for run in runs[found[0] : found[-1] + 1])

    def _columns(self, way: Way, layer: np.ndarray, head: np.ndarray) -> list[np.ndarray]:
        """Makes the columns of some heads of a direction."""
        ends = (value for at in (way.query, way.key) for value in (at[0], SUM.join(self.tokens.strings[i] for i in at)))
        named = [np.full(len(layer), value, dtype=object if isinstance(value, str) else np.int32) for value in ends]
        axes = (np.array(of, dtype=np.float32 if None in of else np.int32) for of in (self.layers, self.heads))
        return [*(axis[at] for axis, at in zip(axes, (layer, head), strict=True)), *named, *way.numbers[:, layer, head]]


def split_link(link: str) -> list[tuple[str, str]]:
    """Lists the pairs of words that a link may mean, one for each of its colons with characters on both sides.

    >>> split_link("it:animal"), split_link("10:30:bus")
    ([('it', 'animal')], [('10', '30:bus'), ('10:30', 'bus')])

    Raises:
        UsageError: there is no such colon.
    """
    colons = (at for at, character in enumerate(link) if character == ":")
    pairs = [(link[:at].strip(), link[at + 1 :].strip()) for at in colons]
    found = [(first, second) for first, second in pairs if first and second]
    if not found:
        raise UsageError(f"cannot read {shown(link)} as a link of two words", FORM)
    return found


def words_in(link: Any) -> list[str]:
    """Lists the words of links that have one meaning only; see :func:`split_link`.

    Raises:
        UsageError: a link cannot be read.
    """
    return [word for one in listed(link) for pair in split_link(one)[:1] for word in pair if one.count(":") == 1]


def find_link(tokens: Tokens, link: str) -> tuple[list[int], list[int], list[str]]:
    """Finds the positions of a link's two words, and remarks on the choice.

    Where several colons may be the one between the words, the first with words of the text on both sides is. A word
    that is named on both sides is joined with its next occurrence.

    Raises:
        UsageError: the link cannot be read, or a word is not found.
    """
    errors = []
    for pair in split_link(link):
        try:
            first, remarks = first_match(tokens, pair[0])
            second, more = first_match(tokens, pair[1], apart=first)
        except UsageError as error:
            errors.append(error)
        else:
            return first, second, [*remarks, *more]
    raise errors[0]


def measure_links(
    text: str, encoder: Encoder, pair: str | None, link: Any, selection: Selection, mean: Mean, reading: Reading
) -> Links:
    """Measures the links between words of a text, in both directions.

    Args:
        link: ``A:B``, or a list of such.

    Raises:
        UsageError: an option does not suit the text, or a word is not found.
        ModelError: the model's weights belong to no tokens.
    """
    from attnprobe.measure.weights import keep_weights

    links = listed(link)
    if not links:
        raise UsageError("no link is named", FORM)
    options = {**vars(selection), **vars(mean), **reading.without("stride")}
    attention = keep_weights(
        text, encoder, pair=pair, check=lambda tokens: [find_link(tokens, one) for one in links], **options
    )
    found = [find_link(attention.query_tokens, one) for one in links]
    return Links(
        [way for first, second, _ in found for way in (_way(attention, first, second), _way(attention, second, first))],
        [text] if pair is None else [text, pair],
        attention.query_tokens,
        attention.layers,
        attention.heads,
        attention.notes,
        attention.sign,
        list(dict.fromkeys(remark for *_, remarks in found for remark in remarks)),
    )


def _way(attention: Attention, query: Sequence[int], key: Sequence[int]) -> Way:
    """Measures a link in one direction, layer by layer."""
    numbers = link_numbers(attention.weights, attention.query_tokens, query, key)
    return Way(query, key, numbers.astype(attention.weights.dtype))


def link_numbers(weights: np.ndarray, tokens: Tokens, query: Sequence[int], key: Sequence[int]) -> np.ndarray:
    """Computes NUMBERS of each head: (number, layer, head) in float64.

    The weight is compared with those between other runs of the text: as many tokens as the query has, and as many as
    the key has, which follow each other in one of the texts and have no token in common. A token that was added, or has
    no characters, is in no run.

    Args:
        weights: (layer, head, query, key).
    """
    queries, keys = (_runs(tokens, len(of)) for of in (query, key))
    is_asked = (queries == query).all(1)[:, None], (keys == key).all(1)
    others = _apart(queries, keys) & ~(is_asked[0] & is_asked[1])
    to_key = _apart(queries, np.array([key]))[:, 0] & ~is_asked[0][:, 0]
    as_far = others & (keys[:, 0] - queries[:, :1] == key[0] - query[0])
    found = np.empty((len(NUMBERS), *weights.shape[:2]))
    for layer, of_layer in enumerate(weights):
        weight = _between(of_layer, np.array([query]), np.array([key]))[:, 0, 0]
        between = _between(of_layer, queries, keys)
        usual = np.fmax(
            _mean(_between(of_layer, queries, np.array([key]))[..., 0], to_key),
            _mean(between, as_far),
        )
        found[:, layer] = weight, _mean(between < weight[:, None, None], others), weight - usual
    return found


def _runs(tokens: Tokens, size: int) -> np.ndarray:
    """Lists the runs of so many tokens that follow each other in one text, as positions (run, token)."""
    places = [at for at in tokens.positions(Role.CONTENT) if tokens.texts[at].strip()]
    runs = [places[start : start + size] for start in range(len(places) - size + 1)]
    of_one_text = [run for run in runs if tokens.segments[run[0]] == tokens.segments[run[-1]]]
    return np.array(of_one_text, int).reshape(-1, size)


def _apart(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Finds the pairs of runs that have no token in common, as (query, key) of truth values."""
    apart: np.ndarray = (queries[:, None, -1] < keys[:, 0]) | (keys[:, -1] < queries[:, None, 0])
    return apart


def _between(weights: np.ndarray, queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Averages weights over the tokens of each query, and adds them up over those of each key: (head, query, key)."""
    by_query = sum(weights[:, at].astype(np.float64) for at in queries.T) / queries.shape[1]
    summed: np.ndarray = sum(by_query[..., at] for at in keys.T)
    return summed


def _mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Averages the values of each head where the mask is true; NaN where it nowhere is."""
    return values[:, mask].mean(-1) if mask.any() else np.full(len(values), np.nan)
