"""Kubernetes quantities (apimachinery pkg/api/resource/quantity.go)."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([a-zA-Z]{0,2}))"
)
_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    **{unit: Decimal(10) ** -power for unit, power in {"n": 9, "u": 6, "m": 3}.items()},
    **{unit: Decimal(10) ** (3 * power) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(2) ** (10 * power) for power, unit in enumerate("KMGTPE", 1)},
}
_MAX_LENGTH = 40
_MAX_VALUE = Decimal(2**63 - 1)
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def parse_quantity(value: object) -> Decimal | None:
    """Return a quantity as a number: bytes of memory, cores of CPU, or a count.

    A larger number than an int64 is capped (the comment on Quantity in quantity.go).

    Args:
        value: the value of a field, such as `4Gi`, `500m`, `1e9`, or `2`.

    Returns:
        None if the value is not a quantity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None or (match[3] or "") not in _SUFFIXES:
        return None
    number = Decimal(match[1] + (match[2] or "")) * _SUFFIXES[match[3] or ""]
    return max(min(number, _MAX_VALUE), -_MAX_VALUE)


def format_bytes(size: Decimal | int) -> str:
    """Return a number of bytes with a unit: `4.5 GiB`, `512 MiB`."""
    number = Decimal(size)
    for factor, unit in _UNITS:
        if abs(number) >= factor:
            return f"{number / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{number.normalize():f} B"
