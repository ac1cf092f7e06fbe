"""What a person may have meant by a name or a value that is not known."""

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping

# Seconds, and bytes, of what people write instead of a number.
_LONG = {"m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1, **_LONG}
BYTES: Mapping[str, float] = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
# What a setting counts in, by the end of its name; how many of the above one of it is.
UNITS = (
    *(("_seconds", "seconds", SECONDS, 1.0), ("_ms", "milliseconds", SECONDS, 0.001)),
    *(("_minutes", "minutes", SECONDS, 60.0), ("_hours", "hours", SECONDS, 3600.0)),
    *(("_days", "days", SECONDS, 86_400.0), ("_bytes", "bytes", BYTES, 1.0)),
)
_WITH_UNIT = re.compile(r"\s*([0-9]{1,15}(?:[.,][0-9]{1,9})?)\s*([A-Za-z]{1,3})[a-z]*\s*")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" with the known name that is most like this one, or nothing."""
    by_folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name[:200].casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[close[0]]}?" if close else ""


def number_meant(setting: str, value: object) -> str:
    """Say how a number is written that was given for a setting, such as `5m` for five minutes."""
    said = f"{str(value)[:50]!r} is not a number"
    found = next((counted for counted in UNITS if setting.endswith(counted[0])), None)
    if found is None:
        return said
    _, unit, sizes, size = found
    said = f"{said} of {unit}"
    given = _WITH_UNIT.fullmatch(str(value))
    factor = None if given is None else _factor(given[2], sizes)
    if given is None or factor is None:
        return f"{said}: write digits alone"
    return f"{said}: write {float(given[1].replace(',', '.')) * factor / size:.15g}"


def _factor(unit: str, sizes: Mapping[str, float]) -> float | None:
    """Find a unit by its whole name or its first letters, as in `min`, `hours` and `MB`."""
    folded = unit.casefold()
    return sizes.get(folded, sizes.get(folded[:1]))


def wrapped(value: str) -> str:
    """Say what a file of variables has left around a value, or nothing; the value is not quoted."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return (
            "; there are quotes around it, which `docker run --env-file` and others hand over as "
            "they are: write it without"
        )
    if value.endswith("\r"):
        return "; it ends with a carriage return: save the file with line ends of Unix"
    return ""


def check_network(text: str) -> None:
    """Raise ValueError, with what to write instead, unless this is a network or one address."""
    try:
        whole = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text[:100]!r} is no network and no address: write one like 10.20.0.0/16, "
            "10.20.0.1 or fd00::/8"
        ) from None
    one = text.partition("/")[0]
    if ipaddress.ip_address(one) != whole[0]:
        raise ValueError(
            f"{text!r} is an address within a network: write {whole} for all of that network, "
            f"or {one} for that address alone"
        )
