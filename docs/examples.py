"""Runs the shell examples of README.md and docs/, and writes what they print below them: `make docs`.

tests/test_pages.py runs the same examples and compares what they print to the digits shown.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = {".txt", ".csv", ".fasta", ".conllu"}  # suffixes of the files that examples read
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """The pages whose examples are run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a page's console blocks, each with what it prints."""
    for block in BLOCK.findall(text):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = example.partition("\n")
            yield command, printed


def fill_folder(folder: Path) -> None:
    """Copies the files that examples read, as from a checkout and as one's own."""
    (folder / "examples").mkdir()
    for path in (path for path in (ROOT / "examples").iterdir() if path.suffix in DATA):
        shutil.copy(path, folder)
        shutil.copy(path, folder / "examples")


def shell(command: str, folder: Path) -> str:
    """What a command prints in a shell of 80 columns, where ``attnprobe`` is this checkout's."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode or re.sub("attnprobe: done: .+\n", "", done.stderr):
        raise ValueError(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def filled(text: str) -> str:
    """The page with what its examples print now."""
    with tempfile.TemporaryDirectory() as folder:
        fill_folder(Path(folder))

        def fill(block: re.Match[str]) -> str:
            lines = [f"$ {command}\n{shell(command, Path(folder))}" for command, _ in examples(block[0])]
            return f"```console\n{''.join(lines)}```"

        return BLOCK.sub(fill, text)


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]) if sys.argv[1:] else pages():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
