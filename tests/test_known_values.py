"""Numbers that published code gives for the embedded model, and the model's own weights in plain loops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from attnprobe import Encoder, head_stats
from attnprobe.metrics import METRICS, reference
from tests.exact import EXACT, doubled, float64
from tests.rows import assert_close, noise

pytestmark = pytest.mark.numeric

PROBED = (
    "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
)

# Layer means by the code of Clark et al. 2019, Michel et al. 2019 and Abnar & Zuidema 2020 on the same tensors.
LAYER_MEANS = {
    "entropy": [2.44700, 1.46459, 1.53603, 1.86050, 1.86869, 2.46723],
    "cls_share": [0.15489, 0.48271, 0.49908, 0.44621, 0.47962, 0.29255],
    "sep_share": [0.05153, 0.01371, 0.01215, 0.02251, 0.02022, 0.02199],
    "special_share": [0.206, 0.496, 0.511, 0.469, 0.500, 0.315],
    "previous_share": [0.13701, 0.08745, 0.07437, 0.04256, 0.04338, 0.03964],
    "next_share": [0.03609, 0.09267, 0.04881, 0.03295, 0.05320, 0.03048],
    "distance": [7.58182, 8.05274, 8.67875, 9.57860, 9.30596, 9.69611],
    "confidence": [0.30709, 0.58509, 0.57314, 0.51724, 0.53153, 0.32244],
}
LAYER_0_ENTROPIES = [
    2.90550, 2.90457, 0.00168, 2.87904, 2.15809, 1.69295, 2.74315, 2.96334, 2.67598, 2.66789, 2.91726, 2.85453,
]  # fmt: skip


@pytest.fixture(scope="module")
def frame(minilm: Encoder) -> pd.DataFrame:
    return head_stats(PROBED, minilm)


@pytest.mark.parametrize("metric", LAYER_MEANS)
def test_layer_means(frame: pd.DataFrame, metric: str) -> None:
    tolerance = 5e-4 if metric == "special_share" else 1e-5  # published to three decimals
    np.testing.assert_allclose(frame.groupby("layer")[metric].mean(), LAYER_MEANS[metric], atol=tolerance, rtol=0)


def test_entropies_of_the_first_layer(frame: pd.DataFrame) -> None:
    np.testing.assert_allclose(frame.query("layer == 0")["entropy"], LAYER_0_ENTROPIES, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def exact(minilm: Encoder) -> Encoder:
    return doubled(minilm)


@pytest.fixture(scope="module")
def plain(minilm: Encoder) -> tuple[Any, Any]:
    """The same model and tokenizer, loaded apart from attnprobe, in float64."""
    folder = minilm.location.folder
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").double()
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("queries", ["all", "content"])
@pytest.mark.parametrize(
    ("text", "pair"),
    [
        (PROBED, None),
        ("我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜", None),
        ("Ça va? L'été dernier, j'étais à Zürich 🙂👍🏽 — ok... [CLS] [SEP] typed", None),
        ("word", None),
        ("The trophy didn't fit in the suitcase.", "It was too large!"),
    ],
)
def test_every_head_equals_a_plain_loop(
    minilm: Encoder, exact: Encoder, plain: tuple[Any, Any], text: str, pair: str | None, queries: str
) -> None:
    """Loops over ``output_attentions`` of the same model, loaded and run apart from attnprobe, both in float64."""
    model, tokenizer = plain
    inputs = tokenizer(text, pair, return_tensors="pt")
    tokens, chosen = minilm.tokenize(text, pair)[0], {"pair": pair, "queries": queries}
    with torch.inference_mode():
        attentions = model(**inputs, output_attentions=True).attentions
    with float64():
        found = head_stats(text, exact, **chosen)
    usual = head_stats(text, minilm, **chosen)
    expected = {metric: [] for metric in METRICS}
    for weights in attentions:
        for rows in weights[0].tolist():
            for metric, values in expected.items():
                n = len(tokens)
                values.append(reference.head_mean(metric, rows, tokens, reach=[n] * n, queries=queries))
    for metric, values in expected.items():
        theirs, distance = np.array(values, dtype=float), np.array(expected["distance"])
        assert_close(metric, found[metric].to_numpy(), theirs, EXACT, distance)
        assert_close(metric, usual[metric].to_numpy(), theirs, noise(minilm, len(tokens)), distance)
