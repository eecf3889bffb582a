"""Required pod affinity and anti-affinity, as kube-scheduler evaluates them.

kubernetes v1.36 pkg/scheduler/framework/plugins/interpodaffinity/filtering.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import msgspec

from rbacguard.rbac.selectors import selector_matches
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.workloads import Pod, PodAffinityTerm

Domains: TypeAlias = set[tuple[str, str]]
"""Topology domains: labels of nodes with their values."""
Locations: TypeAlias = Mapping[int, Sequence[str]]
"""By `id` of a pod, its nodes: two during a migration."""


class AffinityState(NamedTuple):
    """The topology domains that decide where a pod can run.

    Attributes:
        anti_affinity: domains with a pod that the anti-affinity of this pod selects.
        existing_anti_affinity: domains with a pod whose anti-affinity selects this pod.
        affinity: domains with a pod that the affinity of this pod selects.
        topology_keys: the topology keys of the affinity, which a node must have as labels.
        is_first: whether no pod matches the affinity, and this pod matches it itself. Then the
            affinity allows any domain.
    """

    anti_affinity: Domains
    existing_anti_affinity: Domains
    affinity: Domains
    topology_keys: tuple[str, ...]
    is_first: bool

    def violation(self, labels: Mapping[str, str]) -> str:
        """Return the rule that a node with these labels violates, '' if it violates none."""
        for domains, rule in (
            (self.anti_affinity, "node(s) didn't match pod anti-affinity rules"),
            (
                self.existing_anti_affinity,
                "node(s) didn't satisfy existing pods anti-affinity rules",
            ),
        ):
            for key, _ in sorted(domains & labels.items()):
                return f"{rule} ({key})"
        for key in self.topology_keys:
            if key not in labels or not (self.is_first or (key, labels[key]) in self.affinity):
                return f"node(s) didn't match pod affinity rules ({key})"
        return ""


class PodAffinities:
    """The pods that each affinity term selects.

    Pods move during a simulation, but the selected pods stay the same. They are found once for each
    distinct term.
    """

    def __init__(self, inventory: Inventory) -> None:
        """Use the pods and namespaces of an inventory."""
        self._inventory = inventory
        self._selected_by_term: dict[tuple[bytes, str], tuple[Pod, ...]] = {}

    def state(
        self, pod: Pod, locations: Locations, labels: Mapping[str, Mapping[str, str]]
    ) -> AffinityState:
        """Return the topology domains that decide where a pod can run.

        Args:
            pod: the pod.
            locations: the nodes of each pod.
            labels: the labels of each node.
        """

        def domains(pods: Iterable[Pod], terms: Sequence[PodAffinityTerm]) -> Domains:
            return {
                (term.topology_key, labels[node][term.topology_key])
                for each in pods
                for node in locations.get(id(each), ())
                for term in terms
                if term.topology_key in labels[node]
            }

        affinity = pod.spec.affinity
        terms = affinity.pod_affinity.required
        found = domains(self._selected_by_all(terms, pod), terms)
        return AffinityState(
            anti_affinity={
                domain
                for term in affinity.pod_anti_affinity.required
                for domain in domains(self._selected(term, pod), (term,))
            },
            existing_anti_affinity={
                domain
                for term, owners in self._existing_anti_affinity.get(id(pod), ())
                for domain in domains(owners, (term,))
            },
            affinity=found,
            topology_keys=tuple(term.topology_key for term in terms),
            is_first=not found and all(self._selects(term, pod, pod) for term in terms),
        )

    @cached_property
    def _pods_by_label(self) -> Mapping[tuple[str, str], Sequence[Pod]]:
        found: dict[tuple[str, str], list[Pod]] = {}
        for pod in self._inventory.pods:
            for label in pod.metadata.labels.items():
                found.setdefault(label, []).append(pod)
        return found

    @cached_property
    def _existing_anti_affinity(
        self,
    ) -> Mapping[int, Sequence[tuple[PodAffinityTerm, Sequence[Pod]]]]:
        """By `id` of a pod, the anti-affinity terms that select it, each with its owners."""
        owners: dict[tuple[bytes, str], list[Pod]] = {}
        found: dict[int, list[tuple[PodAffinityTerm, Sequence[Pod]]]] = {}
        for owner in self._inventory.pods:
            for term in owner.spec.affinity.pod_anti_affinity.required:
                key = _key(term, owner)
                if key not in owners:
                    owners[key] = []
                    for pod in self._selected(term, owner):
                        found.setdefault(id(pod), []).append((term, owners[key]))
                owners[key].append(owner)
        return found

    def _selected(self, term: PodAffinityTerm, owner: Pod) -> tuple[Pod, ...]:
        """Return the pods that a term of a pod selects."""
        key = _key(term, owner)
        if key not in self._selected_by_term:
            # The pods of the rarest label are the candidates. If each VM has a term of its own,
            # comparing all pairs of pods takes minutes.
            labels = term.label_selector.match_labels if term.label_selector else {}
            by_label = (self._pods_by_label.get(label, ()) for label in labels.items())
            candidates = min([*by_label, self._inventory.pods], key=len)
            self._selected_by_term[key] = tuple(
                pod for pod in candidates if self._selects(term, owner, pod)
            )
        return self._selected_by_term[key]

    def _selected_by_all(self, terms: Sequence[PodAffinityTerm], owner: Pod) -> Iterator[Pod]:
        for pod in self._selected(terms[0], owner) if terms else ():
            if all(self._selects(term, owner, pod) for term in terms[1:]):
                yield pod

    def _selects(self, term: PodAffinityTerm, owner: Pod, pod: Pod) -> bool:
        namespace = pod.metadata.namespace
        is_selected = namespace in term.namespaces
        if term.namespace_selector is not None:
            labels = self._inventory.namespace_labels.get(namespace, {})
            is_selected = is_selected or selector_matches(term.namespace_selector, labels)
        elif not term.namespaces:
            is_selected = namespace == owner.metadata.namespace
        selector = term.label_selector
        # A term without a label selector selects nothing (apimachinery meta/v1/helpers.go,
        # LabelSelectorAsSelector).
        return (
            is_selected and selector is not None and selector_matches(selector, pod.metadata.labels)
        )


def _key(term: PodAffinityTerm, owner: Pod) -> tuple[bytes, str]:
    return msgspec.json.encode(term), owner.metadata.namespace
