"""The contracts of import-linter in pyproject.toml: imports run downwards, libraries have their places, no circles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint(package: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "COLUMNS": "200"}
    command += ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, env=environment, cwd=package.parent, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts() -> None:
    done = lint(ROOT / "attnprobe")
    assert done.returncode == 0, done.stdout


def test_tensors_of_all_metrics_have_their_types_checked() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    (checked,) = [option for option in options["addopts"] if option.startswith("--jaxtyping-packages=")]
    for path in (ROOT / "attnprobe" / "metrics").glob("*.py"):
        named = f",attnprobe.metrics.{path.stem}," in checked
        assert named == ("from jaxtyping import" in path.read_text(encoding="utf-8")), path


PLANTED = {
    "upwards": ("values/table.py", "def late():\n    import attnprobe.cli.output\n", "attnprobe.values"),
    "sideways": ("readers/lines.py", "from attnprobe.models import encoder\n", "attnprobe.readers"),
    "in a circle, for typing": (
        "readers/source.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from attnprobe.readers.sources import find_sources\n",
        "attnprobe.readers",
    ),
    "of a library": ("writers/files.py", "import torch\n", "attnprobe.writers.files"),
    "from a module without a floor": ("helpers.py", "import os\n", "attnprobe.helpers"),
}


@pytest.mark.parametrize("breach", PLANTED)
def test_planted_breach_is_found(breach: str, tmp_path: Path) -> None:
    name, planted, culprit = PLANTED[breach]
    package = shutil.copytree(
        ROOT / "attnprobe", tmp_path / "attnprobe", ignore=shutil.ignore_patterns("*.js", "*.css")
    )
    with (package / name).open("a", encoding="utf-8") as file:
        file.write(planted)
    done = lint(package)
    assert done.returncode == 1
    assert culprit in done.stdout
