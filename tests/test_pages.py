"""Every example of README.md and docs/, run as printed; and the site that is built of them."""

import doctest
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import attnprobe
from attnprobe.cli import ADDED, app, load_command
from attnprobe.metrics import METRICS
from attnprobe.models import loading
from tests.cli.commandline import Stream, exit_code

ROOT = Path(__file__).parent.parent
EXAMPLES = runpy.run_path(str(ROOT / "docs" / "examples.py"))
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in EXAMPLES["pages"]()}
LOAD_ENCODER = loading.load_encoder
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
SHELL = re.compile(r"[|<>;&]")  # in a command that only a shell understands


def having(pattern: str) -> list[str]:
    return [name for name, text in PAGES.items() if re.search(pattern, text, re.MULTILINE)]


def shown(text: str) -> tuple[str, list[float]]:
    """The text with its decimal numbers taken out and its spaces folded, and the numbers."""
    return " ".join(NUMBER.sub("#", text).split()), [float(number) for number in NUMBER.findall(text)]


def check(printed: str, expected: str) -> None:
    text, numbers = shown(printed)
    expected_text, expected_numbers = shown(expected)
    assert text == expected_text
    assert numbers == pytest.approx(expected_numbers, abs=1e-3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded_once: None) -> Path:
    """Where a page's examples run, in their order, with the default model loaded once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    EXAMPLES["fill_folder"](tmp_path)
    return tmp_path


def printed_here(command: str, monkeypatch: pytest.MonkeyPatch, *, silenced: bool) -> str:
    """What ``attnprobe ...`` or ``python -c ...`` prints, run in this process; code may change the models it loads."""
    out, err = Stream(io.BytesIO()), Stream(io.BytesIO())
    program, *arguments = shlex.split(command)
    code = 0
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [program, *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        if program == "python":
            patch.setattr(loading, "load_encoder", LOAD_ENCODER)
            exec(arguments[1], {"__name__": "__main__"})
        else:
            code = exit_code()
    said = "" if silenced else re.sub("attnprobe: done: .+\n", "", err.buffer.getvalue().decode())
    assert (code, said) == (0, ""), command
    return str(out.buffer.getvalue().decode())


def printed(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints: attnprobe and code run in this process, and what they are piped into in a shell."""
    first, _, then = command.partition(" | ")
    first, silenced = re.subn(r" 2> \S+$", "", first)
    if not first.startswith(("attnprobe ", "python -c ")) or SHELL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", first)):
        return str(EXAMPLES["shell"](command, folder))
    out = printed_here(first, monkeypatch, silenced=bool(silenced))
    if not then:
        return out
    (folder / ".piped").write_text(out, encoding="utf-8")
    return str(EXAMPLES["shell"](f"cat .piped | {then}", folder))


@pytest.mark.parametrize("page", having("^```console$"))
def test_console_examples(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, expected in EXAMPLES["examples"](PAGES[page]):
        check(printed(command, folder, monkeypatch), expected)


@pytest.mark.parametrize("page", having("^>>> "))
def test_python_examples(page: str, folder: Path) -> None:
    failed, tried = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert failed == 0
    assert tried == len(re.findall("^>>> ", PAGES[page], re.MULTILINE))


def test_what_is_shown_is_compared() -> None:
    with pytest.raises(AssertionError):
        check("layer 3  0.677", "layer 3  0.675")
    with pytest.raises(AssertionError):
        check("layer 3  0.677", "layer 4  0.677")
    check("layer 3  0.677", "layer 3 0.6770001")


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each ``attnprobe`` in a page's blocks of shell commands."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"[|;&<>]+(?=(?:[^'\"]|'[^']*'|\"[^\"]*\")*$)", line):
                words = shlex.split(command, comments=True)
                if words[:1] == ["attnprobe"] and len(words) > 1:
                    yield words[1:]


@pytest.mark.parametrize("page", having("^```sh$"))
def test_flags_of_shell_examples_exist(page: str) -> None:
    root = typer.main.get_command(app)
    for name, *arguments in commands(PAGES[page]):
        if name.startswith("-"):
            continue
        command = load_command(name) if name in ADDED else root.commands[name]  # type: ignore[attr-defined]
        try:
            command.make_context(name, list(arguments))
        except typer.TyperException as error:
            pytest.fail(f"attnprobe {name} {shlex.join(arguments)}: {error.format_message()}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a broken link, or a name that is not there, fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_site_needs_no_network(site: Path) -> None:
    loaded = re.compile(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*", re.IGNORECASE)
    for page in site.rglob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style.name
    assert (site / "search" / "search_index.json").stat().st_size > 10_000


def test_reference_has_every_public_name(site: Path) -> None:
    text = (site / "reference.html").read_text(encoding="utf-8")
    for name in dir(attnprobe):
        if name not in ("__version__", "METRICS"):
            assert re.search(rf'id="attnprobe\.[\w.]*\.?{name}"', text), name


def test_every_page_is_in_the_navigation_once() -> None:
    listed = [page for item in CONFIG["nav"] for page in pages_of(item)]
    assert sorted(listed) == sorted(Path(name).name for name in PAGES if name.startswith("docs/"))


def pages_of(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    else:
        for value in item.values() if isinstance(item, dict) else item:
            yield from pages_of(value)


def test_every_metric_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGES["docs/heads.md"], re.MULTILINE)
    assert rows == list(METRICS)


def test_pages_of_readme_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES["README.md"]):
        assert (ROOT / target).exists(), target


def test_citation_names_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == attnprobe.__version__
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "type"} <= cited.keys()
    assert cited["authors"] == [{"name": "The attnprobe developers"}]
