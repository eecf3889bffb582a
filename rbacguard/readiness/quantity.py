"""Quantities as Kubernetes writes them (apimachinery pkg/api/resource/quantity.go)."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([a-zA-Z]{0,2}))"
)
_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    **{unit: Decimal(10) ** -power for unit, power in {"n": 9, "u": 6, "m": 3}.items()},
    **{unit: Decimal(10) ** (3 * power) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(2) ** (10 * power) for power, unit in enumerate("KMGTPE", 1)},
}
_LONGEST = 40
_LARGEST = Decimal(2**63 - 1)
GIB = 2**30


def amount(value: object) -> Decimal | None:
    """Return a quantity as a number: bytes of memory, cores of CPU, or a count.

    Args:
        value: as it stands in an object: `4Gi`, `500m`, `1e9`, `2`; None for one that is missing.

    Returns:
        None for what is no quantity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    return _number(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _number(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or (match[3] or "") not in _SUFFIXES:
        return None
    number = Decimal(match[1] + (match[2] or "")) * _SUFFIXES[match[3] or ""]
    # 'Numbers larger […] will be capped' (the comment on Quantity).
    return max(min(number, _LARGEST), -_LARGEST)


def shown(size: Decimal | int) -> str:
    """Return bytes for people: `4.5 GiB`, `512 MiB`."""
    number = Decimal(size)
    for unit, name in ((GIB, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(number) >= unit:
            return f"{number / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{number.normalize():f} B"
