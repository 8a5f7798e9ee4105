"""Can attention alone tell recipes from warranties? Head statistics as the features of a scikit-learn pipeline.

python examples/sklearn_pipeline.py        (needs scikit-learn)
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import attnprobe

RECIPES = [
    "Chop two onions, fry them gently in butter, and add a spoon of flour.",
    "Whisk three eggs with sugar, fold in the melted chocolate, and chill.",
    "Boil the potatoes, drain them, mash with milk, salt, and a little nutmeg.",
    "Slice the bread, rub it with garlic, and toast it under a hot grill.",
    "Rinse the rice, cover it with water, and simmer for twelve minutes.",
    "Mix flour, yeast, water, and salt; knead well; let it rise overnight.",
    "Roast the peppers, peel off the skin, and dress with oil and lemon.",
    "Grate the cheese, stir it into the sauce, and pour over the pasta.",
    "Peel four apples, cut them small, and stew with cinnamon and sugar.",
    "Season the fish, wrap it in paper, and bake until just firm.",
]
WARRANTIES = [
    "The software is provided as is, without warranty of any kind to anyone.",
    "In no event shall the authors be liable for damages of whatever kind.",
    "This agreement shall be governed by the laws in force at the seller's seat.",
    "No rights are granted under this notice except those that it states.",
    "The licensee is responsible for any loss that arises from the use thereof.",
    "Neither party may assign this contract without the consent of the other.",
    "All disputes that relate to the product are subject to binding arbitration.",
    "The warranty is void if the device was opened by persons not authorised.",
    "Liability for indirect damage is excluded to the extent the law permits.",
    "Redistribution is permitted provided that this notice is retained.",
]


def head_features(texts: Sequence[str], encoder: attnprobe.Encoder, metrics: Sequence[str]) -> np.ndarray:
    """A row per text: every metric of every head, from the blocks of (text, layer, head, metric) values.

    The metrics here have a value for every text; others may be NaN and would need scikit-learn's SimpleImputer.
    """
    blocks = [block.values for block in attnprobe.corpus_stats(texts, encoder, metrics)]
    return np.concatenate(blocks).reshape(len(texts), -1)


def text_classifier(encoder: attnprobe.Encoder) -> Pipeline:
    """Texts in, classes out. Scaling is learnt inside the pipeline, so that no test text ever takes part in it."""
    features = partial(head_features, encoder=encoder, metrics=["entropy", "punctuation_share", "sep_share"])
    return make_pipeline(FunctionTransformer(features), StandardScaler(), LogisticRegression(max_iter=1000))


if __name__ == "__main__":
    texts, classes = RECIPES + WARRANTIES, ["recipe"] * len(RECIPES) + ["warranty"] * len(WARRANTIES)
    classifier = text_classifier(attnprobe.load_encoder())
    scores = cross_val_score(classifier, texts, classes, cv=5)
    print(f"accuracy {scores.mean():.2f} over {len(scores)} folds; guessing gives 0.50")
    print(
        classifier.fit(texts, classes).predict(["Beat the butter, add honey, and bake.", "No liability is accepted."])
    )
