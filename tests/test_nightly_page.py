"""docs/nightly.md: each recipe's command is run as its system would run it, and what it names exists."""

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from attnprobe import cli

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(cron|ini|dockerfile|sh)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind / && cd "$0" && exec "$@"'


def of_cron() -> list[str]:
    *schedule, command = BLOCKS["cron"].split(maxsplit=5)
    assert len(schedule) == 5
    return ["sh", "-c", command.replace(r"\%", "%").replace("cd /srv/attention && ", "").replace(".venv/bin/", "")]


def of_systemd() -> list[str]:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(BLOCKS["ini"])
    assert unit["Service"]["SuccessExitStatus"] == "143"
    return shlex.split(unit["Service"]["ExecStart"].replace("%%", "%").replace("/srv/attention/.venv/bin/", ""))


def of_docker() -> list[str]:
    _, arguments = BLOCKS["sh"].replace("\\\n", "").split(" attention ")
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", BLOCKS["dockerfile"], re.MULTILINE)
    return [*json.loads(entry), *shlex.split(arguments)]


@cache
def sealing() -> tuple[list[str], list[str]]:
    """Commands that give another one a read-only root, and a user without name or home, as far as the system can."""
    rooted = [] if os.geteuid() == 0 else ["--map-root-user"]
    for root, user in ((["unshare", "--mount", *rooted], ["unshare", "--user", "--map-user=10001"]), ([], [])):
        try:
            subprocess.run([*root, *user, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return root, user
    raise AssertionError("no command runs")


def test_recipe_runs_in_a_sealed_place(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Without home, terminal and name, on a read-only root where only the output's folder can be written."""
    (tmp_path / "in.csv").write_text("text\n" + "a text\n" * 100 + "too,many\n", encoding="utf-8")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "attnprobe").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m attnprobe "$@"\n', encoding="utf-8")
    (commands / "attnprobe").chmod(0o755)
    root, user = sealing()
    sealed = [*root, "sh", "-c", READ_ONLY, str(tmp_path)] if root else []
    environment = {"PATH": f"{commands}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    environment |= {"ATTNPROBE_MODEL": str(folder_of("bert")), "OMP_NUM_THREADS": "1"}
    cleared = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    done = subprocess.run(
        [*sealed, *user, *cleared, *of_cron()], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    log = tmp_path / "attention.log"
    said = log.read_text(encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), said
    assert "done: 100 texts" in said
    assert "1 record was skipped (0.99 % of all, within --max-skipped 1 %)" in said
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["note", "done"]
    names = {path.name for path in tmp_path.iterdir()} - {"in.csv", "bin", "attention.log"}
    assert names == {"out.parquet", "out.parquet.skipped.jsonl"}


def test_dockerfile_names_what_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    steps = [line.split(" ", 1) for line in BLOCKS["dockerfile"].splitlines()]
    lines = dict(steps)
    copied = [name for step, names in steps if step == "COPY" for name in names.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    assert {"attnprobe", "pyproject.toml", project["readme"]} <= set(copied)
    assert lines["FROM"].startswith("python:3.11")
    assert project["requires-python"] == ">=3.11"
    (extras,) = re.findall(r"/src\[(.+)\]", lines["RUN"])
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    (constraints,) = re.findall(r"-c /src/(\S+)", lines["RUN"])
    assert (ROOT / constraints).is_file()
    assert project["scripts"][json.loads(lines["ENTRYPOINT"])[0]] == f"{cli.main.__module__}:{cli.main.__name__}"


def test_recipes_run_the_command_of_the_page() -> None:
    (nightly,) = re.findall(r"^(attnprobe corpus .+)$", PAGE, re.MULTILINE)
    assert of_systemd() == of_docker() == shlex.split(nightly)
    assert of_cron()[-1].startswith(f"HF_HUB_OFFLINE=1 {nightly} --log json 2>> ")
