"""Measures what changes when heads are switched off, one at a time."""

from __future__ import annotations

from typing import Any

from attnprobe.errors import UsageError
from attnprobe.measure.kinds import Measurement
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading


class Ablation:
    """Switches heads off, for ``importance --method zero``, ``mean`` or ``uniform``."""

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, *, method: str, **options: Any) -> Measurement:
        """Chooses how heads are switched off, and what is measured of it."""
        raise UsageError(f"--method {method} is not there yet")
