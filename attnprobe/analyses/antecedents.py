"""Measures which earlier word each head points to from a mention, and whether it names the same entity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.analyses.coreference import LABELS
from attnprobe.analyses.coreferences import ANSWERS, LEFT_OUT, Coreferences
from attnprobe.analyses.questions import Questions, cut
from attnprobe.attention.blocks import exact
from attnprobe.errors import UsageError
from attnprobe.measure.by_word import WordListener, WordRows, refuse_pooled
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.models.encoder import Encoder
from attnprobe.models.encoding import locate
from attnprobe.models.global_attention import with_global_attention
from attnprobe.models.tokenizing import check_readable
from attnprobe.values.documents import Document
from attnprobe.values.options import Reading
from attnprobe.values.outcomes import Outcomes
from attnprobe.values.records import Record
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens
from attnprobe.values.words import Words

MENTIONS, WORDS, BACK = range(len(ANSWERS))
NOTHING = -1  # the word that a head points to which gives no candidate any weight


@dataclass(frozen=True)
class Antecedents(NoRows):
    """Measures which antecedents heads find, for ``coreference``.

    Attributes:
        layers, heads: the numbers of those measured, ascending.
        window: how many tokens a window of whole sentences holds at most; None: any number.
        singletons, inclusive: how documents are read, see :meth:`attnprobe.values.documents.Document.of`.
        seed: of the bootstrap.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    window: int | None
    singletons: bool = False
    inclusive: bool = False
    seed: int = 0
    alone: bool = False

    knows: ClassVar[Sequence[str]] = LABELS

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        layers: Indices,
        heads: Indices,
        window: int | None,
        singletons: bool,
        inclusive: bool,
        seed: int,
    ) -> Antecedents:
        """Chooses the heads, and how documents are cut.

        Raises:
            UsageError: a layer or head is out of range, or a window is longer than the model reads.
            ModelError: a layer pools tokens.
        """
        if window and encoder.position_limit and window > encoder.position_limit:
            raise UsageError(f"a window of {window} is more than the model's {encoder.position_limit} positions")
        chosen = tuple(select(layers, encoder.layers, "layer")), tuple(select(heads, encoder.heads, "head"))
        refuse_pooled(encoder, chosen[0])
        return cls(*chosen, window or encoder.max_length, singletons, inclusive, seed)

    @property
    def size(self) -> int:
        """Bytes of a hundred questions, an eighth for each answer of each head."""
        return 100 * len(ANSWERS) * len(self.layers) * len(self.heads) // 8

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        """How documents are read and cut, and the seed of the bootstrap."""
        kept = {"singletons": self.singletons or None, "inclusive": self.inclusive or None}
        return {"window": self.window or "document", **kept, "seed": self.seed}

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Cuts a document into windows of whole sentences, each with its questions.

        Raises:
            UsageError: the record is no document with mentions, or none of its sentences fits into a window.
        """
        document = Document.of(record, singletons=self.singletons, inclusive=self.inclusive)
        check_readable(document.words, "the document")
        located = locate(encoder.tokenizer, [document.words])
        owner = np.array(located.owners)
        sizes = np.bincount(owner[owner >= 0], minlength=len(document.words))
        room = len(owner) if self.window is None else self.window - int((owner < 0).sum())
        sentences = [int(sizes[sentence.start : sentence.stop].sum()) for sentence in document.sentences]
        windows, left_out = cut(document.sentences, sentences, room)
        if not windows:
            raise UsageError(f"no sentence of the document fits into a window of {self.window} tokens")
        made = [_window(located.tokens, owner, document, window) for window in windows]
        if reading.global_attention != "none":
            made = [with_global_attention(encoder, window, reading.global_attention) for window in made]
        return [replace(made[0], labels={**made[0].labels, LEFT_OUT: left_out}), *made[1:]]

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> AntecedentListener:
        """Makes a listener that keeps, for each question, the word that a head points to."""
        return AntecedentListener(self, texts, encoder)

    def empty(self, signature: str) -> Coreferences:
        """The summary of no document."""
        return Coreferences.empty(self.layers, self.heads, signature, self.seed)


def _window(whole: Tokens, owner: Int[np.ndarray, " token"], document: Document, window: range) -> Tokens:
    """Takes the tokens of some words, and those that the tokenizer added, with the questions."""
    kept = np.flatnonzero((owner < 0) | ((owner >= window.start) & (owner < window.stop)))
    numbers = np.where(owner[kept] < 0, -1, owner[kept] - window.start)
    words = Words(document.words[window.start : window.stop], tuple(numbers.tolist()))
    labels = {"words": words, "questions": Questions.of(document, window)}
    return replace(whole.take(kept.tolist()), labels=labels)


class AntecedentListener(WordListener):
    """Keeps the word that each head points to, for each question about some windows of one length.

    Only rows and columns of mentions are looked at, as they come.
    """

    def __init__(self, measurement: Antecedents, texts: Sequence[Tokens], encoder: Encoder) -> None:
        super().__init__([text.labels["words"] for text in texts], encoder, measurement.layers)
        self.heads = list(measurement.heads)
        self.questions: list[Questions] = [text.labels["questions"] for text in texts]
        asking = [(text, word) for text, one in enumerate(self.questions) for word in one.asking]
        self.text, self.asking = torch.tensor(asking, dtype=torch.long, device=encoder.device).reshape(-1, 2).T
        self.earlier = torch.arange(self.count, device=encoder.device) < self.asking[:, None]
        is_place = torch.zeros(len(texts), self.count, dtype=torch.bool)
        for text, one in enumerate(self.questions):
            is_place[text, list(one.places)] = True
        self.candidates = self.earlier & is_place.to(encoder.device)[self.text]
        shape = (len(ANSWERS), len(self.layers), encoder.heads, len(asking))
        self.chosen = torch.full(shape, NOTHING, device=encoder.device)
        self.largest = torch.zeros(shape[1:], dtype=exact(encoder.dtype), device=encoder.device)  # of BACK, so far

    def receive(self, rows: WordRows) -> None:
        """Looks at the rows of mentions, and at their columns, of which these rows may hold a part."""
        layer, texts = self.layers.index(rows.layer), rows.texts
        here = (self.text >= texts.start) & (self.text < texts.stop)
        some = (here & (self.asking >= rows.rows.start) & (self.asking < rows.rows.stop)).nonzero()[:, 0]
        if len(some):
            asked = rows.weights[self.text[some] - texts.start, :, self.asking[some] - rows.rows.start]
            for answer, allowed in ((MENTIONS, self.candidates), (WORDS, self.earlier)):
                self.chosen[answer, layer, rows.heads, some] = _largest(asked, allowed[some])[1].T
        some = (here & self.candidates[:, rows.rows].any(1)).nonzero()[:, 0]
        if len(some):
            asking = rows.weights[self.text[some] - texts.start, :, :, self.asking[some]]
            values, words = (found.T for found in _largest(asking, self.candidates[some, rows.rows]))
            at = (layer, rows.heads, some)
            more = values > self.largest[at]
            self.largest[at] = torch.where(more, values, self.largest[at])
            self.chosen[(BACK, *at)] = torch.where(more, words + rows.rows.start, self.chosen[(BACK, *at)])

    def finish(self) -> Found:
        """Returns who is right, text by text."""
        chosen = self.chosen[:, :, self.heads].flatten(0, 2).T.cpu().numpy()
        ends = np.cumsum([len(one.asking) for one in self.questions])[:-1]
        return Found([_outcomes(*pair) for pair in zip(self.questions, np.split(chosen, ends), strict=True)])


def _outcomes(questions: Questions, chosen: Int[np.ndarray, "question head"]) -> Outcomes:
    """Finds who is right in the questions of a window: the answers of heads, then the baselines."""
    right = [np.isin(of_question, words) for of_question, words in zip(chosen, questions.answers, strict=True)]
    heads = np.array(right, bool).reshape(chosen.shape)
    return Outcomes.of([0] * len(right), questions.groups, np.hstack([heads, questions.baselines]))


def _largest(
    weights: Float[Tensor, "question head word"], allowed: Bool[Tensor, "question word"]
) -> tuple[Float[Tensor, "question head"], Int[Tensor, "question head"]]:
    """Finds the largest weight on words that are allowed, and that word: the first of equals, or NOTHING if it is 0."""
    values, words = torch.where(allowed[:, None], weights, 0).max(-1)
    return values, torch.where(values > 0, words, NOTHING)
