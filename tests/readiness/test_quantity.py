"""Kubernetes quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest
from kubernetes.utils import quantity

from rbacguard.readiness.quantity import format_bytes, parse_quantity

VALID = ["4Gi", "500m", "1e9", "2", 2, 1.5, "1.5Gi", "100n", "3E", "3Ei", "1E3", "1e-3", ".5", "5."]
INVALID = ["", "x", "1K", "1 Gi", "0x10", "1e", "1e5Ki", True, None, [], {}, "9" * 50, "-", "Ki"]


@pytest.mark.parametrize("text", [*VALID, "+1", "-2k", "12u", "1Pi", "1P", "1T", "1Ti", "1M"])
def test_a_quantity_is_parsed_as_by_the_kubernetes_client(text: object) -> None:
    assert parse_quantity(text) == quantity.parse_quantity(text)


@pytest.mark.parametrize(("text", "sign"), [("1e999", 1), ("10E", 1), ("-9e99", -1)])
def test_a_quantity_is_capped_at_64_bits(text: str, sign: int) -> None:
    assert parse_quantity(text) == sign * (2**63 - 1)


@pytest.mark.parametrize("text", INVALID)
def test_a_text_that_is_not_a_quantity_is_none(text: object) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("text", "found"), [("0" * 39 + "1", 1), ("0" * 40 + "1", None), ("1" * 40, 2**63 - 1)]
)
def test_a_quantity_has_at_most_40_characters(text: str, found: int | None) -> None:
    assert parse_quantity(text) == found


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (100, "100 B"),
        (2**10 - 1, "1023 B"),
        (2**10, "1 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 2**9, "1023.5 KiB"),
        (2**20, "1 MiB"),
        (-(2**20) * 3, "-3 MiB"),
        (2**30, "1 GiB"),
        (Decimal("1.25") * 2**30, "1.2 GiB"),
    ],
)
def test_bytes_have_the_largest_unit_that_fits(size: Decimal | int, text: str) -> None:
    assert format_bytes(size) == text
