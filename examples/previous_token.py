"""Which heads look at the previous token? A pandas pipeline over a few texts in two languages.

python examples/previous_token.py
"""

import pandas as pd

import attnprobe

TEXTS = {
    "en": [
        "The animal didn't cross the street because it was too tired.",
        "Every head of every layer reads the whole sentence at once.",
    ],
    "fr": [
        "Les élèves sont rentrés tard parce qu'ils avaient manqué le train.",
        "Le chat dort, et la souris danse.",
    ],
}


def previous_token_heads(encoder: attnprobe.Encoder, at_least: float = 0.25) -> pd.DataFrame:
    """Heads that give the token before at least this share of their attention, by language, strongest first."""
    stats = pd.concat(
        attnprobe.head_stats(text, encoder, metrics=["previous_share"]).assign(language=language)
        for language, texts in TEXTS.items()
        for text in texts
    )
    by_head = stats.pivot_table(values="previous_share", index=["layer", "head"], columns="language")
    return by_head[by_head.mean(axis=1) >= at_least].sort_values("en", ascending=False)


if __name__ == "__main__":
    print(previous_token_heads(attnprobe.load_encoder()).round(2))
