"""The table of measurements that a run can take.

To add one: a class that is a Measurement of ``kinds.py`` and has a class method ``choose(encoder, reading, **options)``
that makes one, in a module of this folder, and one row in BUILT_IN. Another package adds its
own through the entry point group ``attnprobe.measurements`` (``name = "package.module:Class"``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attnprobe.errors import UsageError
from attnprobe.values.arguments import nearest, shown
from attnprobe.values.plugins import Row, load, with_plugins

if TYPE_CHECKING:
    from attnprobe.measure.kinds import Measurement
    from attnprobe.models.encoder import Encoder
    from attnprobe.values.options import Reading

BUILT_IN: dict[str, Row] = {
    "heads": ("attnprobe.measure.heads:HeadMeans", "every metric of every head, averaged over a text's queries"),
    "weights": ("attnprobe.measure.weights:KeptWeights", "the attention weights themselves"),
}


MEASUREMENTS: Mapping[str, Row] = with_plugins("attnprobe.measurements", BUILT_IN)


def check_measurement(name: Any) -> None:
    """Checks that a measurement has this name.

    Raises:
        UsageError: no measurement has the name; the message suggests the nearest.
    """
    if not isinstance(name, str) or name not in MEASUREMENTS:
        meant = nearest(name, MEASUREMENTS) if isinstance(name, str) else ""
        raise UsageError(f"nothing to measure is called {shown(name)}{meant}", f"one of {' '.join(MEASUREMENTS)}")


def choose_measurement(name: str, encoder: Encoder, reading: Reading, **options: Any) -> Measurement:
    """Makes the measurement of that name for an encoder and texts that are read like this.

    Raises:
        UsageError: the name or an option is unknown, or an option does not suit the model.
    """
    check_measurement(name)
    kind = load(MEASUREMENTS[name][0])
    try:
        measurement: Measurement = kind.choose(encoder, reading, **options)
    except UsageError as error:
        raise UsageError(str(error), error.hint or f"of --measure {name}") from error
    return measurement
