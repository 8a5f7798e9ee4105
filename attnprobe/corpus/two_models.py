"""The settings of a run in which two models read the same texts."""

from __future__ import annotations

from typing import Any

from attnprobe.analyses.comparing import TwoModels
from attnprobe.analyses.second import Second
from attnprobe.analyses.two_maps import TwoMaps
from attnprobe.corpus.settings import Settings
from attnprobe.measure.kinds import Measurement
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading, Running


def settings_of_two(encoder: Encoder, second: Second, *, maps: bool, **options: Any) -> Settings:
    """Chooses what a run compares, and how it goes.

    Args:
        maps: whether to compare maps instead of head statistics.
        options: those of :meth:`TwoMaps.choose` or :meth:`TwoModels.choose`, of Reading and of Running.

    Raises:
        UsageError: an option is invalid, or the models do not suit each other.
    """
    how = {name: options.pop(name) for name in (*Reading.names(), *Running.names()) if name in options}
    reading = Reading(**{name: how[name] for name in Reading.names() if name in how})
    kind: Any = TwoMaps if maps else TwoModels
    measurement: Measurement = kind.choose(encoder, reading, second=second, **options)
    return Settings.choose(encoder, measurement, **how)
