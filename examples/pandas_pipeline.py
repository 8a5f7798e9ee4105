"""Do heads treat questions and statements alike? Texts in a DataFrame, their statistics beside them, one groupby.

python examples/pandas_pipeline.py
"""

import pandas as pd

import attnprobe

TEXTS = pd.DataFrame(
    [
        ("question", "Where did the children leave their bicycles?"),
        ("question", "Who wrote the letter that nobody answered?"),
        ("question", "Why does the bread rise in a warm kitchen?"),
        ("question", "When will the last train to the coast leave?"),
        ("statement", "The children left their bicycles by the river."),
        ("statement", "A clerk wrote the letter that nobody answered."),
        ("statement", "The bread rises because the kitchen is warm."),
        ("statement", "The last train to the coast leaves at nine."),
    ],
    columns=["kind", "text"],
    index=[f"t{number}" for number in range(1, 9)],
)


def statistics(texts: pd.DataFrame, encoder: attnprobe.Encoder) -> pd.DataFrame:
    """One row per text, layer and head, with the text's own columns beside the metrics.

    ``corpus_stats`` measures texts in batches and yields blocks of rows; ``to_frame`` puts them all into one frame. For
    more texts than fit into memory, loop over the blocks instead, and aggregate each ``block.to_frame()`` by itself.
    """
    stats = attnprobe.corpus_stats(texts["text"], encoder, ["entropy", "punctuation_share"], ids=texts.index)
    return stats.to_frame().join(texts["kind"], on="id")


def differences(stats: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean of a metric for every head and kind of text, and questions − statements, largest difference first."""
    means = stats.groupby(["layer", "head", "kind"])[metric].mean().unstack("kind")
    means["difference"] = means["question"] - means["statement"]
    return means.sort_values("difference", key=abs, ascending=False)


if __name__ == "__main__":
    rows = statistics(TEXTS, attnprobe.load_encoder())
    print(f"{len(rows)} rows; the heads whose attention to punctuation differs most:")
    print(differences(rows, "punctuation_share").head(5).round(3))
