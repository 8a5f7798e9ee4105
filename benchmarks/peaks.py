"""The peak memory of a benchmark's run over many lines of a file, each in a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from corpora import lines


def peak(script: str, count: int) -> float:
    """The peak memory in MB of a process that runs the script with ``--peak`` and so many lines."""
    command = [sys.executable, script, "--peak", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_peak(count: int, run: Callable[[Path], object]) -> None:
    """Prints the peak memory of this process after a run over a file; lines come again if there are too few."""
    known = lines(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.txt"
        path.write_text("\n".join((known * (count // len(known) + 1))[:count]), encoding="utf-8")
        run(path)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024)
