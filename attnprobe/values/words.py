"""The words that a measurement counts in, and the tokens they own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The words of a text as something other than the tokenizer counts them: a treebank, a list of residues.

    Attributes:
        texts: their characters.
        owner: of each token the number of its word, counted from 0; -1 for a token of no word, such as [CLS]. Numbers
            ascend with position. A word may own no token.
    """

    texts: tuple[str, ...]
    owner: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)
