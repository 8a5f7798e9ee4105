"""The settings of a run over many texts: what it measures, how it reads and how it proceeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from attnprobe.analyses.kinds import CorpusAnalysis, fields_of, groups_of
from attnprobe.corpus.chunks import Item, chunks
from attnprobe.errors import InputError
from attnprobe.measure import MEASUREMENTS, choose_measurement
from attnprobe.measure.kinds import Measurement
from attnprobe.measure.reading import sign
from attnprobe.models.encoder import Encoder
from attnprobe.models.global_attention import check_global_attention
from attnprobe.values.options import Reading, Running, SequenceReading, take
from attnprobe.values.records import Record, Skipped
from attnprobe.values.rows import TEXT_COLUMNS

CHUNK_VALUES = 2**20  # numbers in the rows of a chunk, which bound its memory; more texts make better batches
CHUNK_TEXTS = 1024  # as objects of Python, some 13 KiB for each annotated sentence
CHUNK_CHARACTERS = 2**20


@dataclass(frozen=True)
class Settings:
    """All settings of a run except its input and its model; picklable."""

    measurement: Measurement
    reading: Reading = Reading()  # noqa: RUF009 (immutable)
    running: Running = Running()  # noqa: RUF009

    @classmethod
    def choose(cls, encoder: Encoder, measure: str | Measurement = "heads", **options: Any) -> Settings:
        """Chooses and checks the settings for an encoder.

        Args:
            measure: a name from MEASUREMENTS, or a measurement that was made elsewhere.
            options: those of the measurement, of SequenceReading and of Running.

        Raises:
            UsageError: an option is unknown, has an invalid value, or does not suit the model.
        """
        shared = {name: options.pop(name) for name in (*SequenceReading.names(), *Running.names()) if name in options}
        reading, running = take(shared, SequenceReading, Running)
        if isinstance(measure, str):
            measure = choose_measurement(measure, encoder, reading, **options)
        else:
            take(options)
        settings = cls(measure, reading, running)
        settings.check(encoder)
        return settings

    @classmethod
    def of_analysis(cls, analysis: CorpusAnalysis, encoder: Encoder, **options: Any) -> Settings:
        """Chooses the settings of an analysis for an encoder; see :meth:`choose`."""
        names = [option.name for option in fields_of([analysis.reading, Running])]
        shared = {name: options.pop(name) for name in names if name in options}
        reading, running = groups_of(shared, [analysis.reading, Running])
        return cls.choose(encoder, analysis.choose(encoder, reading, options), **vars(reading), **vars(running))

    def check(self, encoder: Encoder) -> None:
        """Checks that the settings suit the model, before anything is read.

        Raises:
            UsageError: a length does not suit the model, or it has no global attention.
        """
        encoder.check_lengths(self.reading.max_length, self.reading.stride)
        if self.reading.global_attention != "none":
            check_global_attention(encoder)

    @property
    def columns(self) -> dict[str, str]:
        """The columns of the rows with their types: ``id, n_tokens``, then the measurement's; none if it has none."""
        return {**TEXT_COLUMNS, **self.measurement.columns} if self.measurement.columns else {}

    def sign(self, encoder: Encoder) -> str:
        """Makes the signature of the numbers, which neither batches nor errors change."""
        return sign(encoder, self.reading, **self.measurement.signed())

    def described(self) -> dict[str, Any]:
        """Returns the settings that change results but are not in the signature, as values of JSON."""
        kind = f"{type(self.measurement).__module__}:{type(self.measurement).__qualname__}"
        named = {} if kind == MEASUREMENTS["heads"][0] else {"measure": kind}
        return {**named, **self.measurement.described(), **asdict(self.running)}

    def chunks(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cuts the items into chunks that are measured together; the result of one does not depend on any other.

        Raises:
            InputError: a record cannot be used and on_error is "fail"; raised after the chunk before it.
        """
        most = max(1, min(CHUNK_TEXTS, CHUNK_VALUES // max(1, self.measurement.size)))
        return chunks(self._usable(items), most, CHUNK_CHARACTERS)

    def _usable(self, items: Iterable[Item]) -> Iterator[Item]:
        """Numbers the records of each section; the first unusable one may end the run."""
        numbers = Counter[str]()
        for item in items:
            if isinstance(item, Record):
                yield replace(item, number=numbers[item.section])
                numbers[item.section] += 1
                continue
            if self.running.on_error == "fail":
                raise failure(item)
            yield item


def failure(skipped: Skipped) -> InputError:
    """Makes the error for an unusable record, if such records end a run."""
    where = skipped.file or f"record {skipped.id!r}"
    where = where if skipped.line is None else f"{where}:{skipped.line}"
    return InputError(f"{where}: {skipped.reason}", "--on-error skip leaves such records out and lists them")
