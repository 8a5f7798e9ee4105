"""What a run reads back, and what is not its own: damaged, foreign or shared files are refused and never lost."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from attnprobe import Summary
from attnprobe.corpus.jobs import Job
from attnprobe.corpus.state import State, write_state
from attnprobe.errors import OutputError
from attnprobe.writers import locks
from attnprobe.writers.files import replacing
from attnprobe.writers.locks import lock_path, locked
from tests.fabricated import contents, make, whole, work


def unfinished(folder: Path, format: str = "csv", stop_after: int | None = 7) -> Job:
    """A run that was stopped after seven of its ten parts; None: that has all and has put no file in place."""
    folder.mkdir(exist_ok=True)
    job = make(folder, format)
    job.start(resume=False, overwrite=False)
    work(job, stop_after=stop_after)
    return job


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an uninterrupted run."""
    return whole(tmp_path_factory.mktemp("whole"), "csv")


def go_on(folder: Path, format: str = "csv") -> None:
    job = make(folder, format)
    job.start(resume=True, overwrite=False)
    work(job)
    job.finish()


def as_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def as_edited(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def as_longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def as_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state": 1}))


def as_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


def as_objects(path: Path) -> None:
    np.savez(path, state=np.array([{}], dtype=object))


def as_bomb(path: Path) -> None:
    np.savez_compressed(path, state=np.zeros(10**6))


def with_state(**changes: object) -> Callable[[Path], None]:
    """Changes the state as somebody would who also knows of the digest."""

    def change(path: Path) -> None:
        job = make(path.parent.parent, "csv")
        job.start(resume=True, overwrite=False)
        with path.open("wb") as stream:
            write_state(stream, replace(job.state, **changes), job.summary)  # type: ignore[arg-type]

    return change


def with_shape(path: Path) -> None:
    job = make(path.parent.parent, "csv")
    job.start(resume=True, overwrite=False)
    with path.open("wb") as stream:
        write_state(stream, job.state, Summary.empty((0,), (1, 2), job.summary.metrics, "here"))


DAMAGES = [
    ("part-000002.csv", Path.unlink),
    ("part-000002.csv", as_short),
    ("part-000002.csv", as_edited),
    ("part-000002.csv", as_longer),
    ("parts.jsonl", Path.unlink),
    ("parts.jsonl", as_short),
    ("parts.jsonl", as_edited),
    ("skipped.jsonl", Path.unlink),
    ("skipped.jsonl", as_edited),
    ("cut.jsonl", as_short),
    ("state.npz", Path.touch),
    ("state.npz", as_short),
    ("state.npz", as_edited),
    ("state.npz", as_pickle),
    ("state.npz", as_array),
    ("state.npz", as_objects),
    ("state.npz", as_bomb),
    ("state.npz", with_state(parts=-1)),
    ("state.npz", with_state(parts=6)),
    ("state.npz", with_state(items="many")),
    ("state.npz", with_state(digest=3)),
    ("state.npz", with_state(lists={"parts": (0, "")})),
    ("state.npz", with_shape),
    ("manifest.json", as_short),
    ("manifest.json", lambda path: path.write_bytes(b"")),
    ("manifest.json", lambda path: path.write_bytes(b"\xff")),
    ("manifest.json", lambda path: path.write_text("[]")),
    ("manifest.json", lambda path: path.write_text('{"signature": 1}')),
    ("manifest.json", lambda path: path.write_text("[" * 10**5)),
    ("manifest.json", lambda path: path.write_text('{"signature": "here", "replaceable": {"output": [["x", 1]]}}')),
    ("manifest.json", lambda path: path.write_text('{"signature": "here", "replaceable": 3}')),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_damaged_file_is_refused_by_name(
    tmp_path: Path, name: str, damage: Callable[[Path], object], expected: dict[str, bytes]
) -> None:
    job = unfinished(tmp_path)
    if damage is Path.touch:
        (job.folder / name).write_bytes(b"")
    else:
        damage(job.folder / name)
    before = contents(tmp_path)
    with pytest.raises(OutputError) as error:
        make(tmp_path, "csv").start(resume=True, overwrite=False)
    assert re.search(f"{name}|parts.jsonl" if "parts" in name or name == "state.npz" else name, str(error.value))
    assert "start anew" in error.value.hint
    assert contents(tmp_path) == before
    if "--overwrite" in error.value.hint:
        job = make(tmp_path, "csv")
        job.start(resume=False, overwrite=True)
        work(job)
        job.finish()
        assert contents(tmp_path) == expected


@pytest.mark.parametrize("format", ["csv", "parquet"])
@pytest.mark.parametrize("damage", [Path.unlink, as_short, as_edited])
def test_part_damaged_while_running(tmp_path: Path, format: str, damage: Callable[[Path], object]) -> None:
    job = unfinished(tmp_path, format, stop_after=None)
    damage(job.folder / f"part-000001.{format}")
    with pytest.raises(OutputError, match="part-000001"):
        job.finish()
    assert not job.output.exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_list_damaged_while_running(tmp_path: Path) -> None:
    job = unfinished(tmp_path)
    as_short(job.folder / "parts.jsonl")
    with pytest.raises(OutputError, match=r"parts\.jsonl"):
        work(job)


def test_lost_state_means_measuring_all_again(tmp_path: Path, expected: dict[str, bytes]) -> None:
    job = unfinished(tmp_path / "run")
    (job.folder / "state.npz").unlink()
    go_on(tmp_path / "run")
    assert contents(tmp_path / "run") == expected


@pytest.mark.parametrize("meta", [b"", b"{", b"[]", b"null", b"\xff", b'{"signature": 1}', b"[" * 10**5], ids=repr)
def test_description_of_a_finished_output_is_damaged(tmp_path: Path, meta: bytes) -> None:
    whole(tmp_path, "csv")
    (tmp_path / "out.csv.meta.json").write_bytes(meta)
    with pytest.raises(OutputError, match="exists already"):
        make(tmp_path, "csv").is_finished()


@pytest.mark.parametrize("metadata", [None, {}, {"attnprobe.manifest": "[]"}, {"attnprobe.manifest": "{"}], ids=repr)
def test_metadata_of_a_finished_output_are_damaged(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    table = pyarrow.table({"x": [1]}).replace_schema_metadata(metadata)
    pyarrow.parquet.write_table(table, tmp_path / "out.parquet")
    with pytest.raises(OutputError, match="exists already"):
        make(tmp_path, "parquet").is_finished()


def test_all_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is moved into place, and the lists before the state."""
    synced: dict[int, int] = {}  # size by inode
    move, moved = Path.replace, []

    def sync(descriptor: int) -> None:
        synced[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    def is_synced(path: Path) -> bool:
        return synced.get(path.stat().st_ino) == path.stat().st_size

    def watch(path: Path, target: Path) -> Path:
        moved.append(target.name)
        if target.name != "removed.json":
            assert is_synced(path)
        if target.name == "state.npz":
            assert all(map(is_synced, target.parent.glob("*.jsonl")))
            assert all(map(is_synced, target.parent.glob("part-*")))
        return move(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", watch)
    whole(tmp_path, "csv")
    assert moved.count("state.npz") == 10
    assert moved.index("out.csv") == len(moved) - 2


# Two runs


def test_lock_is_held_by_one(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    (tmp_path / "link.csv").symlink_to(out)
    with locked(out):
        for name in (out, tmp_path / "link.csv"):
            with pytest.raises(OutputError, match=rf"written by process {os.getpid()} on ") as error, locked(name):
                pass
            assert "wait" in error.value.hint
        with locked(tmp_path / "another.csv"):
            pass
    with locked(out):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link.csv"]


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    code = (
        "import sys, time; from pathlib import Path; from attnprobe.writers.locks import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE)
    assert holder.stdout
    with holder, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match=f"process {holder.pid} on "), locked(out):
            pass
        holder.send_signal(signal.SIGKILL)
    assert lock_path(out).exists()
    with locked(out):
        assert lock_path(out).read_text(encoding="utf-8").startswith(f"process {os.getpid()} on ")
    assert not lock_path(out).exists()


def test_lock_removed_between_opening_and_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that is no longer there would let in a second run."""
    out, try_lock, calls = tmp_path / "out.csv", locks.try_lock, iter([True])

    def late(descriptor: int) -> bool:
        if next(calls, False):
            lock_path(out).unlink()
        return try_lock(descriptor)

    monkeypatch.setattr(locks, "try_lock", late)
    with locked(out), pytest.raises(OutputError, match="being written"), locked(out):
        pass


def test_lock_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    lock = lock_path(tmp_path / "out.csv")
    lock.write_text("precious", encoding="utf-8")
    with pytest.raises(OutputError, match=r"\.out\.csv\.lock"), locked(tmp_path / "out.csv"):
        pass
    assert lock.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("moment", ["add", "finish"])
def test_run_whose_folder_was_taken_over(tmp_path: Path, moment: str, expected: dict[str, bytes]) -> None:
    """Where a file system has no locks, or somebody removed the folder of a run."""
    first = unfinished(tmp_path / "run", stop_after=3 if moment == "add" else None)
    second = make(tmp_path / "run", "csv")
    second.start(resume=False, overwrite=True)
    with pytest.raises(OutputError, match="another run has begun"):
        work(first) if moment == "add" else first.finish()
    work(second)
    second.finish()
    assert contents(tmp_path / "run") == expected


# Files of others


@pytest.mark.parametrize("name", ["out.csv", "out.csv.meta.json", "out.csv.skipped.jsonl", "heads.csv", "profile.csv"])
@pytest.mark.parametrize("moment", ["before", "killed", "running"])
def test_file_that_somebody_made_is_not_replaced(
    tmp_path: Path, name: str, moment: str, expected: dict[str, bytes]
) -> None:
    precious = tmp_path / name
    if moment == "before":
        precious.write_text("precious", encoding="utf-8")
        with pytest.raises(OutputError, match=f"{re.escape(name)}' exists already"):
            make(tmp_path, "csv").start(resume=False, overwrite=False)
        assert contents(tmp_path) == {name: b"precious"}
        return
    job = unfinished(tmp_path, stop_after=None if moment == "running" else 7)
    precious.write_text("precious", encoding="utf-8")
    with pytest.raises(OutputError, match=f"{re.escape(name)}' exists already"):
        job.finish() if moment == "running" else go_on(tmp_path)
    assert precious.read_text(encoding="utf-8") == "precious"
    precious.unlink()
    go_on(tmp_path)
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("name", ["out.csv", "out.csv.cut.jsonl", "heads.csv.meta.json"])
def test_resuming_a_run_that_replaces(tmp_path: Path, name: str, expected: dict[str, bytes]) -> None:
    """What --overwrite gave up may be replaced later too, but not what somebody writes there meanwhile."""
    old = tmp_path / name
    old.write_text("old", encoding="utf-8")
    job = make(tmp_path, "csv")
    job.start(resume=False, overwrite=True)
    work(job, stop_after=2)
    os.utime(old, ns=(1, 1))
    with pytest.raises(OutputError, match="exists already"):
        go_on(tmp_path)
    job = make(tmp_path, "csv")
    job.start(resume=True, overwrite=True)
    work(job, stop_after=2)
    go_on(tmp_path)
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.txt", "part-000000.csv", "manifest.json", "folder/thesis.txt"])
def test_folder_of_somebody_else_is_left_alone(tmp_path: Path, overwrite: bool, name: str) -> None:
    precious = tmp_path / "out.csv.parts" / name
    precious.parent.mkdir(parents=True)
    precious.write_text('{"name": "an app"}', encoding="utf-8")
    before = contents(tmp_path)
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"out\.csv\.parts"):
            make(tmp_path, "csv").start(resume=resume, overwrite=overwrite)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_file_of_somebody_else_in_the_folder_survives(
    tmp_path: Path, overwrite: bool, expected: dict[str, bytes]
) -> None:
    job = unfinished(tmp_path / "run")
    (job.folder / "thesis.txt").write_text("precious", encoding="utf-8")
    (job.folder / "part-000000.csv.bak").write_text("precious", encoding="utf-8")
    job = make(tmp_path / "run", "csv")
    job.start(resume=not overwrite, overwrite=overwrite)
    work(job)
    job.finish()
    assert job.work.foreign_names() == ["part-000000.csv.bak", "thesis.txt"]
    kept = {f"out.csv.parts/{name}": b"precious" for name in job.work.foreign_names()}
    assert contents(tmp_path / "run") == expected | kept
    assert make(tmp_path / "run", "csv").is_finished()
    assert contents(tmp_path / "run") == expected | kept


def test_what_killed_processes_left_is_removed(tmp_path: Path, expected: dict[str, bytes]) -> None:
    """But not what a process is writing, nor what only looks like it."""
    folder = tmp_path / "run"
    job = unfinished(folder)
    for name in (".out.csv.abcd_123.tmp", ".heads.csv.meta.json.abcdefgh.tmp"):
        (folder / name).touch()
        (job.folder / f".part-000003.csv{name[-13:]}").touch()
    others = [".out.csv.mine.tmp", ".other.csv.abcdefgh.tmp", ".out.csv.abcdefgh", "out.csv.abcdefgh.tmp"]
    for name in others:
        (folder / name).touch()
    job = make(folder, "csv")
    with replacing(folder / "out.csv.skipped.jsonl") as written:
        with job.results.locked():
            assert Path(written.name).exists()
        Path(written.name).touch()
        shutil.copy(written.name, folder / "kept")
    (folder / "kept").unlink()
    (folder / "out.csv.skipped.jsonl").unlink()
    go_on(folder)
    assert contents(folder) == expected | dict.fromkeys(others, b"")


def test_state_of_nothing_is_read_again(tmp_path: Path) -> None:
    job = make(tmp_path, "csv")
    job.start(resume=False, overwrite=False)
    assert json.loads((job.folder / "manifest.json").read_bytes())["replaceable"] == {}
    assert job.work.load(job.summary) == (State(), job.summary)
