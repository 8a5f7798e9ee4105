"""Imports run one way only, and each heavy library is imported in one place (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import attnprobe

# A module may import from its own part and from the lines above it. Parts of one line do not import each other.
LEVELS = (
    ("errors",),
    ("arguments",),
    ("tokens", "table", "selection", "signature"),
    ("kernels",),
    ("attention",),
    ("metrics", "summary"),
    ("models", "corpus"),
    ("run",),
    ("corpora", "capture"),
    ("analyses",),
    ("writers", "engines", "state"),
    ("render", "results", "workfolder"),
    ("jobs", "estimate"),
    ("cli",),
    ("__main__",),
)
RANKS = {part: rank for rank, parts in enumerate(LEVELS) for part in parts}
PLACES = {
    "torch": ("attention", "metrics", "models", "run", "corpora", "capture", "analyses"),
    "transformers": ("models",),
    "peft": ("models.adapters_of_peft",),
    "typer": ("cli",),
    "rich": ("cli.output", "render"),
    "pyarrow": ("writers.arrow", "writers.rows", "corpus"),
    "datasets": ("corpus.hub",),
    "zstandard": ("corpus.streams",),
    "orjson": ("writers", "table"),
    "matplotlib": ("render.figure",),
    "scipy": ("summary",),
    "numba": ("kernels",),
    "llvmlite": ("kernels",),
    "ray": ("engines",),
    "click": (),  # typer brings its own
}


def breaches(package: Path) -> list[str]:
    """Every import in a package folder that runs upwards or is out of its place."""
    found = []
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        for line, target in imports(path, package):
            wrong = module and what_is_wrong(module, target)
            if wrong:
                found.append(f"{path.relative_to(package)}:{line}: {wrong}")
    return found


def what_is_wrong(module: str, target: str) -> str:
    """Why a module of attnprobe must not import the target; empty if it may."""
    library, _, inner = target.partition(".")
    if library != "attnprobe":
        places = PLACES.get(library)
        right = places is None or any(f"{module}.".startswith(f"{place}.") for place in places)
        return "" if right else f"{module} imports {library}"
    ours, theirs = module.split(".")[0], inner.split(".")[0]
    if not theirs or theirs.startswith("__") or ours == theirs:
        return ""
    unknown = [part for part in (ours, theirs) if part not in RANKS]
    if unknown:
        return f"{unknown[0]} has no level"
    return "" if RANKS[theirs] < RANKS[ours] else f"{module} imports attnprobe.{inner}"


def imports(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, at its top, in functions, and through import_module("...")."""
    folder = ["attnprobe", *path.parent.relative_to(package).parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, home_of(f"{base}.{alias.name}")) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def home_of(name: str) -> str:
    """The module behind a public name of the package, such as attnprobe.head_stats; other names as they are."""
    package, _, last = name.rpartition(".")
    return f"{attnprobe._HOMES[last]}.{last}" if package == "attnprobe" and last in attnprobe._HOMES else name


def test_imports_run_one_way() -> None:
    package = Path(attnprobe.__file__).parent
    assert len(list(package.rglob("*.py"))) > 20
    assert breaches(package) == []


PLANTED = {
    "tokens.py": "from attnprobe import run",
    "table.py": "def late():\n    import attnprobe.cli.output",
    "errors.py": "from attnprobe import head_stats",
    "signature.py": "from attnprobe.values.table import Table",
    "attention/blocks.py": "from attnprobe.metrics.kinds import Metric",
    "metrics/reduce.py": "from attnprobe.models import encoder",
    "metrics/spread.py": "from ..models.loading import load_encoder",
    "metrics/late.py": "from importlib import import_module\nimport_module('attnprobe.models')",
    "models/loading.py": "from .. import run",
    "run.py": "from attnprobe.analyses.rollout import rollout",
    "analyses/rollout.py": "import attnprobe.writers",
    "render/table.py": "if True:\n    from attnprobe.cli import output",
    "writers/files.py": "import torch",
    "writers/delimited.py": "import pyarrow.csv",
    "render/arrow.py": "from pyarrow import parquet",
    "render/heatmap.py": "from matplotlib.figure import Figure",
    "cli/heads.py": "from rich.console import Console",
    "cli/info.py": "def late():\n    from torch import nn",
    "cli/options.py": "import click",
    "run/measure.py": "import transformers",
    "models/flags.py": "import typer",
    "helpers.py": "import os\nfrom attnprobe.values.tokens import Tokens",
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_breach_is_found(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(PLANTED[name], encoding="utf-8")
    found = breaches(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"{name}:")


ALLOWED = {
    "tokens.py": "import bisect\nfrom attnprobe import __version__",
    "selection.py": "from attnprobe.errors import UsageError",
    "metrics/reduce.py": "import torch, numpy\nfrom attnprobe.attention.blocks import Block\nfrom .kinds import Rows",
    "models/selfcheck.py": "import transformers\nfrom attnprobe.metrics.reduce import check_rows\nfrom . import hooks",
    "run.py": "from attnprobe import load_encoder\nfrom attnprobe.models.loading import load_encoder",
    "render/table.py": "import rich\nfrom attnprobe.values.table import Table",
    "writers/arrow.py": "def late():\n    import pyarrow.parquet",
    "cli/output.py": "import typer\nfrom rich.console import Console\nfrom attnprobe import head_stats, writers",
    "__main__.py": "from attnprobe.cli import main",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_rightful_import_is_let_pass(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(ALLOWED[name], encoding="utf-8")
    assert breaches(tmp_path) == []
