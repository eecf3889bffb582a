"""Syntax of names and labels in Kubernetes objects."""

from __future__ import annotations

import re

_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
_LABEL_KEY = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
)


def is_label_key(key: str) -> bool:
    """Return whether a string is a valid label key.

    Source: kubernetes staging/src/k8s.io/apimachinery/pkg/util/validation, IsQualifiedName.
    """
    return _LABEL_KEY.match(key) is not None


def is_label_value(value: str) -> bool:
    """Return whether a string is a valid label value.

    Source: kubernetes staging/src/k8s.io/apimachinery/pkg/util/validation, IsValidLabelValue.
    """
    return _LABEL_VALUE.match(value) is not None


def is_path_segment(name: str) -> bool:
    """Return whether a string is a valid name of an RBAC object.

    Source: kubernetes staging/src/k8s.io/apimachinery/pkg/api/validation/path,
    IsValidPathSegmentName.
    """
    return bool(name) and name not in (".", "..") and "/" not in name and "%" not in name
