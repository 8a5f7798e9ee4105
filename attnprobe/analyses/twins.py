"""Makes the library's functions from analyses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from inspect import Parameter, Signature, signature
from os import PathLike
from typing import Any, get_type_hints

from attnprobe.analyses.kinds import Analysis, CorpusAnalysis
from attnprobe.models.encoder import Encoder
from attnprobe.models.loading import loaded
from attnprobe.models.locate import DEFAULT_MODEL
from attnprobe.values.arguments import check_one
from attnprobe.values.options import group_of
from attnprobe.values.table import Table


def twin(name: str, analysis: Analysis) -> Callable[..., Any]:
    """Makes the function that returns the result of an analysis, as a DataFrame in place of a Table."""

    def run(
        text: str,
        encoder: Encoder | str | PathLike[str] | None = None,
        *,
        pair: str | None = None,
        model: str | PathLike[str] = DEFAULT_MODEL,
        **options: Any,
    ) -> Any:
        check_one(text)
        result = analysis(text, loaded(encoder, model, **analysis.loads(options)), pair=pair, **options)
        return result.to_frame() if isinstance(result, Table) else result

    takes = "text, encoder, pair, model: as in :func:`attnprobe.head_stats`."
    return as_twin(run, name, analysis, takes, "the result; a table comes as a DataFrame")


def as_twin(
    run: Callable[..., Any],
    name: str,
    analysis: Analysis | CorpusAnalysis,
    takes: str,
    returns: str,
    **defaults: Any,
) -> Callable[..., Any]:
    """Gives a function that takes any options the signature and docstring that follow from an analysis.

    Args:
        run: the function; its last parameter but one is ``model``, its last takes the options.
        takes: what the docstring says of its other parameters.
        returns: what it says of the result; the columns follow.
        defaults: of options whose default is another than their flag's.
    """
    *first, model, _ = signature(run).parameters.values()
    if isinstance(analysis, CorpusAnalysis) and not analysis.sample:
        first[0] = first[0].replace(default=Parameter.empty)
    run.__name__ = run.__qualname__ = name
    run.__signature__ = Signature([*first, *_keywords(analysis, defaults), model])  # type: ignore[attr-defined]
    run.__doc__ = _docstring(name, analysis, takes, returns)
    return run


def _keywords(analysis: Analysis | CorpusAnalysis, defaults: Mapping[str, Any]) -> Iterator[Parameter]:
    """Makes a keyword of each option, with its type and default."""
    kinds = {name: kind for item in analysis.groups for name, kind in get_type_hints(group_of(item)[0]).items()}
    for option in analysis.fields():
        usual = Parameter.empty if option.default is MISSING else option.default
        default = defaults.get(option.name, usual)
        yield Parameter(option.name, Parameter.KEYWORD_ONLY, default=default, annotation=kinds[option.name])
    for name in _costly(analysis):
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    for name in _sections(analysis):
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Any)


def _sections(analysis: Analysis | CorpusAnalysis) -> Mapping[str, str]:
    """Returns the further sections that are read, with what their flag's help says."""
    sections = analysis.sections.items() if isinstance(analysis, CorpusAnalysis) else ()
    return {name: section.help for name, section in sections}


def _costly(analysis: Analysis | CorpusAnalysis) -> Mapping[str, str]:
    """Returns the tables that are measured only if they are asked for, with their meaning."""
    return {name: analysis.tables[name] for name in analysis.costly} if isinstance(analysis, CorpusAnalysis) else {}


def _docstring(name: str, analysis: Analysis | CorpusAnalysis, takes: str, returns: str) -> str:
    helps = [f"    {option.name}: {option.metadata.get('help', '')}" for option in analysis.fields()]
    helps += [
        f"    {name}: whether to measure this table, too. {meaning}" for name, meaning in _costly(analysis).items()
    ]
    helps += [f"    {name}: {meaning} As ``texts``." for name, meaning in _sections(analysis).items()]
    columns = [f"    {column}: {meaning}" for column, meaning in analysis.columns.items()]
    return "\n".join(
        [
            f"{analysis.meaning}\n",
            f"The twin of ``attnprobe {name}``.\n",
            "Args:",
            f"    {takes}",
            *helps,
            "\nReturns:",
            f"    {returns}, whose columns are\n",
            *columns,
            "\nRaises:",
            "    UsageError: an option is unknown, or has an invalid value.",
            "    ModelError: a model that cannot be loaded or measured.",
        ]
    )
