"""The errors and warnings that a person at the shell sees; imports nothing."""

CHANGED = "was the model changed after it was loaded? Load it anew"  # the hint where a model is not as at load


class AttnprobeError(Exception):
    """An error whose message says what happened and which value caused it.

    Attributes:
        hint: what to do about it, which Python's traceback shows as a note; may be empty.
        exit_code: the command's exit code.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(hint)


class UsageError(AttnprobeError):
    """An invalid argument: unknown metric, layer out of range, empty text."""

    exit_code = 2


class ModelError(AttnprobeError):
    """A model that cannot be found, loaded safely, or measured rightly."""


class TextError(ModelError):
    """A text that the model cannot run on, or gives no probabilities for, while other texts may work."""


class InputError(AttnprobeError):
    """A file that cannot be found, opened, or read to its end."""


class UnreachableError(ModelError):
    """The Hub cannot be reached."""


class OutputError(AttnprobeError):
    """A file that cannot be written, or must not be overwritten."""


class CannotResumeError(OutputError):
    """Earlier work that cannot be gone on with, as it is other work or damaged.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"cannot resume: {reason}", hint)
        self.reason = reason


class Interrupted(AttnprobeError):  # noqa: N818
    """Someone pressed Ctrl-C; the message says how to go on."""

    exit_code = 130


class Terminated(Interrupted):
    """The system asked the process to end, by SIGTERM; the message says how to go on."""

    exit_code = 143


class MissingExtraError(AttnprobeError):
    """A feature whose optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed", f'pip install "attnprobe[{extra}]"')


class TruncationWarning(UserWarning):
    """A text longer than the model reads was cut; the message counts the tokens left out."""


class InputWarning(UserWarning):
    """A file was read otherwise than its suffix says; the message says how."""


class UnknownTokensWarning(UserWarning):
    """Many of a text's tokens are unknown to the model's vocabulary; the message counts them and says what helps."""


class WordsWarning(UserWarning):
    """The words of a text were asked for but are unknown: its script has no spaces between them."""


class CaseWarning(UserWarning):
    """A tokenizer and its vocabulary treat capitals differently; the message says how they were read."""


class SequenceWarning(UserWarning):
    """A sequence of residues was read in capitals, or with spaces between, as the vocabulary needs it."""


class PartialMeanWarning(UserWarning):
    """A mean over layers leaves out some, where a metric has no meaning; the message names it."""


class FontWarning(UserWarning):
    """Some characters of a figure are in no installed font; the message names them."""


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message; its type if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
