"""Checks that a model has embeddings for the tokens of its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from attnprobe.errors import TextError
from attnprobe.values.text import visible

Rows = Sequence[Sequence[Any]]  # a number for each token of each text
RESIZE = "model.resize_token_embeddings(len(tokenizer)) before training adds them; or give the model's own tokenizer"


def beyond_embeddings(model: Any, tokenizer: Any) -> list[str]:
    """Writes the remark on a tokenizer whose added tokens have no embeddings; texts without these are measured."""
    table = _token_table(model)
    if table is None:
        return []
    without = sorted((id, piece) for piece, id in tokenizer.get_added_vocab().items() if id >= len(table.weight))
    names = ", ".join(visible(piece) for _, piece in without[:3]) + (", ..." if without[3:] else "")
    return [f"texts with {names} are refused: the embeddings hold {len(table.weight)} tokens"] if without else []


def check_embedded(rows: Mapping[str, Rows], model: Any, tokenizer: Any) -> None:
    """Refuses tokens and token types beyond the model's embeddings, before they fail inside it.

    Raises:
        TextError: a token or token type has no embedding.
    """
    table = _token_table(model)
    if table is not None and (beyond := _beyond(rows.get("input_ids"), table)) is not None:
        piece = visible(str(tokenizer.convert_ids_to_tokens(beyond)))
        raise TextError(
            f"the tokenizer gives token {beyond} ({piece}), and the model's embeddings hold {len(table.weight)}",
            RESIZE,
        )
    of_types = rows.get("token_type_ids")
    if of_types is None or not any(map(any, of_types)):  # type 0 is always there, and tables take time to find
        return
    types = next((table for name, table in _tables(model) if name.endswith("token_type_embeddings")), None)
    if types is not None and (beyond := _beyond(of_types, types)) is not None:
        raise TextError(
            f"the tokenizer gives token type {beyond}, and the model's embeddings hold {len(types.weight)}",
            "is this the model's own tokenizer? Pairs of texts need two types, unless it gives one to both",
        )


def _token_table(model: Any) -> nn.Embedding | None:
    """Finds the embeddings of tokens; None if they are no plain table."""
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    return table if type(table) is nn.Embedding else None


def _tables(model: nn.Module) -> Sequence[tuple[str, nn.Embedding]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Embedding)]


def _beyond(rows: Rows | None, table: nn.Embedding) -> int | None:
    """Finds the first number that the table does not hold."""
    if rows is None or not isinstance(rows[0][0], int):  # TAPAS has a table of its own for each of seven types
        return None
    size = len(table.weight)
    return next((number for row in rows for number in row if not 0 <= number < size), None)
