"""Beside which pods a pod must, or must not, run: as the scheduler looks at it.

kubernetes v1.36 pkg/scheduler/framework/plugins/interpodaffinity/filtering.go. Who selects whom
never changes and is worked out once for each distinct term; only where pods are does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import msgspec

from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.workloads import LabelRequirement, Pod, PodAffinityTerm, Selector

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
Pairs: TypeAlias = set[tuple[str, str]]
"""Labels of nodes, with their values."""
Places: TypeAlias = Mapping[int, tuple[str, ...]]
"""By `id` of a pod, the nodes where it is: two while it migrates."""


class Neighbours(NamedTuple):
    """Nodes near pods that matter to one that looks for a place, by label and value.

    Attributes:
        shunned: near pods that it must not run beside.
        shunning: near pods that want no such one beside them.
        sought: near pods that it must run beside.
        keys: labels of nodes by which `sought` is told, all of which a node must have.
        first: whether it need not be near any, there being none.
    """

    shunned: Pairs
    shunning: Pairs
    sought: Pairs
    keys: tuple[str, ...]
    first: bool

    def keep_off(self, labels: Mapping[str, str]) -> str:
        """Return which pods keep it off a node with these labels, or are missing there."""
        for pairs, reason in (
            (self.shunned, "has a pod that it must not run beside"),
            (self.shunning, "has a pod that wants no such one beside it"),
        ):
            for key, _ in sorted(pairs & labels.items()):
                return f"{reason} ({key})"
        for key in self.keys:
            if key not in labels or not (self.first or (key, labels[key]) in self.sought):
                return f"lacks the pods that it must run beside ({key})"
        return ""


class Affinities:
    """Which pods select which, of all that were read."""

    def __init__(self, inventory: Inventory) -> None:
        """Hold what was read; nothing is worked out yet."""
        self._inventory = inventory
        self._found: dict[tuple[bytes, str], tuple[Pod, ...]] = {}

    def neighbours(
        self, pod: Pod, at: Places, labels: Mapping[str, Mapping[str, str]]
    ) -> Neighbours:
        """Return where those stand that a pod seeks, shuns or is shunned by.

        Args:
            pod: which pod.
            at: where pods are.
            labels: the labels of nodes, by name.
        """
        anti, terms = _required(pod, anti=True), _required(pod, anti=False)

        def near(
            pods: Iterable[Pod], terms: Sequence[PodAffinityTerm]
        ) -> Iterator[tuple[str, str]]:
            for each in pods:
                for node in at.get(id(each), ()):
                    yield from _values(terms, labels[node])

        shunned = {pair for term in anti for pair in near(self._selected(term, pod), (term,))}
        shunning = {
            pair
            for term, owners in self._shunning.get(id(pod), ())
            for pair in near(owners, (term,))
        }
        # One that counts is one whom all terms select.
        sought = set(near(self._selected_by_all(terms, pod), terms))
        # The first of its kind may go anywhere.
        first = not sought and all(self._selects(term, pod, pod) for term in terms)
        keys = tuple(term.topology_key for term in terms)
        return Neighbours(shunned, shunning, sought, keys, first)

    @cached_property
    def _labelled(self) -> Mapping[tuple[str, str], Sequence[Pod]]:
        found: dict[tuple[str, str], list[Pod]] = {}
        for pod in self._inventory.pods:
            for label in (pod.metadata.labels or {}).items():
                found.setdefault(label, []).append(pod)
        return found

    @cached_property
    def _shunning(self) -> Mapping[int, Sequence[tuple[PodAffinityTerm, Sequence[Pod]]]]:
        """By `id` of a pod, the terms by which others shun it, each with those others."""
        owners: dict[tuple[bytes, str], list[Pod]] = {}
        found: dict[int, list[tuple[PodAffinityTerm, Sequence[Pod]]]] = {}
        for owner in self._inventory.pods:
            for term in _required(owner, anti=True):
                key = _key(term, owner)
                if key not in owners:
                    owners[key] = []
                    for each in self._selected(term, owner):
                        found.setdefault(id(each), []).append((term, owners[key]))
                owners[key].append(owner)
        return found

    def _selected(self, term: PodAffinityTerm, own: Pod) -> tuple[Pod, ...]:
        key = _key(term, own)
        if key not in self._found:
            exact = (term.label_selector.match_labels if term.label_selector else None) or {}
            narrowed = [self._labelled.get(label, ()) for label in exact.items()]
            candidates = min([*narrowed, self._inventory.pods], key=len)
            self._found[key] = tuple(p for p in candidates if self._selects(term, own, p))
        return self._found[key]

    def _selected_by_all(self, terms: Sequence[PodAffinityTerm], own: Pod) -> Iterator[Pod]:
        for each in self._selected(terms[0], own) if terms else ():
            if all(self._selects(term, own, each) for term in terms[1:]):
                yield each

    def _selects(self, term: PodAffinityTerm, own: Pod, other: Pod) -> bool:
        namespace = other.metadata.namespace
        named = namespace in (term.namespaces or ())
        if term.namespace_selector is not None:
            known = self._inventory.namespaces.get(namespace)
            labels = (known.metadata.labels if known else None) or {}
            named = named or _matches(term.namespace_selector, labels)
        elif not term.namespaces:
            named = namespace == own.metadata.namespace
        # Without a selector it selects nothing (kubernetes component-helpers, nil selector).
        selector = term.label_selector
        return named and selector is not None and _matches(selector, other.metadata.labels or {})


def _key(term: PodAffinityTerm, own: Pod) -> tuple[bytes, str]:
    return msgspec.json.encode(term), own.metadata.namespace


def _required(pod: Pod, *, anti: bool) -> tuple[PodAffinityTerm, ...]:
    affinity = pod.spec.affinity
    if affinity is None:
        return ()
    found = affinity.pod_anti_affinity if anti else affinity.pod_affinity
    return (found.required if found else None) or ()


def _values(
    terms: Iterable[PodAffinityTerm], labels: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the labels of a node by which terms tell what is near it."""
    for term in terms:
        if term.topology_key in labels:
            yield term.topology_key, labels[term.topology_key]


def holds(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    """Whether one requirement holds; an operator that is not known never does."""
    value, values = labels.get(requirement.key), requirement.values or ()
    match requirement.operator:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(value, values, requirement.operator)
        case _:
            return False


def _compares(value: str | None, values: Sequence[str], operator: str) -> bool:
    if value is None or len(values) != 1:
        return False
    if not _NUMBER.fullmatch(value) or not _NUMBER.fullmatch(values[0]):
        return False
    left, right = int(value), int(values[0])
    return left > right if operator == "Gt" else left < right


def _matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    exact = (selector.match_labels or {}).items() <= labels.items()
    return exact and all(holds(each, labels) for each in selector.match_expressions or ())
