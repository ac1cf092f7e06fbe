"""A wall clock that is wrong: imported by Python itself when this folder is on PYTHONPATH."""

import os
import time

_wrong_by = float(os.environ.get("CHAOS_CLOCK", "0"))
_time, _time_ns = time.time, time.time_ns


def _wrong() -> float:
    return _time() + _wrong_by


def _wrong_ns() -> int:
    return _time_ns() + int(_wrong_by * 1e9)


time.time, time.time_ns = _wrong, _wrong_ns
