"""Cuts documents into windows of whole sentences, and asks of each mention in a window which antecedent it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from attnprobe.analyses.sieves import BASELINES, Traits, group_of, guess
from attnprobe.values.documents import Document


@dataclass(frozen=True)
class Questions:
    """The mentions of a window that have an antecedent in it: an earlier mention of the same entity.

    Attributes:
        places: the words that stand for mentions, ascending: the candidates. Words are counted within the window.
        asking: (question,) the word that stands for the mention, ascending.
        answers: (question,) the earlier words that stand for mentions of the same entity.
        groups: (question,) see :func:`attnprobe.analyses.sieves.group_of`.
        baselines: (question, baseline) whether each of BASELINES is right.
    """

    places: tuple[int, ...]
    asking: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]
    baselines: Bool[np.ndarray, "question baseline"]

    @classmethod
    def of(cls, document: Document, window: range) -> Questions:
        """Asks for the antecedents within a window of a document.

        Args:
            window: its words, by number in the document.
        """
        mentions = [mention for mention in document.mentions if mention.head in window]
        traits = [Traits.of(mention, document) for mention in mentions]
        places = [mention.head - window.start for mention in mentions]
        asking, answers, groups, baselines = [], [], [], []
        for number, mention in enumerate(mentions):
            before = range(places.index(places[number]))
            right = tuple(places[at] for at in before if mentions[at].entity == mention.entity)
            if right:
                earlier = [traits[at] for at in before]
                guesses = [guess(rules, traits[number], earlier) for rules in BASELINES.values()]
                asking.append(places[number])
                answers.append(right)
                groups.append(group_of(mention.head, document))
                baselines.append([at is not None and places[at] in right for at in guesses])
        table = np.array(baselines, bool).reshape(-1, len(BASELINES))
        return cls(tuple(dict.fromkeys(places)), tuple(asking), tuple(answers), tuple(groups), table)


def cut(sentences: Sequence[range], sizes: Sequence[int], room: int) -> tuple[list[range], int]:
    """Joins neighbouring sentences to windows, as many as fit, in order.

    A sentence that alone is too long is left out, and the window before it ends.

    Args:
        sentences: the words of each, by number.
        sizes: how many tokens each has.
        room: how many tokens a window holds.

    Returns:
        the words of each window, and how many sentences were left out.

    >>> cut([range(0, 2), range(2, 3), range(3, 9)], [3, 1, 8], 4)
    ([range(0, 3)], 1)
    """
    windows: list[range] = []
    size = left_out = 0
    for sentence, tokens in zip(sentences, sizes, strict=True):
        if tokens > room:
            left_out += 1
        elif windows and windows[-1].stop == sentence.start and size + tokens <= room:
            windows[-1], size = range(windows[-1].start, sentence.stop), size + tokens
        else:
            windows.append(sentence)
            size = tokens
    return windows, left_out
