"""Guesses antecedents by rules of thumb, which heads are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from attnprobe.values.documents import Document, Mention

AGREEING = ("Number", "Gender", "Person")
GROUPS = ("pronoun", "proper", "nominal")


@dataclass(frozen=True)
class Traits:
    """What the rules compare of a mention.

    Attributes:
        text: all of it, in small letters.
        word: its head word, likewise.
        features: the values of Number, Gender and Person that the head word may have; those that are unknown are left
            out.
    """

    text: str
    word: str
    features: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, mention: Mention, document: Document) -> Traits:
        """Finds the traits of a mention."""
        feats = document.feats[mention.head] if document.feats else ""
        return cls(mention.text.casefold(), document.words[mention.head].casefold(), agreeing(feats))


def agreeing(feats: str) -> dict[str, frozenset[str]]:
    """Reads the features that mentions of one entity agree in.

    >>> agreeing("Case=Nom|Gender=Fem|Number=Plur")
    {'Gender': frozenset({'Fem'}), 'Number': frozenset({'Plur'})}
    """
    pairs = (feature.partition("=") for feature in feats.split("|"))
    return {name: frozenset(values.split(",")) for name, _, values in pairs if name in AGREEING}


Rule = Callable[[Traits, Traits], bool]


def same_text(one: Traits, other: Traits) -> bool:
    """Whether both are the same words."""
    return one.text == other.text


def same_word(one: Traits, other: Traits) -> bool:
    """Whether both have the same head word."""
    return one.word == other.word


def no_conflict(one: Traits, other: Traits) -> bool:
    """Whether number, gender and person, where both are known, have a value in common."""
    shared = one.features.keys() & other.features.keys()
    return all(one.features[name] & other.features[name] for name in shared)


def anything(one: Traits, other: Traits) -> bool:
    """True of any two mentions."""
    return True


BASELINES: Mapping[str, Sequence[Rule]] = {
    "nearest": (anything,),
    "head_match": (same_word,),
    "head_match_else_nearest": (same_word, anything),
    "sieves": (same_text, same_word, no_conflict, anything),  # after Lee et al. 2011
}


def guess(rules: Sequence[Rule], mention: Traits, earlier: Sequence[Traits]) -> int | None:
    """Finds the nearest of some earlier mentions that the first rule allows, else the next rule; None: no rule does."""
    for rule in rules:
        for number in reversed(range(len(earlier))):
            if rule(mention, earlier[number]):
                return number
    return None


def group_of(head: int, document: Document) -> str:
    """Names the group of a mention by its head word's part of speech; empty if that is unknown."""
    if not document.upos:
        return ""
    if document.upos[head] == "PRON" or (document.feats and "PronType=Prs" in document.feats[head].split("|")):
        return "pronoun"
    return "proper" if document.upos[head] == "PROPN" else "nominal"
