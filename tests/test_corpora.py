"""Many texts at once give what ``head_stats`` gives for each; summaries and profiles are recomputed from the rows."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from attnprobe import METRICS, Encoder, Record, Skipped, corpus_stats, head_stats, load_encoder
from attnprobe.corpus import prober
from attnprobe.corpus import settings as corpus_settings
from attnprobe.corpus.stats import CorpusStats
from attnprobe.corpus.threads import Replicas
from attnprobe.errors import InputError, TextError, UsageError
from tests.exact import EXACT
from tests.rows import STORED, check_rows, noise
from tests.tiny import CORPUS

TEXTS = [
    "The old lighthouse keeper counted twelve boats.",
    "我昨天去了超市,买了苹果。",
    "patient",
    "A cat 🐈‍⬛, a thumb 👍🏽 and [CLS] typed by hand [SEP], then </s> and [MASK].",
    "It [/INST] was late; nobody had told her.",
    " ".join(["word"] * 600),
    *CORPUS[:6],
    "The old lighthouse keeper counted twelve gulls.",
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"queries": "content"},
    {"level": "word"},
    {"level": "word", "queries": "content"},
    {"stride": 5, "max_length": 24},
    {"max_length": 24, "queries": "content"},
    {"layers": "2,0", "heads": [3, 1]},
    {"metrics": ["distance", "entropy"], "layers": -1, "heads": 2},
    {"long_range": 3, "batch_tokens": 30},
]

pytestmark = pytest.mark.filterwarnings("ignore::attnprobe.TruncationWarning")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bert(encoder_of: Callable[[str], Encoder]) -> Encoder:
    return encoder_of("bert")


@pytest.fixture(scope="session")
def exact_bert(folder_of: Callable[[str], Path]) -> Encoder:
    return load_encoder(folder_of("bert"), dtype="float64")


def one_by_one(encoder: Encoder, texts: list[str], pairs: list[str] | None = None, **options: Any) -> pd.DataFrame:
    """The rows without their number of tokens, each text measured alone."""
    frames = []
    for number, text in enumerate(texts, start=1):
        frame = head_stats(text, encoder, pair=pairs[number - 1] if pairs else None, **options)
        frame.insert(0, "id", str(number))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


# Rows


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def measured(request: pytest.FixtureRequest, bert: Encoder) -> tuple[dict[str, Any], CorpusStats, pd.DataFrame]:
    """Options, and what they give of TEXTS."""
    stats = corpus_stats(TEXTS, bert, **request.param)
    return request.param, stats, stats.to_frame()


@pytest.mark.numeric
def test_rows_are_those_of_each_text(bert: Encoder, measured: tuple[dict[str, Any], CorpusStats, pd.DataFrame]) -> None:
    options, _, rows = measured
    check_rows(rows, one_by_one(bert, TEXTS, **{k: v for k, v in options.items() if k != "batch_tokens"}), bert)
    signed = {name: value for name, value in options.items() if name != "batch_tokens"}
    assert rows.attrs["signature"] == head_stats(TEXTS[0], bert, **signed).attrs["signature"]
    metrics = [name for name in METRICS if name in options.get("metrics", METRICS)]
    assert set(rows.columns) == {"id", "n_tokens", "layer", "head", *metrics}


@pytest.mark.parametrize("options", OPTIONS[:5], ids=str)
def test_rows_in_float64_are_exact(exact_bert: Encoder, options: dict[str, Any]) -> None:
    rows = corpus_stats(TEXTS, exact_bert, **options).to_frame()
    check_rows(rows, one_by_one(exact_bert, TEXTS, **options), exact_bert)


def test_columns_are_the_contract(bert: Encoder) -> None:
    assert list(corpus_stats(TEXTS[:1], bert).to_frame().columns) == ["id", "n_tokens", "layer", "head", *METRICS]


def test_rows_of_the_default_model(minilm: Encoder) -> None:
    check_rows(corpus_stats(TEXTS, minilm).to_frame(), one_by_one(minilm, TEXTS), minilm)


@pytest.mark.parametrize("family", ["mpnet", "deberta", "convbert", "nystromformer", "longformer", "modernbert"])
@pytest.mark.parametrize("options", [{}, {"level": "word", "queries": "content"}], ids=str)
def test_rows_of_models_that_are_hooked_or_mind_padding(
    encoder_of: Callable[[str], Encoder], family: str, options: dict[str, Any]
) -> None:
    encoder = encoder_of(family)
    texts = [TEXTS[n] for n in (0, 2, 3, 6, 12)]
    check_rows(
        corpus_stats(texts, encoder, threads=2, **options).to_frame(), one_by_one(encoder, texts, **options), encoder
    )


def test_which_models_these_are(encoder_of: Callable[[str], Encoder]) -> None:
    """So that the test above goes on to mean what it says."""
    loaded = {name: encoder_of(name) for name in ("mpnet", "convbert", "nystromformer", "modernbert")}
    assert [bool(loaded[name].tap) for name in loaded] == [True, True, True, False]
    assert [loaded[name].padding_invariant for name in ("mpnet", "convbert", "nystromformer")] == [True, False, False]


def test_pairs(bert: Encoder) -> None:
    texts, pairs = TEXTS[:5], TEXTS[6:11]
    rows = corpus_stats(texts, bert, pairs=pairs).to_frame()
    check_rows(rows, one_by_one(bert, texts, pairs), bert)
    assert rows["cross_share"].notna().all()


def test_number_of_tokens(bert: Encoder) -> None:
    rows = corpus_stats(TEXTS, bert, metrics=["entropy"], layers=0, heads=0).to_frame()
    lengths = [len(bert.tokenizer(text)["input_ids"]) for text in TEXTS]
    assert rows["n_tokens"].tolist() == [min(length, 128) for length in lengths]
    assert max(lengths) > 128


def test_windows_count_the_tokens_they_read(bert: Encoder) -> None:
    rows = corpus_stats(TEXTS[5:6], bert, max_length=102, stride=50, metrics=["entropy"]).to_frame()
    room, n_windows = 100, -(-(len(bert.tokenizer(TEXTS[5])["input_ids"]) - 2 - 50) // 50)
    content = len(bert.tokenizer(TEXTS[5])["input_ids"]) - 2
    assert content > room
    assert rows["n_tokens"].unique().tolist() == [content + 50 * (n_windows - 1) + 2 * n_windows]


def test_ids(bert: Encoder) -> None:
    ids = ['a "quoted"\nid,', 7]
    blocks = list(corpus_stats(["one", "two"], bert, ids=ids, metrics=["entropy"]))
    assert [list(block.ids) for block in blocks] == [['a "quoted"\nid,', "7"]]
    records = [Record("here", "one"), Record("there", "two", "three")]
    assert corpus_stats(records, bert).to_frame()["id"].unique().tolist() == ["here", "there"]


def test_model_by_folder(folder_of: Callable[[str], Path], bert: Encoder) -> None:
    for arguments in ({"encoder": str(folder_of("bert"))}, {"model": folder_of("bert")}):
        rows = corpus_stats(["one"], **arguments).to_frame()
        pd.testing.assert_frame_equal(rows, corpus_stats(["one"], bert).to_frame(), check_exact=True)


# How the work is divided


def everything(stats: Any) -> tuple[list[object], bytes]:
    """Ids, numbers of tokens, and all values as bytes."""
    blocks = list(stats)
    return [(*block.ids, *block.n_tokens) for block in blocks], b"".join(block.values.tobytes() for block in blocks)


def test_threads_change_no_byte(bert: Encoder) -> None:
    texts = TEXTS * 4
    one, two, four = (corpus_stats(texts, bert, threads=n, batch_tokens=100, profile=True) for n in (1, 2, 4))
    assert everything(one) == everything(two) == everything(four)
    for name, array in one.summary.arrays().items():
        np.testing.assert_array_equal(two.summary.arrays()[name], array, err_msg=name)
        np.testing.assert_array_equal(four.summary.arrays()[name], array, err_msg=name)


def test_replicas_are_made_for_what_runs_at_once(bert: Encoder) -> None:
    replicas = Replicas(bert, 2)
    with replicas.one() as first:
        assert first.model is not bert.model
    with replicas.one() as again, replicas.one() as other:
        assert again is first
        assert other.model not in (first.model, bert.model)


def test_same_run_gives_the_same_bytes_and_leaves_torch_as_it_was(bert: Encoder) -> None:
    torch.set_num_threads(2)
    first, second = everything(corpus_stats(TEXTS, bert)), everything(corpus_stats(TEXTS, bert))
    assert first == second
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_batches_move_no_value(exact_bert: Encoder) -> None:
    texts = TEXTS * 3
    usual = corpus_stats(texts, exact_bert)
    expected = usual.to_frame().drop(columns="n_tokens")
    for batch_tokens in (1, 37, 500, 100_000):
        stats = corpus_stats(texts, exact_bert, batch_tokens=batch_tokens, profile=True)
        check_rows(stats.to_frame(), expected, exact_bert)
        pd.testing.assert_frame_equal(stats.summary.to_frame(), usual.summary.to_frame(), rtol=EXACT, atol=EXACT)


@pytest.fixture(scope="module")
def exact_stats(exact_bert: Encoder) -> tuple[CorpusStats, pd.DataFrame]:
    """What TEXTS give in one chunk, and the rows without their number of tokens."""
    stats = corpus_stats(TEXTS, exact_bert, profile=True)
    return stats, stats.to_frame().drop(columns="n_tokens")


@pytest.mark.parametrize("size", [1, 5, 12])
def test_chunks_move_no_value(
    exact_bert: Encoder, exact_stats: tuple[CorpusStats, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    usual, expected = exact_stats
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", size)
    stats = corpus_stats(TEXTS, exact_bert, profile=True)
    blocks = list(stats)
    assert [len(block.ids) for block in blocks] == [min(size, len(TEXTS) - n) for n in range(0, len(TEXTS), size)]
    check_rows(pd.concat([block.to_frame() for block in blocks], ignore_index=True), expected, exact_bert)
    frames = [(stats.summary.to_frame(), usual.summary.to_frame())]
    frames += [(stats.summary.profile().to_frame(), usual.summary.profile().to_frame())]
    for found, its in frames:
        pd.testing.assert_frame_equal(found, its, rtol=EXACT, atol=EXACT)


def test_order_of_texts_moves_no_value(exact_bert: Encoder, exact_stats: tuple[CorpusStats, pd.DataFrame]) -> None:
    places = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = corpus_stats([TEXTS[n] for n in places], exact_bert, ids=[n + 1 for n in places]).to_frame()
    _, expected = exact_stats
    shuffled["at"] = shuffled["id"].astype(int)
    check_rows(shuffled.sort_values("at", kind="stable", ignore_index=True).drop(columns="at"), expected, exact_bert)


def test_texts_are_read_as_they_are_needed(bert: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than two chunks ahead of the rows; nothing before the iteration."""
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 2)
    read: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(20):
            read.append(number)
            yield "A text."

    stats = corpus_stats(texts(), bert, metrics=["entropy"])
    assert read == []
    for number, _ in enumerate(stats, start=1):
        assert len(read) <= 2 * number + 4


# Summary and profile


def test_summary_is_that_of_the_rows(measured: tuple[dict[str, Any], CorpusStats, pd.DataFrame]) -> None:
    _, stats, rows = measured
    metrics = list(rows.columns[4:])
    table = stats.summary.to_frame().set_index(["layer", "head", "metric"])
    moved = STORED * float(rows[metrics].abs().max(axis=None))
    grouped = rows.groupby(["layer", "head"])[metrics]
    for name, its in (("mean", grouped.mean()), ("std", grouped.std()), ("n_texts", grouped.count())):
        expected = its.rename_axis(columns="metric").stack()
        expected = expected.reindex(table.index) if name != "n_texts" else expected
        found = table[name].reindex(expected.index)
        pd.testing.assert_series_equal(found, expected, check_names=False, check_dtype=False, rtol=STORED, atol=moved)


def test_token_mean_weighs_texts_by_their_queries(bert: Encoder) -> None:
    stats = corpus_stats(TEXTS, bert, metrics=["distance"])
    rows = stats.to_frame()
    weighted = rows.assign(total=rows["distance"] * rows["n_tokens"]).groupby(["layer", "head"])[["total", "n_tokens"]]
    sums = weighted.sum()
    table = stats.summary.to_frame()
    np.testing.assert_allclose(table["token_mean"], sums["total"] / sums["n_tokens"], rtol=STORED)
    assert table["n_tokens"].tolist() == sums["n_tokens"].tolist()


@pytest.mark.parametrize("split", [[1], [6], [2, 3, 9], [0, 13]], ids=str)
def test_summaries_of_pieces_add_up(bert: Encoder, split: list[int]) -> None:
    """Piece by piece, as several processes would measure them; text by text in batches of one, to the last bit."""
    whole = corpus_stats(TEXTS, bert, profile=True, batch_tokens=1)
    list(whole)
    edges = [0, *split, len(TEXTS)]
    pieces = []
    for start, stop in pairwise(edges):
        stats = corpus_stats(TEXTS[start:stop], bert, profile=True, batch_tokens=1)
        list(stats)
        pieces.append(stats.summary)
    for total in (sum(pieces), sum(reversed(pieces))):  # type: ignore[call-overload]
        for name, array in whole.summary.arrays().items():
            np.testing.assert_allclose(total.arrays()[name], array, rtol=1e-12, atol=1e-12, err_msg=name)


def test_summaries_measured_otherwise_do_not_add_up(bert: Encoder) -> None:
    one, other = corpus_stats(["one"], bert), corpus_stats(["one"], bert, queries="content")
    with pytest.raises(UsageError, match=r"queries:all.*queries:content"):
        one.summary + other.summary


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_profile_is_the_curve_behind_the_distances(bert: Encoder, options: dict[str, Any]) -> None:
    names = ["distance", "offset", "long_range_share", "self_share", "previous_share", "next_share"]
    stats = corpus_stats(TEXTS, bert, profile=True, **{**options, "metrics": names})
    list(stats)
    profile, W = stats.summary.profile().to_frame(), options.get("long_range", 10)  # noqa: N806
    offset, share = profile["offset"], profile["share"]
    expected = pd.DataFrame(
        {
            "distance": offset.abs() * share,
            "offset": offset * share,
            "long_range_share": share.where(offset.abs() >= W, 0),
            "self_share": share.where(offset == 0, 0),
            "previous_share": share.where(offset == -1, 0),
            "next_share": share.where(offset == 1, 0),
        }
    )
    sums = expected.groupby([profile["layer"], profile["head"]], sort=False).sum()
    table = stats.summary.to_frame().pivot(index=["layer", "head"], columns="metric", values="token_mean")
    np.testing.assert_allclose(table.loc[sums.index, sums.columns], sums, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(profile.groupby(["layer", "head"])["share"].sum(), 1, rtol=0, atol=noise(bert, 128))


def test_profile_needs_no_metric_of_offsets(bert: Encoder) -> None:
    usual, other = (corpus_stats(TEXTS, bert, metrics=names, profile=True) for names in (None, ["cls_share"]))
    list(usual), list(other)
    pd.testing.assert_frame_equal(other.summary.profile().to_frame(), usual.summary.profile().to_frame(), rtol=1e-12)


def test_no_texts(bert: Encoder) -> None:
    for texts in ([], [Skipped("f", 1, "bad")]):
        stats = corpus_stats(texts, bert, profile=True, on_error="skip")
        assert sum(map(len, stats)) == 0
        assert stats.skipped == texts
        table = stats.summary.to_frame()
        assert table["n_texts"].eq(0).all()
        assert table["mean"].isna().all()
        assert stats.summary.profile().to_frame()["share"].eq(0).all()


# What cannot be used


def test_texts_without_tokens_are_skipped_in_order(bert: Encoder) -> None:
    texts: list[Any] = ["one", "", 7, "two", "half \ud800", Skipped("f", 5, "bad", "it"), "three"]
    stats = corpus_stats(texts, bert, on_error="skip", profile=True)
    assert stats.to_frame()["id"].unique().tolist() == ["1", "4", "7"]
    assert [(skipped.line, skipped.id) for skipped in stats.skipped] == [(2, "2"), (3, "3"), (5, "5"), (5, "it")]
    assert ["empty" in stats.skipped[0].reason, "int" in stats.skipped[1].reason] == [True, True]
    assert stats.skipped[2].reason.startswith("the text is not valid Unicode")


@pytest.mark.parametrize("bad", ["", 7, Skipped("f", 5, "bad")], ids=repr)
def test_error_comes_after_what_came_before_it(bert: Encoder, monkeypatch: pytest.MonkeyPatch, bad: Any) -> None:
    monkeypatch.setattr(corpus_settings, "CHUNK_TEXTS", 2)
    stats = corpus_stats(["one", "two", "three", "four", bad, "five"], bert)
    blocks = iter(stats)
    assert [next(blocks).ids, next(blocks).ids] == [["1", "2"], ["3", "4"]]
    with pytest.raises(InputError):
        next(blocks)


def test_text_the_model_fails_on_does_not_take_others_with_it(
    exact_bert: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CANINE fails on texts that are too short: it is found in its batch, and counts nowhere."""
    texts = ["one two three", "two three one", "three one two", "a longer text of other words"]
    others = corpus_stats([texts[0], *texts[2:]], exact_bert, profile=True, threads=1)
    expected = others.to_frame()
    bad, measure = exact_bert.tokenizer(texts[1])["input_ids"], prober.measure

    def fail(batch: Any, *arguments: Any, **options: Any) -> Any:
        if any(list(tokens.inputs["input_ids"]) == bad for tokens in batch):
            raise TextError("Model fails on this text")
        return measure(batch, *arguments, **options)

    monkeypatch.setattr(prober, "measure", fail)
    stats = corpus_stats(texts, exact_bert, profile=True, on_error="skip", ids=list("acbd"), threads=1)
    rows = stats.to_frame()
    assert [(its.id, its.reason) for its in stats.skipped] == [("c", "Model fails on this text")]
    assert rows["id"].unique().tolist() == ["a", "b", "d"]
    pd.testing.assert_frame_equal(rows.drop(columns="id"), expected.drop(columns="id"), rtol=STORED, atol=STORED)
    for name, array in others.summary.arrays().items():
        np.testing.assert_allclose(stats.summary.arrays()[name], array, rtol=EXACT, atol=EXACT, err_msg=name)
    with pytest.raises(InputError, match="text:2: Model fails"):
        list(corpus_stats(texts, exact_bert))


def test_text_that_fails_in_one_window_counts_in_none(exact_bert: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its other windows were in batches with those of other texts."""
    options: dict[str, Any] = {"profile": True, "threads": 1, "max_length": 6, "stride": 1}
    texts = ["one two three four five six seven", "two three four five six seven one", "six five four three two one"]
    expected = corpus_stats([texts[0], texts[2]], exact_bert, **options)
    rows = expected.to_frame()
    bad = exact_bert.tokenize(texts[1], max_length=6, stride=1)[0].inputs["input_ids"]
    measure = prober.measure

    def fail(batch: Any, *arguments: Any) -> Any:
        if any(tokens.inputs["input_ids"] == bad for tokens in batch):
            raise TextError("Model fails on this window")
        return measure(batch, *arguments)

    monkeypatch.setattr(prober, "measure", fail)
    stats = corpus_stats(texts, exact_bert, on_error="skip", ids=["1", "bad", "2"], **options)
    pd.testing.assert_frame_equal(stats.to_frame(), rows, rtol=STORED, atol=STORED)
    for name, array in expected.summary.arrays().items():
        np.testing.assert_allclose(stats.summary.arrays()[name], array, rtol=EXACT, atol=EXACT, err_msg=name)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"metrics": ["size"]}, "size"),
        ({"layers": 3}, "layer"),
        ({"heads": "0-9"}, "head"),
        ({"queries": "some"}, "queries"),
        ({"level": "line"}, "level"),
        ({"long_range": -1}, "long_range"),
        ({"on_error": "ignore"}, "on_error"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"max_length": 161}, "161"),
        ({"stride": 24, "max_length": 24}, "stride 24"),
    ],
)
def test_options_without_meaning(bert: Encoder, options: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        corpus_stats(["one"], bert, **{"on_error": "skip", **options})
