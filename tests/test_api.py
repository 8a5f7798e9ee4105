"""The library as it is met first: what Tab, help() and a notebook show."""

import inspect
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING
from typing import Any, get_type_hints

import pytest

import attnprobe
from attnprobe.analyses import ANALYSES, load_analysis
from attnprobe.analyses.kinds import CorpusAnalysis
from attnprobe.analyses.twins import twin
from attnprobe.cli import compare, corpus, heads, heatmap, view
from attnprobe.cli.corpus_options import Records, Results, Resuming
from attnprobe.cli.options import Loading, Metrics, Text
from attnprobe.corpus.twins import twin_of_many
from attnprobe.measure.weights import keep_weights
from attnprobe.values.options import Engine, group_of

FUNCTIONS = [name for name in dir(attnprobe) if isinstance(getattr(attnprobe, name), types.FunctionType)]
OF_MANY = [name for name in ANALYSES if isinstance(load_analysis(name), CorpusAnalysis)]
COMMANDS: dict[str, Callable[..., None]] = {
    "head_stats": heads.heads,
    "links": heads.heads,
    "heatmap": heatmap.heatmap,
    "view": view.view,
    "corpus_stats": corpus.corpus,
    "run_corpus": corpus.corpus,
    "compare": compare.compare,
}
SHELL = {"output", "format", "overwrite", "open", "spreadsheet_safe", "quiet", "debug", "no_progress", "dry_run"}
SHELL |= {"log", "max_skipped"}  # lines on standard error, and the exit code
ELSEWHERE = {  # flags whose work another argument, or another call, does in Python
    "load_encoder": {"no_cache"},
    "head_stats": {"sort", "top", "link"},
    "links": {"sort", "top", "metrics", "queries", "long_range", "stride"},
    "corpus_stats": {*Records.names(), *Results.names(), *Resuming.names(), *Engine.names(), "measure"},
    "run_corpus": {"column", "id_column", "pair_column"},
    "compare": {*Records.names(), *Resuming.names(), *Engine.names()} - {"seed"},
}
ALONE = {  # arguments that no flag is the twin of
    "load_encoder": {"cache", "task"},  # commands load the head that they need
    "view": {"most"},
    "corpus_stats": {"texts", "ids", "pairs", "threads", "profile"},
    "run_corpus": {"columns", "on_result"},
    "compare": {"texts", "ids", "pairs", "threads"},
    **{name: {"texts", "ids", "pairs", "threads", *load_analysis(name).sections} for name in OF_MANY},
}
OTHER_DEFAULTS = {(name, "on_error"): "fail" for name in ("corpus_stats", "compare", *OF_MANY)} | {
    ("load_encoder", "dtype"): None,
    ("links", "link"): inspect.Parameter.empty,
}
PARTS = {"find_sources", "read_atlas", "read_records", "importance_curve"}  # of which a command takes parts


def groups(name: str) -> Sequence[Any]:
    """The groups of options of a function's command, without how a model is loaded."""
    if name == "load_encoder":
        return [Loading]
    if name in ANALYSES:
        return [*([] if name in OF_MANY else [Text]), *load_analysis(name).groups]
    hints = get_type_hints(COMMANDS[name], include_extras=True)
    return [hint for hint in hints.values() if hint is not type(None) and group_of(hint)[0] is not Loading]


def flags(name: str) -> dict[str, Any]:
    """The default of each option that the function must take."""
    options = [option for group in groups(name) for option in group_of(group)[1]]
    left_out = (SHELL - parameters(name).keys()) | ELSEWHERE.get(name, set())
    found = {option.name: option.default for option in options if option.name not in left_out}
    if Metrics in groups(name) and "metrics" not in left_out:
        found["metrics"] = None
    return {option: default for option, default in found.items() if option not in ("text", "inputs")}


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(attnprobe, name)).parameters)


def differences(name: str) -> Iterator[str]:
    """What a function lacks, adds or presumes against the options of its command."""
    given, wanted = parameters(name), flags(name)
    for option, default in wanted.items():
        usual = OTHER_DEFAULTS.get((name, option), inspect.Parameter.empty if default is MISSING else default)
        if option not in given:
            yield f"{name} lacks {option}"
        elif given[option].default != usual:
            yield f"{name} has {option}={given[option].default!r}, its command {usual!r}"
    costly = load_analysis(name).costly if name in OF_MANY else ()
    known = {"text", "inputs", "encoder", "model", *wanted, *costly, *ALONE.get(name, ())}
    yield from (f"{name} has {option}, which is no option" for option in given.keys() - known)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - PARTS))
def test_function_spells_the_options_of_its_command(name: str) -> None:
    assert list(differences(name)) == []


def test_forgotten_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def view(text: str, encoder: object = None, *, layers: str = "0", width: int = 3) -> None: ...

    monkeypatch.setattr(attnprobe, "view", view)
    found = list(differences("view"))
    assert "view lacks heads" in found
    assert "view has layers='0', its command 'all'" in found
    assert "view has width, which is no option" in found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_hides_nothing(name: str) -> None:
    """Neither ``*args`` nor ``**options``; each argument has a type, and a word in the docstring."""
    documentation = inspect.getdoc(getattr(attnprobe, name)) or ""
    for parameter in parameters(name).values():
        assert parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD), parameter
        assert parameter.annotation is not parameter.empty, parameter
        assert parameter.name in documentation, parameter


def test_names_of_a_command_suffice() -> None:
    assert {*COMMANDS, *ANALYSES, *PARTS, "load_encoder"} == set(FUNCTIONS)


@pytest.mark.parametrize("name", ANALYSES)
def test_twin_that_is_made_looks_like_one_that_is_written(name: str) -> None:
    function = twin_of_many(name) if name in OF_MANY else twin(name, load_analysis(name))
    made, written = (inspect.signature(one) for one in (function, getattr(attnprobe, name)))
    defaults = [{key: parameter.default for key, parameter in one.parameters.items()} for one in (made, written)]
    assert defaults[0] == defaults[1]
    assert f"attnprobe {name}" in (inspect.getdoc(function) or "")


def test_dir_lists_public_names_only() -> None:
    assert dir(attnprobe) == sorted({*attnprobe.__all__, *ANALYSES})
    assert [name for name in dir(attnprobe) if name.startswith("_")] == ["__version__"]


def test_one_text_and_many_are_told_apart() -> None:
    for function in (attnprobe.head_stats, attnprobe.weights, attnprobe.heatmap, attnprobe.view):
        with pytest.raises(attnprobe.AttnprobeError, match="many texts: corpus_stats"):
            function(["one", "two"])  # type: ignore[arg-type]
    with pytest.raises(attnprobe.AttnprobeError, match="many texts: corpus_stats"):
        attnprobe.trace(["one", "two"], layer=0, head=0)  # type: ignore[arg-type]
    with pytest.raises(attnprobe.AttnprobeError, match="one text: head_stats"):
        attnprobe.corpus_stats("one")


HOSTILE = "<script>alert(1)</script> the cat"


def results(encoder: attnprobe.Encoder) -> Iterator[Any]:
    yield encoder
    yield attnprobe.trace(HOSTILE, encoder, layer=0, head=1, query=1)
    yield load_analysis("weights")(HOSTILE, encoder)
    yield keep_weights(HOSTILE, encoder)
    yield attnprobe.view(HOSTILE, encoder)
    stats = attnprobe.corpus_stats([HOSTILE] * 3, encoder, ids=["<b>", "2", "3"])
    yield stats
    yield from stats
    yield stats.summary
    yield encoder.tokenize(HOSTILE)[0]


def test_values_show_themselves_in_one_line_or_a_small_table(encoder_of: Callable[[str], attnprobe.Encoder]) -> None:
    encoder = encoder_of("bert")
    tables = set()
    for result in results(encoder):
        line, kind = repr(result), type(result).__name__
        assert line.startswith(f"<{kind}"), line
        assert "\n" not in line
        assert len(line) <= 120, line
        if hasattr(result, "_repr_html_") and not isinstance(result, attnprobe.View):
            shown = result._repr_html_()
            assert "<script" not in shown
            assert "<b>" not in shown
            assert len(shown) < 10_000
            tables.add(kind)
    assert tables == {"Trace", "Weights", "RowBlock", "Summary"}
    name = encoder.location.short_name
    sizes = f"{encoder.layers} layers × {encoder.heads} heads, {encoder.max_length} tokens, float32 on {encoder.device}"
    assert repr(encoder) == f"<Encoder {name}: {sizes}>"


def test_traceback_shows_what_to_do(encoder_of: Callable[[str], attnprobe.Encoder]) -> None:
    with pytest.raises(attnprobe.AttnprobeError) as found:
        attnprobe.trace("the cat", encoder_of("bert"), layer="all", head=0, query=1)
    *_, message, note = traceback.format_exception(found.value)
    assert "a trace is of one layer" in message
    assert note.startswith("choose one of 0 to ")
