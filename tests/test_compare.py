"""What changed between two models or results, held to plain loops over transformers' own attention."""

from __future__ import annotations

import copy
import gzip
import math
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from attnprobe import Comparison, Encoder, MapChanges, compare, corpus_stats, head_stats, run_corpus
from attnprobe.analyses.comparison import PASSES
from attnprobe.analyses.second import Second
from attnprobe.corpus.prober import Prober
from attnprobe.corpus.two_models import settings_of_two
from attnprobe.errors import InputError, UsageError
from attnprobe.values.bootstrap import INTERVAL, Sample, draw_counts, false_discovery
from attnprobe.values.records import Record
from tests.exact import EXACT, doubled, float64
from tests.plain import Plain
from tests.rows import STORED
from tests.test_families import texts_of
from tests.tiny import CORPUS

FAMILIES = [
    *("bert", "roberta", "albert", "electra", "distilbert", "mpnet", "deberta-v2", "xlnet", "modernbert", "eurobert"),
    *("t5", "umt5", "byt5", "longt5_tglobal", "longformer", "gpt_oss", "gemma3_text", "clip", "esm", "m2m_100"),
    *("nomic_bert", "pegasus_x"),
]
METRICS = ["entropy", "distance", "cls_share", "offset"]
TEXTS = CORPUS[:6]


def changed(model: Any, factor: float = 1.3) -> Any:
    """A copy of a model, with its matrices but embeddings multiplied."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.mul_(factor)
    return other


def with_model(encoder: Encoder, model: Any) -> Encoder:
    return replace(encoder, model=model)


def other_of(encoder: Encoder) -> Encoder:
    return with_model(encoder, changed(encoder.model))


@contextmanager
def in_float64() -> Iterator[None]:
    """Computes in float64, where no loop is compiled: these are for float32."""
    with pytest.MonkeyPatch.context() as patch, float64():
        patch.setattr(Encoder, "_can_be_compiled", False)
        yield


@pytest.fixture(scope="module")
def bert(encoder_of: Callable[[str], Encoder]) -> Encoder:
    return encoder_of("bert")


@pytest.fixture(scope="module")
def tuned(bert: Encoder) -> Encoder:
    return other_of(bert)


@pytest.fixture(scope="module")
def frames(bert: Encoder, tuned: Encoder) -> list[pd.DataFrame]:
    return [corpus_stats(TEXTS, encoder, METRICS).to_frame() for encoder in (bert, tuned)]


def numbers(result: Comparison | MapChanges) -> pd.DataFrame:
    frame = result.to_frame()
    return frame.set_index([name for name in ("layer", "head", "metric") if name in frame])


def assert_same(one: Comparison | MapChanges, other: Comparison | MapChanges, tolerance: float = EXACT) -> None:
    """All but q-values, which rounding moves further where a mean is near 0."""
    frames = [numbers(result) for result in (one, other)]
    q_values = [frame.pop("q_value") if "q_value" in frame else frame["js"] for frame in frames]
    pd.testing.assert_frame_equal(*frames, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(*q_values, rtol=1e4 * tolerance, atol=1e4 * tolerance)


def test_draws_are_poisson_and_the_texts_own() -> None:
    counts = draw_counts([str(number) for number in range(300)], 0)
    shares = np.bincount(counts.astype(int).ravel(), minlength=5)[:5] / counts.size
    assert shares == pytest.approx([math.exp(-1) / math.factorial(count) for count in range(5)], abs=2e-3)
    assert abs(np.corrcoef(counts[:40]) - np.eye(40)).max() < 0.12
    np.testing.assert_array_equal(draw_counts(["7"], 0)[0], counts[7])
    assert draw_counts(["7"], 0)[0, :8].tolist() == [2, 1, 0, 3, 2, 2, 0, 3]  # the same on every machine
    for other in (draw_counts(["7"], 1), draw_counts(["7"], 0, "second"), draw_counts(["8"], 0)):
        assert (other[0] != counts[7]).mean() > 0.5


def test_interval_is_that_of_a_plain_bootstrap() -> None:
    values = np.random.default_rng(0).gamma(2, size=50)
    drawn = values[np.random.default_rng(1).integers(0, 50, (20_000, 50))].mean(1)
    ids = [f"text {number}" for number in range(50)]
    sample = Sample.empty((1, 1, 1)).of(values.reshape(50, 1, 1, 1), draw_counts(ids, 0))
    error = float(values.std() / math.sqrt(50))
    assert np.quantile(sample.drawn_means(), INTERVAL) == pytest.approx(np.quantile(drawn, INTERVAL), abs=0.2 * error)
    assert sample.variance_of_mean().item() == pytest.approx(values.var(ddof=1) / 50)


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    p_values = np.random.default_rng(0).uniform(size=40) ** 3
    p_values[[3, 17]] = np.nan
    known = sorted(p for p in p_values if not math.isnan(p))
    expected = [
        math.nan if math.isnan(p) else min(min(1, q * len(known) / (1 + known.index(q))) for q in known if q >= p)
        for p in p_values
    ]
    np.testing.assert_allclose(false_discovery(p_values), expected, rtol=1e-12)


def loops(frames: Sequence[pd.DataFrame]) -> Iterator[tuple[Any, ...]]:
    """Every row of a comparison but its interval, of texts one by one."""
    merged = frames[0].merge(frames[1], on=["id", "layer", "head"], suffixes=("_a", "_b"))
    for metric in METRICS:
        for (layer, head), rows in merged.groupby(["layer", "head"]):
            a, b = rows[f"{metric}_a"].astype(float), rows[f"{metric}_b"].astype(float)
            changes = [y - x for x, y in zip(a, b, strict=True) if not math.isnan(y - x)]
            if not changes:
                yield layer, head, metric, math.nan, math.nan, math.nan, math.nan, 0
                continue
            mean = sum(changes) / len(changes)
            variance = sum((change - mean) ** 2 for change in changes) / (len(changes) - 1) / len(changes)
            p = 2 * stats.t.sf(abs(mean) / math.sqrt(variance), len(changes) - 1)
            yield layer, head, metric, a[a + b == a + b].mean(), b[a + b == a + b].mean(), mean, p, len(changes)


def test_rows_are_those_of_loops(frames: list[pd.DataFrame]) -> None:
    frames = [frame.copy() for frame in frames]
    frames[0].loc[frames[0]["id"] == "2", "distance"] = np.nan  # a text without a value in one result
    names = ["layer", "head", "metric", "mean_a", "mean_b", "difference", "q_value", "n_texts"]
    expected = pd.DataFrame(loops(frames), columns=names)
    expected["q_value"] = false_discovery(expected["q_value"].to_numpy())
    result = compare(*frames)
    assert isinstance(result, Comparison)
    found = numbers(result)
    assert list(result.to_frame()) == [*names[:6], "ci_low", "ci_high", *names[6:]]
    pd.testing.assert_frame_equal(
        found[names[3:]], expected.set_index(names[:3]).loc[found.index], rtol=EXACT, atol=EXACT
    )
    assert set(found["n_texts"]) == {5, 6}
    known = found.dropna()
    assert (known["ci_low"] < known["difference"]).all()
    assert (known["difference"] < known["ci_high"]).all()
    passed = found[found["q_value"] <= PASSES]
    heads = len(passed.groupby(["layer", "head"]))
    assert result.remarks[0] == (
        f"{heads} of 12 heads changed, q ≤ 0.05 in some metric: {len(passed)} of {len(known)} rows"
    )


def test_two_models_are_their_two_results(bert: Encoder, tuned: Encoder, frames: list[pd.DataFrame]) -> None:
    models, results = compare(bert, tuned, TEXTS, METRICS), compare(*frames)
    assert_same(models, results, 20 * STORED)
    assert models.signature == results.signature
    assert "|b_model:bert@" in models.signature
    assert "|texts:paired|bootstrap:poisson-2000|seed:0|" in models.signature
    assert not numbers(compare(bert, tuned, TEXTS, METRICS, seed=1))["ci_low"].equals(numbers(models)["ci_low"])


def test_other_batches_and_chunks_change_nothing(
    bert: Encoder, tuned: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_float64():
        exact = [doubled(encoder) for encoder in (bert, tuned)]
        usual = compare(*exact, TEXTS, METRICS, threads=1)
        maps = compare(*exact, TEXTS, maps=True, threads=1)
        monkeypatch.setattr("attnprobe.corpus.settings.CHUNK_TEXTS", 2)
        assert_same(compare(*exact, TEXTS, METRICS, threads=2, batch_tokens=40), usual)
        assert_same(compare(*exact, TEXTS, maps=True, threads=2, batch_tokens=40), maps)


def test_equal_models_differ_in_nothing(bert: Encoder) -> None:
    found = numbers(compare(bert, bert, TEXTS, METRICS)).dropna()
    assert (found["difference"] == 0).all()
    assert (found["q_value"] == 1).all()
    maps = numbers(compare(bert, bert, TEXTS, maps=True))
    assert (maps["js"] == 0).all()
    np.testing.assert_allclose(maps["cosine"], 1, rtol=1e-12)


def test_layers_below_a_change_stay_and_others_do_not(bert: Encoder) -> None:
    model = copy.deepcopy(bert.model)
    with torch.no_grad():
        model.encoder.layer[1].attention.self.query.weight.mul_(0.5)
    maps = compare(bert, with_model(bert, model), TEXTS, maps=True).to_frame().groupby("layer")["js"].min()
    assert maps[0] == 0
    assert (maps[1:] > 1e-4).all()


def dense_maps(plain: Plain, text: str) -> list[np.ndarray]:
    """By layer (head, query, key), with a last column for what falls on no token."""
    layers = plain.layers(plain.encode([text]))
    outside = [1 - layer.weights.sum(-1, keepdims=True) for layer in layers]
    return [
        np.concatenate([layer.weights, np.where(rest > EXACT, rest, 0)], -1)
        for layer, rest in zip(layers, outside, strict=True)
    ]


def entropy(rows: np.ndarray) -> np.ndarray:
    return -(rows * np.log(np.where(rows > 0, rows, 1))).sum(-1)


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(head, 2) Jensen-Shannon, the mean over rows, and the cosine without the last column."""
    js = entropy((one + other) / 2) - (entropy(one) + entropy(other)) / 2
    a, b = one[..., :-1], other[..., :-1]
    product, of_a, of_b = ((u * v).sum((-2, -1)) for u, v in ((a, b), (a, a), (b, b)))
    return np.stack([js.mean(-1), product / np.sqrt(of_a * of_b)], axis=-1)


def check_maps(found: pd.DataFrame, maps: Sequence[Sequence[np.ndarray]]) -> None:
    """Every layer and head of the table is told apart as two models' maps are."""
    for layer, (one, other) in enumerate(zip(*maps, strict=True)):
        shown = found.loc[layer][["js", "cosine"]].sort_index()
        np.testing.assert_allclose(shown, distances(one, other), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_are_those_of_eager_attention(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    """Of all kinds of attention: grouped queries, local layers, biases, sinks, no added tokens."""
    text, exact = list(texts_of(family).values())[-1], exact_of(family)
    two = [plain_of(family), replace(plain_of(family), model=changed(plain_of(family).model))]
    with in_float64():
        found = numbers(compare(exact, other_of(exact), [text], maps=True))
        dense = [dense_maps(one, text) for one in two]
    check_maps(found, dense)
    assert found["js"].max() > 1e-5


def test_weight_on_no_token_is_said(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("gpt_oss")
    result = compare(encoder, other_of(encoder), TEXTS[:2], maps=True)
    assert result.remarks == ["weight falls on no token in 2 texts; it counts as one more key in js, not in cosine"]


def test_pooled_layers_are_refused_by_name(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("funnel")
    with pytest.raises(Exception, match="layer 2 attends to pools of several tokens"):
        compare(encoder, encoder, [TEXTS[0]], maps=True)


def test_other_tokenizers_are_compared_by_words(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    """Pieces of a key add up, those of a query are averaged."""
    names, text = ("bert", "roberta"), "Nobody had told her; she'd waited."
    encoders, plains = [exact_of(name) for name in names], [plain_of(name) for name in names]
    with in_float64():
        result = compare(*encoders, [text], maps=True)
        dense = [dense_maps(plain, text) for plain in plains]
    maps: list[list[np.ndarray]] = []
    for encoder, layers in zip(encoders, dense, strict=True):
        words = np.array(encoder.tokenize(text)[0].words)
        sums = np.equal.outer(np.arange(words.max() + 1), words).astype(float)
        merged = [sums / sums.sum(1, keepdims=True) @ weights[..., :-1] @ sums.T for weights in layers]
        maps.append([np.pad(one, ((0, 0), (0, 0), (0, 1))) for one in merged])
    check_maps(numbers(result), maps)
    assert result.remarks == ["maps are between words: summed over the key's pieces, averaged over the query's"]
    assert "|maps:word|" in result.signature


def test_what_has_no_common_words_is_refused_with_the_tokenizers(encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(UsageError, match=r"BertTokenizer of A makes \[CLS\] a \[SEP\], T5Tokenizer of B ▁ <unk> </s>"):
        compare(encoder_of("bert"), encoder_of("t5"), [TEXTS[0]], maps=True)
    cut = [encoder_of("bert"), replace(encoder_of("roberta"), max_length=encoder_of("bert").max_length)]
    with pytest.raises(InputError, match="the models read other words: BertTokenizer of A makes 26, Roberta"):
        compare(*cut, [" ".join(TEXTS[:3])], maps=True, max_length=64)


def permuted(encoder: Encoder, order: Sequence[int]) -> Encoder:
    """A model that computes the same, with the heads of each layer in another order."""
    model = copy.deepcopy(encoder.model)
    size = model.config.hidden_size // encoder.heads
    places = [place for head in order for place in range(head * size, (head + 1) * size)]
    with torch.no_grad():
        for layer in model.encoder.layer:
            own, output = layer.attention.self, layer.attention.output.dense
            for linear in (own.query, own.key, own.value):
                linear.weight.copy_(linear.weight[places].clone())
                linear.bias.copy_(linear.bias[places].clone())
            output.weight.copy_(output.weight[:, places].clone())
    return with_model(encoder, model)


def test_heads_in_another_order_are_matched(bert: Encoder) -> None:
    order = (2, 0, 3, 1)
    with in_float64():
        exact = doubled(bert)
        result = compare(exact, permuted(exact, order), TEXTS[:2], match=True)
    found = result.to_frame()
    assert list(found) == ["layer", "head", "js", "cosine", "n_texts", "layer_b", "head_b"]
    assert found["js"].max() < EXACT
    assert (found["layer"] == found["layer_b"]).all()
    assert found["head_b"].tolist() == [order.index(head) for head in found["head"]]
    assert result.remarks == ["heads are matched by the distance of their maps, not by number (Hungarian method)"]


def test_matched_heads_have_the_smallest_sum_of_distances(bert: Encoder) -> None:
    other = with_model(bert, changed(bert.model, 0.2))
    with in_float64():
        exact = [doubled(bert), doubled(other)]
        result = compare(*exact, TEXTS[:1], match=True, layers=1, heads="0-2")
    assert isinstance(result, MapChanges)
    costs = result.js.reshape(3, 12)
    best = min(permutations(range(12), 3), key=lambda chosen: costs[range(3), chosen].sum())
    frame = result.to_frame()
    assert (4 * frame["layer_b"] + frame["head_b"]).tolist() == list(best)
    whole = compare(*exact, TEXTS[:1], maps=True)
    np.testing.assert_allclose(result.js[0, :, 1, :3].diagonal(), numbers(whole)["js"].loc[1].to_numpy()[:3], rtol=1e-6)


def test_unpaired_corpora_are_drawn_apart(bert: Encoder) -> None:
    frames = [corpus_stats(texts, bert, ["entropy"]).to_frame() for texts in (TEXTS[:4], CORPUS[6:12])]
    found = numbers(compare(*frames, unpaired=True))
    sides = [frame.astype({"entropy": float}).groupby(["layer", "head"])["entropy"] for frame in frames]
    errors = np.sqrt(sum((side.var() / side.count()).to_numpy() for side in sides))
    differences = sides[1].mean().to_numpy() - sides[0].mean().to_numpy()
    np.testing.assert_allclose(found["difference"], differences, rtol=1e-9)
    values = [[rows.to_numpy() for _, rows in side] for side in sides]
    p_values = [stats.ttest_ind(*two, equal_var=False).pvalue for two in zip(*values, strict=True)]
    np.testing.assert_allclose(found["q_value"], false_discovery(np.array(p_values)), rtol=1e-6)
    assert set(found["n_texts"]) == {10}
    width = (found["ci_high"] - found["ci_low"]).to_numpy() / (2 * 1.96 * errors)
    assert ((width > 0.7) & (width < 1.1)).all()  # the variance that a bootstrap of 4 texts sees is 3/4
    with pytest.raises(
        UsageError, match="the texts differ: 0 of the 4 ids in A are not in B, 2 of the 6 in B not in A"
    ):
        compare(*frames)


def test_one_text_has_no_interval(bert: Encoder, tuned: Encoder) -> None:
    result = compare(bert, tuned, TEXTS[:1], ["entropy"])
    found = numbers(result)
    assert found[["ci_low", "ci_high", "q_value"]].isna().all(axis=None)
    assert found["difference"].notna().all()
    assert result.remarks == ["no interval and no q-value: these take at least 2 texts"]


@pytest.fixture(scope="module")
def written(bert: Encoder, tuned: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of both models as files of every format, B's also gzipped and in another order."""
    folder = tmp_path_factory.mktemp("results")
    texts = folder / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    for name, encoder in (("a", bert), ("b", tuned)):
        for format in ("csv", "tsv", "jsonl", "parquet"):
            run_corpus([texts], folder / f"{name}.{format}", encoder, METRICS)
    (folder / "b.csv.gz").write_bytes(gzip.compress((folder / "b.csv").read_bytes()))
    header, *lines = (folder / "b.csv").read_text(encoding="utf-8").splitlines()
    texts_of_b = [lines[start : start + 12] for start in range(0, len(lines), 12)]
    random.Random(0).shuffle(texts_of_b)
    shuffled = "\n".join([header, *(line for rows in texts_of_b for line in rows)])
    (folder / "shuffled.csv").write_text(f"{shuffled}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("b", ["b.csv", "b.tsv", "b.jsonl", "b.parquet", "b.csv.gz", "shuffled.csv"])
def test_every_format_and_order_gives_the_same(b: str, written: Path, frames: list[pd.DataFrame]) -> None:
    for a in ("a.csv", "a.parquet"):
        result = compare(written / a, written / b)
        assert_same(result, compare(*frames))
        assert result.signature == compare(*frames).signature or b == "shuffled.csv"


def test_pieces_of_files_change_nothing(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = compare(written / "a.csv", written / "b.parquet")
    monkeypatch.setattr("attnprobe.readers.results.ROWS", 17)
    monkeypatch.setattr("attnprobe.corpus.compared.STEP", 2)
    for b in ("b.parquet", "shuffled.csv"):
        assert_same(compare(written / "a.csv", written / b), usual)


def test_chosen_layers_heads_and_metrics(written: Path) -> None:
    whole = numbers(compare(written / "a.csv", written / "b.csv"))
    some = numbers(compare(written / "a.csv", written / "b.csv", metrics=["distance"], layers="1-2", heads=-1))
    assert list(some.index) == [(1, 3, "distance"), (2, 3, "distance")]
    pd.testing.assert_series_equal(some["ci_low"], whole["ci_low"].loc[some.index])


def edited(frame: pd.DataFrame, **parts: str) -> pd.DataFrame:
    """A result with another signature."""
    other = frame.copy()
    pairs = dict(pair.split(":", 1) for pair in frame.attrs["signature"].split("|"))
    other.attrs["signature"] = "|".join(f"{name}:{part}" for name, part in {**pairs, **parts}.items())
    return other


def test_unlike_results_are_refused_by_name(frames: list[pd.DataFrame]) -> None:
    a, b = frames
    for part, value in {"long_range": "5", "queries": "content", "level": "word", "stride": "8"}.items():
        with pytest.raises(UsageError, match=f"measured differently; {part}: .* in A, {value} in B"):
            compare(a, edited(b, **{part: value}))
    result = compare(a, edited(b, dtype="bfloat16", torch="3.0"))
    assert "dtype: float32 in A, bfloat16 in B" in result.remarks
    assert "|b_dtype:bfloat16|b_torch:3.0|" in result.signature
    with pytest.raises(UsageError, match="other layers: 0, 1, 2 in A, 0, 1 in B"):
        compare(a, b[b["layer"] < 2])
    with pytest.raises(UsageError, match="no metric 'confidence' in A and B"):
        compare(a, b, metrics=["confidence"])
    with pytest.raises(UsageError, match="1 of the 6 ids in A are not in B, 0 of the 5 in B"):
        compare(a, b[b["id"] != "3"])
    twice = b.assign(id=b["id"].replace("3", "1"))
    with pytest.raises(UsageError, match="1 of the 6 ids"):
        compare(a, twice)
    with pytest.raises(UsageError, match="results have no maps"):
        compare(a, b, maps=True)


def test_what_is_unknown_or_left_out_is_said(frames: list[pd.DataFrame]) -> None:
    a, b = frames
    result = compare(a, b.drop(columns="offset"))
    assert result.remarks[-1] == "in one of A and B only, and left out: offset"
    unsigned = b.copy()
    unsigned.attrs.clear()
    assert compare(a, unsigned).remarks[-1] == ("B without a signature: whether A and B were measured alike is unknown")
    assert "intervals and q-values of 6 texts are rough" in compare(a, b).remarks


def test_lines_of_other_files_are_not_paired(written: Path, bert: Encoder, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("\n".join(CORPUS[6:12]), encoding="utf-8")
    run_corpus([other], tmp_path / "other.csv", bert, METRICS)
    with pytest.raises(UsageError, match=r"known by their line numbers only, and the files differ: .*texts\.txt in A"):
        compare(written / "a.csv", tmp_path / "other.csv")
    assert numbers(compare(written / "a.csv", tmp_path / "other.csv", unpaired=True))["n_texts"].max() == 12


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no result of head statistics"),
        ("layer,head,metric,mean\n0,0,entropy,1\n", "no result of head statistics"),
        ("id,layer,head,entropy\n", "has no rows"),
        ("id,layer,head,entropy\n1,0,0,warm\n", "no result of head statistics"),
        ("id,layer,head,entropy\n1,0,0,1\n1,0,1,1\n2,0,0,1\n", "'2' does not have a row for each"),
        ("id,layer,head,entropy\n1,0,0,1\n1,0,1,1\n2,0,1,1\n2,0,0,1\n", "'2' does not have a row for each"),
    ],
)
def test_other_files_are_refused(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        compare(path, path)


def test_models_that_do_not_suit_are_refused(
    bert: Encoder, encoder_of: Callable[[str], Encoder], minilm: Encoder
) -> None:
    with pytest.raises(UsageError, match="by number, and A has 3 layers, B 6"):
        compare(bert, minilm, TEXTS)
    with pytest.raises(UsageError, match="which are paired"):
        compare(bert, bert, TEXTS, unpaired=True)
    with pytest.raises(UsageError, match="read at once"):
        compare(bert, bert, TEXTS, maps=True, stride=4)
    with pytest.raises(UsageError, match="has no global attention"):
        compare(encoder_of("longformer"), replace(bert, max_length=None), TEXTS, global_attention="cls", max_length=99)


def test_models_read_as_many_tokens(bert: Encoder, tuned: Encoder) -> None:
    """By default one would read more of a long text than the other."""
    long = [" ".join(CORPUS[:4])] * 2
    usual = compare(bert, tuned, long, ["entropy"], max_length=40)
    for short in ((replace(bert, max_length=40), tuned), (bert, replace(tuned, max_length=40))):
        result = compare(*short, long, ["entropy"])
        assert_same(result, usual)
        assert result.signature == usual.signature
        assert result.remarks[-1].endswith("; here both read 40")


def test_windows_pairs_and_words_are_read_by_both(
    bert: Encoder, tuned: Encoder, encoder_of: Callable[[str], Encoder]
) -> None:
    """Also by models that cut a text into other windows."""
    roberta = replace(encoder_of("roberta"), max_length=bert.max_length)
    long = " ".join(CORPUS[:3])
    ways: list[tuple[Encoder, dict[str, Any]]] = [
        (roberta, {"max_length": 24, "stride": 4}),
        (roberta, {"level": "word"}),
        (tuned, {"queries": "content"}),
    ]
    for other, how in ways:
        models = compare(bert, other, [long, TEXTS[0]], ["entropy"], **how)
        two = [corpus_stats([long, TEXTS[0]], one, ["entropy"], **how).to_frame() for one in (bert, other)]
        assert_same(models, compare(*two), 20 * STORED)
    pairs = compare(bert, tuned, TEXTS[:2], ["cross_share"], pairs=TEXTS[2:4])
    frame = head_stats(TEXTS[0], bert, ["cross_share"], pair=TEXTS[2])
    assert pairs.to_frame()["mean_a"].notna().all()
    assert len(frame) == len(pairs.to_frame())


def test_text_that_the_second_model_cannot_read_is_left_out(
    bert: Encoder, encoder_of: Callable[[str], Encoder]
) -> None:
    first = replace(encoder_of("roberta"), max_length=bert.max_length)
    records = [Record("1", words=["a", "cat"]), Record("2", words=["a", "\u00ad"]), Record("3", words=["it"])]
    found = compare(first, bert, records, ["entropy"], on_error="skip")
    assert set(found.to_frame()["n_texts"]) == {2}
    with pytest.raises(InputError, match="bert: BertTokenizer finds no token in the word"):
        compare(first, bert, records, ["entropy"])


def test_another_process_compares_the_same(bert: Encoder, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The second model travels by its name, and is loaded there."""
    second = Second(bert, {"model": str(folder_of("bert"))})
    settings = settings_of_two(bert, second, maps=False, metrics=["entropy"])
    there = pickle.loads(pickle.dumps(settings))
    records = [Record(str(number), text) for number, text in enumerate(TEXTS)]
    one, other = (next(Prober(bert, its, 1).results([records])).summary for its in (settings, there))
    assert one.signature == other.signature
    assert_same(one, other)
    in_memory = settings_of_two(bert, Second(bert), maps=True)
    with pytest.raises(UsageError, match="cannot share a model in memory"):
        pickle.dumps(in_memory)


def test_summary_goes_through_arrays(bert: Encoder, tuned: Encoder) -> None:
    for result in (compare(bert, tuned, TEXTS[:3], ["entropy"]), compare(bert, tuned, TEXTS[:3], maps=True)):
        none: Any = replace(result)
        assert_same(none.restored(result.arrays()), result, 0)
        with pytest.raises(ValueError, match="wrong names"):
            none.restored({})


def test_picture_marks_what_passes(frames: list[pd.DataFrame]) -> None:
    result = compare(*frames)
    assert isinstance(result, Comparison)
    with pytest.raises(UsageError, match="a picture is of one metric, not of 4"):
        result.picture()
    picture = result.picture("entropy")
    assert picture.limits == (-np.abs(picture.values).max(), np.abs(picture.values).max())
    assert picture.label == "change of entropy (nats)"
    q_values = numbers(result).xs("entropy", level="metric")["q_value"].to_numpy().reshape(3, 4)
    np.testing.assert_array_equal(picture.marked, q_values <= PASSES)
