"""The options of measuring, each stated once: default, allowed values, and whether numbers depend on it.

To add an option: one field here. Functions, flags, checks and the signature take it from its group. What a field may
state besides its default:

    help, metavar, flags    the help text, the word for the value, the spellings (--name-of-field)
    choices, least, share   the allowed values: words, a whole number of at least this, a number from 0 to 1
    indices                 whether the option names layers or heads
    column                  whether the option names a column of labels, which is then read
    signed, silent          False: no number depends on it; the value that changes no number
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin

from attnprobe.errors import UsageError
from attnprobe.values.arguments import as_integer, check_choice, check_share, check_whole, nearest
from attnprobe.values.selection import Indices, parse_indices

INPUT, MODEL, WHAT, RUN, OUTPUT = PANELS = ("Input", "Model", "What", "Run", "Output")


def option(default: Any = MISSING, **about: Any) -> Any:
    """Declares an option of any value; an option without a default must be given."""
    return field(default=default, metadata=about)


def choice(default: str | None, *others: str, **about: Any) -> Any:
    """Declares an option that is one of these words, or None if that is its default."""
    return option(default, choices=(default, *others) if default else others, **about)


def whole(default: int | None, *, least: int = 0, metavar: str = "N", **about: Any) -> Any:
    """Declares an option that is a whole number of at least ``least``, or None if that is its default."""
    return option(default, least=least, metavar=metavar, **about)


def share(default: float | None, *, metavar: str = "SHARE", **about: Any) -> Any:
    """Declares an option that is a number from 0 to 1, or None if that is its default."""
    return option(default, share=True, metavar=metavar, **about)


def indices(default: Any = MISSING, **about: Any) -> Any:
    """Declares an option that names layers or heads, see :func:`attnprobe.values.selection.select`."""
    return option(default, indices=True, **about)


@dataclass(frozen=True)
class Options:
    """A group of options.

    Attributes:
        panel: the part of a command's help that lists them.

    Raises:
        UsageError: an option has an invalid value.
    """

    panel: ClassVar[str] = WHAT

    def __post_init__(self) -> None:
        for option in fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))

    @classmethod
    def names(cls) -> list[str]:
        """The names of the options."""
        return [option.name for option in fields(cls)]

    @classmethod
    def choices(cls, name: str) -> tuple[str, ...]:
        """The allowed words of an option, the default first."""
        words: tuple[str, ...] = cls.__dataclass_fields__[name].metadata["choices"]
        return words

    @classmethod
    def from_given(cls, given: Mapping[str, Any], *, without: Iterable[str] = ()) -> Self:
        """Makes the group from options that all belong to it; see :func:`take`."""
        group: Self = take(given, cls, without=without)[0]
        return group

    def without(self, *names: str) -> dict[str, Any]:
        """Returns the options by name, without these."""
        return {name: value for name, value in vars(self).items() if name not in names}

    def changed(self) -> dict[str, Any]:
        """Returns the options by name that differ from their default."""
        given = {option.name: (option.default, getattr(self, option.name)) for option in fields(self)}
        return {
            name: value
            for name, (default, value) in given.items()
            if type(value) is not type(default) or value != default  # an array of layers has no single truth
        }

    def refuse(self, why: str) -> None:
        """Refuses options, though not arguments, that do not apply.

        Raises:
            UsageError: one of them differs from its default; the message says ``why`` it may not.
        """
        for option in fields(self):
            if option.name in self.changed() and not option.metadata.get("argument"):
                raise UsageError(f"{why}: {spelled(option)[0]} does not apply", f"leave {spelled(option)[0]} out")

    def signed(self) -> dict[str, object]:
        """The options that numbers depend on, for the signature; None for a value that changes nothing."""
        values = {option.name: (option, getattr(self, option.name)) for option in fields(self)}
        return {
            name: None if value == option.metadata.get("silent") else value
            for name, (option, value) in values.items()
            if option.metadata.get("signed", True)
        }


@dataclass(frozen=True)
class Reading(Options):
    """How a text is read.

    Attributes:
        max_length: how many tokens are read at most, a longer text is cut; None: as many as the model reads.
        stride: reads a longer text in windows that overlap by this many tokens instead of cutting it; None: cuts it.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's.
        global_attention: which tokens Longformer and LED let see and be seen by all: "none" (as the bare model does),
            "cls" (as their classifiers do), or "first", those of the first text (as their question answerers do).
        of: what counts as a weight: "attention", a; or "norms", what the key contributes, ‖a·v·W_O‖ (Kobayashi et al.
            2020), with rows made to sum to 1.
    """

    panel: ClassVar[str] = INPUT

    max_length: int | None = whole(
        None,
        least=1,
        help="The most tokens to read at once; a longer text is cut, an annotated one skipped.  "
        "[default: what the model reads]",
    )
    stride: int | None = whole(
        None, help="Read a longer text in windows that overlap by N tokens instead of cutting it."
    )
    level: str = choice("token", "word", help="What a position is: a token, or a word of the text.")
    global_attention: str = choice(
        "none",
        "cls",
        "first",
        silent="none",
        help="Of Longformer and LED: what sees, and is seen by, all tokens.",
    )
    of: str = choice(
        "attention",
        "norms",
        silent="attention",
        help="What counts as a weight: attention, or what it adds, ‖a·v·W_O‖, rows made to sum to 1.",
    )

    @property
    def kmer(self) -> int | None:
        """None, unless texts may be sequences of residues, see :class:`SequenceReading`."""
        return None


@dataclass(frozen=True)
class SequenceReading(Reading):
    """How a text is read that may be a sequence of residues.

    Attributes:
        kmer: how many residues each word has that a sequence is cut into, every word one residue after the one before;
            None: as it stands, or a residue a word where the vocabulary knows nothing longer.
    """

    kmer: int | None = whole(
        None,
        least=1,
        metavar="K",
        help="Cut sequences into overlapping words of K residues, as DNABERT reads them.",
    )


@dataclass(frozen=True)
class Selection(Options):
    """Chooses layers and heads.

    Attributes:
        layers, heads: by number, counted from 0: ``3``, ``[0, 2, -1]``, ``"0-5"``, ``"0,2,-1"``; ``"all"``, None: all.
    """

    layers: Indices = indices(
        "all",
        flags=("-l", "--layer"),
        metavar="LAYERS",
        help="Layers, counted from 0: 3, 0-5, 0,2,-1 or all.",
    )
    heads: Indices = indices("all", flags=("--head",), metavar="HEADS", help="Heads, counted from 0, likewise.")


@dataclass(frozen=True)
class Mean(Options):
    """Averages over the chosen heads, layers, or both.

    Attributes:
        mean: "heads", "layers" or "all"; None: nothing is averaged.
    """

    mean: str | None = choice(
        None, "heads", "layers", "all", help="Average over the chosen heads, the chosen layers, or both."
    )

    @property
    def over_heads(self) -> bool:
        """Whether heads are averaged."""
        return self.mean in ("heads", "all")

    @property
    def over_layers(self) -> bool:
        """Whether layers are averaged."""
        return self.mean in ("layers", "all")


@dataclass(frozen=True)
class Averaging(Options):
    """The queries that a mean is taken over, and what counts as long range.

    Attributes:
        queries: "all", or "content": only tokens of the text, not those that the tokenizer added.
        long_range: the distance in tokens from which long_range_share counts.
    """

    queries: str = choice("all", "content", help="Average over all queries, or those of the text only.")
    long_range: int = whole(10, help="Tokens from which long_range_share counts.")


@dataclass(frozen=True)
class Running(Options):
    """How a run over many texts proceeds; no number depends on it.

    Attributes:
        batch_tokens: how many tokens are run at once.
        on_error: "skip" leaves out a record that cannot be used, "fail" ends the run at it.
        max_unknown: a record with a larger share of tokens that the model's vocabulary lacks cannot be used; None: any.
    """

    panel: ClassVar[str] = RUN

    batch_tokens: int = whole(2048, least=1, signed=False, help="Tokens to run at once.")
    on_error: str = choice(
        "skip", "fail", signed=False, help="Records that cannot be used: list them and go on, or stop."
    )
    max_unknown: float | None = share(
        None,
        signed=False,
        help="Skip records with a larger share of tokens unknown to the model.  [default: skip none]",
    )


@dataclass(frozen=True)
class Engine(Options):
    """The processes that measure many texts; no number depends on them.

    Attributes:
        engine: "local", this machine, or "ray", a Ray cluster.
        workers: how many processes.
        num_gpus: how many GPUs, or what share of one, each process gets on Ray.
    """

    panel: ClassVar[str] = RUN

    engine: str = choice("local", "ray", signed=False, help="ray: the workers are actors of a Ray cluster.")
    workers: int = whole(
        1, least=1, max=1024, signed=False, help="Processes, each with a model and its share of the cores."
    )
    num_gpus: float = option(0.0, signed=False, metavar="N", min=0, help="GPUs per Ray worker, e.g. 0.5.")

    @property
    def is_here(self) -> bool:
        """Whether this process measures everything."""
        return self.engine == "local" and self.workers == 1


class Without:
    """Marks a group of which some options do not apply: ``Annotated[Reading, Without("stride")]``."""

    def __init__(self, *names: str) -> None:
        self.names = names


def group_of(annotation: Any) -> tuple[type[Options], list[Field[Any]]]:
    """The group that an annotation names, and those of its options that apply."""
    marks: list[str] = []
    if get_origin(annotation) is Annotated:
        annotation, *others = get_args(annotation)
        marks = [name for mark in others if isinstance(mark, Without) for name in mark.names]
    return annotation, [one for one in fields(annotation) if one.name not in marks]


def spelled(option: Field[Any]) -> tuple[str, ...]:
    """How an option is written on a command line; the flag of what is on by default turns it off."""
    name = f"no-{option.name}" if option.default is True else option.name
    flags: tuple[str, ...] = option.metadata.get("flags", (f"--{name.replace('_', '-')}",))
    return flags


Group = TypeVar("Group", bound=Options)


def take(
    given: Mapping[str, Any],
    *groups: type[Group],
    beside: Iterable[str] = (),
    without: Iterable[str] = (),
    hint: str = "",
) -> list[Any]:
    """Makes each group from those of the options that belong to it.

    Args:
        beside: names that are allowed, too, but belong to none of the groups.
        without: names of options that do not apply here.
        hint: what the error says of those that do.

    Raises:
        UsageError: an option belongs to none of the groups, does not apply, or has an invalid value.
    """
    known = [*beside, *(name for group in groups for name in group.names() if name not in without)]
    for name in given:
        if name not in known:
            raise UsageError(f"no option {name!r}{nearest(name, known)}", hint)
    return [group(**{name: given[name] for name in group.names() if name in given}) for group in groups]


def _checked(option: Field[Any], value: Any) -> Any:
    """Returns the value if the option allows it.

    Raises:
        UsageError: the option does not allow the value.
    """
    about = option.metadata
    if value is None and option.default is None:
        return None
    if "indices" in about and isinstance(value, str):
        parse_indices(value)
    if "choices" in about:
        check_choice(option.name, value, about["choices"])
        return str(value)
    if "least" in about:
        check_whole(option.name, value, about["least"])
        return as_integer(value)
    if "share" in about:
        check_share(option.name, value)
    return value
