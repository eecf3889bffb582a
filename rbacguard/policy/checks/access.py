"""Subjects that have a permission, and how they have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rbacguard.kubevirt.access import ActionAccess, list_access
from rbacguard.kubevirt.permissions import Directness, permissions
from rbacguard.kubevirt.subjects import is_broad, is_platform, well_known_label
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import (
    AccessFact,
    FactClass,
    chain_text,
    evidence_objects,
    role_map,
    subject_map,
)
from rbacguard.rbac import Subject


class AccessCheck(Check, frozen=True, tag="access"):
    """Yields each subject with actions of a permission, once for each scope."""

    permission: str = "live-migration"

    FACT: ClassVar[FactClass] = AccessFact

    def __post_init__(self) -> None:
        """Raise ValueError if the permission does not exist."""
        if self.permission not in permissions():
            raise ValueError(
                f"permission: unknown permission (expected one of {', '.join(permissions())})"
            )

    def run(self, context: Context) -> Iterator[AccessFact]:
        """Yield one fact for each subject and scope, with all grants."""
        current: Subject | None = None
        of_subject: dict[str, Any] = {}
        cluster_wide = frozenset[str]()
        for each in list_access(context.snapshot, permissions()[self.permission].granting):
            direct = (a for a in each.actions if a.directness is Directness.DIRECT)
            starting = frozenset(action.short for action in direct)
            if each.subject != current:
                # Cluster-wide access precedes access in namespaces.
                current = each.subject
                of_subject = _subject_fields(current)
                cluster_wide = frozenset() if each.namespace else starting
            starting |= cluster_wide
            yield AccessFact(
                **of_subject,
                **_access_fields(each),
                console_only=starting == {"create VMIM"},
                virtctl_only=starting == {"update virtualmachines/migrate"},
                scope=each.namespace,
                grants=each.grants,
                objects=evidence_objects(each.grants),
            )


def _subject_fields(subject: Subject) -> dict[str, Any]:
    """Return the fields that depend only on the subject."""
    return {
        "group_key": str(subject),
        "subject": subject_map(subject),
        "broad": is_broad(subject),
        "platform": is_platform(subject),
        "well_known": well_known_label(subject),
    }


def _access_fields(access: ActionAccess) -> dict[str, Any]:
    """Return the fields that depend on the actions and the rules that allow them."""
    rules = {grant.rule for grant in access.grants}
    return {
        "actions": [action.short for action in access.actions],
        "directness": sorted({action.directness.value for action in access.actions}),
        "bound_role": role_map(access.grants[0].role),
        "chain": chain_text(access.grants),
        "wildcard": any(
            "*" in (*rule.verbs, *rule.resources, *rule.api_groups)
            or any(resource.startswith("*/") for resource in rule.resources)
            for rule in rules
        ),
        "cluster_admin": any(
            "*" in rule.verbs and "*" in rule.resources and "*" in rule.api_groups for rule in rules
        ),
    }
