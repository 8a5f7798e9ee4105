"""The words that findings are made of."""

from __future__ import annotations

from attnprobe.values.text import visible

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
VERB, NOUN, ANY = "verb", "noun", "head word"
GOVERNORS = {
    **dict.fromkeys(("nsubj", "csubj", "obj", "iobj", "obl", "ccomp", "xcomp", "advcl", "aux", "mark", "expl"), VERB),
    **dict.fromkeys(("det", "amod", "nummod", "case", "nmod", "acl", "appos", "clf"), NOUN),
}
ANY_WORD = {"all": "any word", "all+punct": "any word or punctuation mark"}
DEPENDENTS = {"all": "dependent", "all+punct": "dependent or punctuation mark"}
NOUNS = {  # one text of a section, and several
    "texts": ("text", "texts"),
    "treebank": ("sentence of a treebank", "sentences of a treebank"),
    "documents": ("document", "documents"),
}
GROUPS = {"all": "mentions", "pronoun": "pronouns", "proper": "proper names", "nominal": "other noun phrases"}
ANSWERS = {"mentions": "", "words": " among all earlier words", "back": " by the weights back from earlier mentions"}
IMPORTANCE = {
    "pooled_change": "switching it off changes the pooled vector by {} (1 − cosine)",
    "importance": "by gradients its importance is {}",
}
HOW_OFF = {
    "zero": "this head is off (zero): its weights are computed, and go nowhere",
    "mean": "this head is off (mean): it writes the same for every token of a text; its weights go nowhere",
    "uniform": "this head is off (uniform): it writes as if its weights were even; those it computes go nowhere",
}
RULES = {
    "nearest": "the nearest mention",
    "head_match": "the same head word",
    "head_match_else_nearest": "the same head word or else the nearest mention",
    "sieves": "rules of thumb",
}


def percents(*shares: float) -> list[str]:
    """Writes shares in whole percent, or with a decimal where unequal ones would read alike; none as 0 % or 100 %
    that is not.

    >>> percents(0.754, 0.371), percents(0.412, 0.408), percents(0.996), percents(0.002)
    (['75 %', '37 %'], ['41.2 %', '40.8 %'], ['> 99 %'], ['< 1 %'])
    """
    whole = [_percent(share, 0) for share in shares]
    return whole if len({*whole}) == len({*shares}) else [_percent(share, 1) for share in shares]


def _percent(share: float, places: int) -> str:
    step = 10.0**-places
    if 0 < share < 1 - 1e-9 and not step / 2 < 100 * share < 100 - step / 2:
        return f"< {step:.{places}f} %" if share < 0.5 else f"> {100 - step:.{places}f} %"
    return f"{100 * share:.{places}f} %"


def link(relation: str, direction: str) -> str:
    """Writes from which word to which one a head looks.

    >>> link("obj", "dep->head"), link("det", "head->dep")
    ('obj → its verb', 'noun → its det')
    >>> link("all", "dep->head"), link("all+punct", "dep->head")
    ('any word → its head word', 'any word or punctuation mark → its head word')
    """
    governor = GOVERNORS.get(relation.partition(":")[0], ANY)
    named = visible(relation)
    if direction == "head->dep":
        return f"{governor} → its {DEPENDENTS.get(relation, named)}"
    return f"{ANY_WORD.get(relation, named)} → its {governor}"
