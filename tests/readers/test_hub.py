"""Folders of the datasets library, and the Hub without a network."""

from pathlib import Path
from typing import Any
from unittest import mock

import datasets
import pytest

from attnprobe.errors import InputError, MissingExtraError, UsageError
from attnprobe.readers import hub
from attnprobe.readers.readers import read_records
from attnprobe.readers.sources import find_sources, fingerprint, stamps
from attnprobe.values.records import Columns, Record, Skipped

ROWS = {"label": [1, 0, 1], "text": ["one", "", "three"], "key": ["x", "y", "z"]}
FOUND = [Record("1", "one"), Skipped("FOLDER", 2, "'text' is empty"), Record("3", "three")]


@pytest.fixture(autouse=True)
def quiet_datasets() -> Any:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def saved(folder: Path, rows: dict[str, list[Any]], *splits: str) -> str:
    dataset = datasets.Dataset.from_dict(rows)
    whole = datasets.DatasetDict(dict.fromkeys(splits, dataset)) if splits else dataset
    whole.save_to_disk(str(folder))
    return str(folder)


def found_in(folder: str, columns: Columns = Columns()) -> list[Record | Skipped]:  # noqa: B008
    return list(read_records(find_sources([folder]), columns))


def test_folder_of_a_dataset(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", ROWS)
    assert found_in(folder) == [FOUND[0], Skipped(folder, 2, "'text' is empty"), FOUND[2]]
    assert found_in(folder, Columns("key", "label"))[:2] == [Record("1", "x"), Record("0", "y")]
    with pytest.raises(UsageError, match="column 'label' holds int64, not text"):
        found_in(folder, Columns("label"))


@pytest.mark.parametrize(("splits", "chosen"), [(("test",), "test"), (("test", "train"), "train")])
def test_folder_with_splits(tmp_path: Path, splits: tuple[str, ...], chosen: str) -> None:
    folder = saved(tmp_path / "set", ROWS, *splits)
    assert find_sources([folder])[0].path == tmp_path / "set" / chosen
    assert found_in(folder)[0] == FOUND[0]
    assert found_in(f"{folder}/{splits[0]}")[0] == FOUND[0]


def test_folder_without_train(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", ROWS, "dev", "test")
    with pytest.raises(InputError, match="without a split 'train'") as caught:
        find_sources([folder])
    assert caught.value.hint == "name the folder of one split"


def test_chosen_rows_are_read_in_their_order(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_dict({"text": [f"t{row}" for row in range(2000)]}).select(range(1999, -1, -1))
    with mock.patch("datasets.load_dataset", return_value=dataset):
        found = list(read_records(find_sources(["hub:some/set"])))
    assert found == [Record(str(row), f"t{2000 - row}") for row in range(1, 2001)]


def test_fingerprint_and_state_of_a_folder(tmp_path: Path) -> None:
    one, two = (find_sources([saved(tmp_path / name, ROWS)])[0] for name in ("one", "two"))
    other = find_sources([saved(tmp_path / "three", {"text": ["one", "two"]})])[0]
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(other)
    state = stamps(two)
    assert state == stamps(two) is not None
    (tmp_path / "two" / "state.json").write_text("{}")
    assert stamps(two) != state


def test_broken_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", ROWS)
    next((tmp_path / "set").glob("*.arrow")).write_bytes(b"nothing")
    with pytest.raises(InputError, match=f"^{folder}: "):
        found_in(folder)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("hub:imdb", ("imdb", None, "train")),
        ("hub:stanfordnlp/imdb:test", ("stanfordnlp/imdb", None, "test")),
        ("hub:nyu-mll/glue@sst2", ("nyu-mll/glue", "sst2", "train")),
        ("hub:a/b.c@20231101.en:train[:10%]", ("a/b.c", "20231101.en", "train[:10%]")),
    ],
)
def test_names_on_the_hub(name: str, meant: tuple[str, str | None, str]) -> None:
    assert hub.parse(name) == meant
    (source,) = find_sources([name])
    assert (source.name, source.path, source.once, stamps(source)) == (name, None, False, None)
    dataset = datasets.Dataset.from_dict(ROWS)
    with mock.patch("datasets.load_dataset", return_value=dataset) as load:
        assert next(read_records([source])) == FOUND[0]
        assert fingerprint(source) == f"{name} {dataset._fingerprint}"
    assert (*load.call_args.args, load.call_args.kwargs["split"]) == meant


@pytest.mark.parametrize(
    "name", ["hub:", "hub:a/b/c", "hub:../x", "hub:/etc", "hub:a:", "hub:a@:train", "hub:a b", "hub:é"]
)
def test_names_that_cannot_be_on_the_hub(name: str) -> None:
    with pytest.raises(UsageError, match="cannot read 'hub:"):
        find_sources([name])


def test_hub_without_a_network() -> None:
    sources = find_sources(["hub:nobody/nothing"])
    with pytest.raises(InputError, match=r"^hub:nobody/nothing: ") as caught:
        read_records(sources)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^hub:nobody/nothing: "):
        fingerprint(sources[0])


def test_folder_is_not_read_in_place_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / "train.csv").write_text("text\na\n")
    with pytest.raises(InputError, match=r"^hub:imdb: a folder 'imdb' lies here"):
        read_records(find_sources(["hub:imdb"]))


def test_progress_bars_are_left_as_they_were(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", ROWS)
    datasets.enable_progress_bars()
    found_in(folder)
    assert not datasets.are_progress_bars_disabled()


def test_datasets_is_not_installed(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", ROWS)
    for name in (folder, "hub:imdb"):
        with mock.patch.dict("sys.modules", {"datasets": None}), pytest.raises(MissingExtraError) as caught:
            find_sources([name])
        assert caught.value.hint == 'pip install "attnprobe[hub]"'
    (source,) = find_sources(["hub:imdb"])
    with mock.patch.dict("sys.modules", {"datasets": None}), pytest.raises(MissingExtraError, match="datasets"):
        read_records([source])
