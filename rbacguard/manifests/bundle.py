"""From approvals to files: what is applied when, and the text of the pull request."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import count
from typing import Any

from msgspec import Struct

from rbacguard.approvals.model import MigrationAccess
from rbacguard.approvals.resolve import Decisions
from rbacguard.errors import OutputError
from rbacguard.kubevirt.access import changed_namespaces
from rbacguard.kubevirt.migrate_bindings import GENERATED_BY, RequiredBinding, bindings_for
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, Release
from rbacguard.manifests.contents import (
    AFTER,
    BEFORE,
    CLEAN_UP,
    ROLLBACK,
    STEPS,
    Contents,
    Delivery,
    Layout,
    Part,
)
from rbacguard.manifests.guard import NAMESPACE as GUARD_NAMESPACE
from rbacguard.manifests.guard import guard
from rbacguard.manifests.layout import lay_out
from rbacguard.manifests.render import (
    Prepared,
    approvals_value,
    manifest,
    render,
    render_approvals,
    render_manifest,
)
from rbacguard.queries.preflight import Denial, check_apply
from rbacguard.rbac import ClusterRole, ObjectMeta, Subject
from rbacguard.rbac.access import Change
from rbacguard.rbac.identity import User, identify, service_account_of
from rbacguard.rbac.types import RBAC_GROUP, AnyBinding
from rbacguard.snapshot import Snapshot
from rbacguard.update.plan import Plan
from rbacguard.update.propose import propose_approvals
from rbacguard.update.simulate import apply_update
from rbacguard.update.strategies import Strategy
from rbacguard.update.temporary_role import (
    aggregated_into,
    aggregation_labels,
    temporary_role,
    temporary_roles,
)
from rbacguard.validation import problems

TRY = "try"
LABELS = {
    "app.kubernetes.io/name": "rbacguard",
    "app.kubernetes.io/part-of": "live-migration-access",
}
APPROVALS_DIGEST = "rbacguard.io/approvals-sha256"
"""Annotation: which decisions an object follows from."""
_PROBE = "rbacguard-probe"
_SCOPES = frozenset({"namespaces", "namespaceSelector", "clusterWide"})
_TRACKED = {
    "Argo CD": ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"),
    "Flux": ("kustomize.toolkit.fluxcd.io/name",),
}
"""Labels and annotations by which controllers know what is theirs."""


class GenerateStrategy(StrEnum):
    """What `generate` writes."""

    PREBIND = "prebind"
    TEMPORARY_ROLE = "temporary-role"


class Request(Struct, frozen=True):
    """What is to be generated.

    Attributes:
        strategy: bindings in advance, or a temporary role and bindings afterwards.
        temporary_role: `admin`, `edit` or `none`: the widest tier that is kept for a while.
        restore_default: the tiers that get the old default back; empty for none.
        access: the approvals; None proposes some, with nothing approved.
        expires: the last day of a temporary role.
        force: write a temporary role although it would grant, not preserve.
        today: the day on which approvals count.
        version: the tool's version, for annotations.
        applier: the user name that applies, to tell what it lacks; '' asks nothing.
        guard: write admission policies for after the clean-up.
        managers: user names that alone may hand migration out, under the guard.
        guard_namespace: where the approvals stand that the guard looks at.
        delivery: how the files are laid out.
        approvals: what the approvals file is called; not where it stands, which no file tells.
    """

    strategy: GenerateStrategy
    temporary_role: str
    restore_default: tuple[str, ...]
    access: MigrationAccess | None
    expires: datetime.date | None
    force: bool
    today: datetime.date
    version: str
    applier: str = ""
    guard: bool = False
    managers: tuple[str, ...] = ()
    guard_namespace: str = GUARD_NAMESPACE
    delivery: Delivery = Delivery()
    approvals: str = "approvals.yaml"


class Bundle(Struct, frozen=True):
    """What was generated.

    Attributes:
        files: text by name, relative to the output folder.
        objects: the manifests that a cluster is to get, in order.
        reached: who gets migration by the temporary role or the restored default, and where.
        unapproved: whether this is a proposal, with nothing approved.
        applier: who is to apply it, where that was asked.
        denials: the reasons why the API server would deny objects to the applier.
    """

    files: Mapping[str, str]
    objects: tuple[Mapping[str, Any], ...]
    reached: Mapping[Subject, tuple[str, ...]]
    unapproved: bool
    applier: User | None = None
    denials: tuple[Denial, ...] = ()


class _Digests:
    """The SHA-256 of the decisions behind a binding, in hexadecimal.

    Only of those, and without their other namespaces: a change of one decision changes the objects
    that follow from it, and no others.
    """

    def __init__(self, access: MigrationAccess) -> None:
        self._behind: dict[RequiredBinding, list[str]] = {}
        values = approvals_value(access)["approvals"]
        for entry, value in zip(access.approvals, values, strict=True):
            if not entry.approved:
                continue
            kept = {key: item for key, item in value.items() if key not in _SCOPES}
            text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
            for need in entry.pairs:
                self._behind.setdefault(need, []).append(text)

    def of(self, binding: AnyBinding) -> str:
        behind = [
            text
            for subject in binding.subjects
            for text in self._behind.get(RequiredBinding(binding.ref.namespace, subject), ())
        ]
        return hashlib.sha256("\n".join(behind).encode()).hexdigest()


def step_of(snapshot: Snapshot, plan: Plan) -> str:
    """Return the step that a cluster is at, for the kustomization that names it."""
    if not plan.now.restricted:
        return BEFORE
    return AFTER if temporary_roles(snapshot) else CLEAN_UP


def delivery_warnings(snapshot: Snapshot, applier: str) -> tuple[str, ...]:
    """Return what may go otherwise than the files say.

    Args:
        snapshot: the cluster.
        applier: the user name that applies, or ''.
    """
    found = []
    for temporary in temporary_roles(snapshot):
        metadata = temporary.role.metadata
        known = {**metadata.labels, **metadata.annotations}
        found += [
            f"ClusterRole {temporary.name} is managed by {tool}: deleted by hand it comes back; "
            "delete it in Git, with pruning on"
            for tool, keys in _TRACKED.items()
            if not known.keys().isdisjoint(keys)
        ]
    if applier and service_account_of(applier) is None:
        found.append(
            f"{applier}: groups of an identity provider are not in the cluster, so what they allow "
            "is not counted"
        )
    return tuple(found)


def make_bundle(snapshot: Snapshot, plan: Plan, request: Request) -> Bundle:
    """Generate everything, validated against the target's Kubernetes version.

    Raises:
        OutputError: it would grant where it should preserve, or a manifest would be refused.
    """
    _refuse(plan, request, snapshot)
    roles = _temporary_roles(request)
    access = request.access.resolved(snapshot) if request.access else None
    decisions = Decisions(access, request.today) if access else None
    if decisions and decisions.contradictions:
        first = decisions.contradictions[0]
        raise OutputError(
            f"approvals: {first.subject} is approved cluster-wide and refused in namespace "
            f"{first.namespace}; a ClusterRoleBinding includes every namespace, so approve single "
            "namespaces instead"
        )
    approved = decisions.required if decisions else ()
    bindings = bindings_for(approved, snapshot)
    restored = _restored(request)
    reached = _reached(snapshot, plan, roles, request.restore_default)
    prebind = request.strategy is GenerateStrategy.PREBIND and not plan.now.restricted
    annotations = {GENERATED_BY: f"rbacguard {request.version}"}
    header = f"# Generated by rbacguard {request.version}; see README.md."
    digests = _Digests(access) if access else None
    parts = {
        Part.TEMPORARY_ROLE: [manifest(role, LABELS, annotations) for role in roles],
        Part.BINDINGS: [_binding(each, digests, annotations) for each in bindings],
        # On the operator's own role nothing but the aggregation labels is ours.
        Part.DEFAULT: [manifest(role, {}, {}) for role in restored],
        Part.GUARD: _guard(request, approved),
    }
    objects = [found for part in parts.values() for found in part]
    for found in objects:
        _check(found, plan.target)
    contents = Contents({part: tuple(found) for part, found in parts.items()}, prebind, header)
    files = lay_out(contents, request.delivery)
    steps: list[_Step] = [
        *((BEFORE, role) for role in roles),
        *((BEFORE if prebind else AFTER, binding) for binding in bindings),
        *((AFTER, role) for role in restored),
    ]
    applier = None
    if request.applier:
        applier = identify(request.applier, members=snapshot.groups)
    denials = _denials(snapshot, plan, steps, applier) if applier else ()
    if approved:
        files[f"{TRY}/subject-access-reviews.yaml"] = _reviews(approved, request, plan.target)
    if access is None:
        files["approvals.yaml"] = render_approvals(propose_approvals(snapshot, plan))
    files["README.md"] = _summary(
        plan, request, files, steps, objects, decisions, reached, applier, denials
    )
    return Bundle(
        dict(sorted(files.items())), tuple(objects), reached, access is None, applier, denials
    )


_Step = tuple[str, ClusterRole | AnyBinding]


def _binding(
    value: AnyBinding, digests: _Digests | None, annotations: Mapping[str, str]
) -> dict[str, Any]:
    noted = {APPROVALS_DIGEST: digests.of(value)} if digests else {}
    return manifest(value, LABELS, {**annotations, **noted})


def _denials(
    snapshot: Snapshot, plan: Plan, steps: Iterable[_Step], applier: User
) -> tuple[Denial, ...]:
    """Return the denials of each step. Steps after the update are checked in the updated state."""
    before = [value for step, value in steps if step == BEFORE]
    later = [value for step, value in steps if step != BEFORE]
    updated = apply_update(snapshot.replace(before), plan.now, plan.target)
    return (
        *check_apply(snapshot, before, applier),
        *check_apply(updated, later, applier),
    )


def _guard(request: Request, approved: Iterable[RequiredBinding]) -> list[dict[str, Any]]:
    if not request.guard:
        return []
    made = guard(
        approved,
        request.managers,
        until=request.expires,
        namespace=request.guard_namespace,
    )
    annotations = {GENERATED_BY: f"rbacguard {request.version}"}
    for found in made:
        found["metadata"] |= {"labels": dict(LABELS), "annotations": dict(annotations)}
    return made


def _refuse(plan: Plan, request: Request, snapshot: Snapshot) -> None:
    wants_role = request.temporary_role != "none"
    if wants_role and plan.now.restricted and not request.force:
        raise OutputError(
            "the cluster is at 4.19 or later already: a temporary role would not preserve "
            "migration, it would grant it to every namespace administrator; bind "
            f"{MIGRATE} to those who are approved, or give --force"
        )
    if request.restore_default and MIGRATE not in snapshot.cluster_roles:
        raise OutputError(
            f"--restore-default: ClusterRole {MIGRATE} does not exist yet, and making it would "
            "stop the update; restore the default after the update to 4.19 or later"
        )


def _temporary_roles(request: Request) -> tuple[ClusterRole, ...]:
    expires = request.expires.isoformat() if request.expires else ""
    tiers = {"none": (), "admin": ("admin",), "edit": ("admin", "edit")}[request.temporary_role]
    return tuple(temporary_role(tier, expires=expires) for tier in tiers)


def _restored(request: Request) -> tuple[ClusterRole, ...]:
    if not request.restore_default:
        return ()
    labels = aggregation_labels(request.restore_default)
    return (ClusterRole(ObjectMeta(name=MIGRATE, labels=labels)),)


def _reached(
    snapshot: Snapshot, plan: Plan, roles: Iterable[ClusterRole], restored: tuple[str, ...]
) -> dict[Subject, tuple[str, ...]]:
    """Return everybody whom a temporary role or the restored default gives migration."""
    after = apply_update(snapshot.replace(roles), plan.now, plan.target)
    names = [role.metadata.name for role in roles]
    targets = {target for name in names for target in aggregated_into(after, name)}
    for tier in restored:
        targets |= {tier, *aggregated_into(after, tier)}
    found: dict[Subject, dict[str, None]] = {}
    for binding in after.bindings:
        if binding.role_ref.kind == "ClusterRole" and binding.role_ref.name in targets:
            for subject in binding.subjects:
                found.setdefault(subject, {})[binding.ref.namespace] = None
    return {subject: tuple(sorted(scopes)) for subject, scopes in sorted(found.items())}


def _check(found: Mapping[str, Any], target: Release) -> None:
    wrong = problems(found, target.kubernetes_version)
    if wrong:
        metadata = found.get("metadata", {})
        place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}".lstrip("/")
        raise OutputError(f"{found['kind']} {place} would be refused: {wrong[0]}")


def _reviews(approved: Iterable[RequiredBinding], request: Request, target: Release) -> str:
    """Return SubjectAccessReviews: `can-i` mis-answers resources of subresources.kubevirt.io."""
    parts = []
    for need in approved:
        for action in live_migration().of(Directness.DIRECT):
            attributes = {
                "group": action.api_group,
                "resource": action.resource,
                "verb": action.verb,
            }
            if action.subresource:
                attributes["subresource"] = action.subresource
            if need.namespace:
                attributes["namespace"] = need.namespace
            spec: dict[str, Any] = {"resourceAttributes": attributes, **_identity(need.subject)}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": spec,
            }
            _check(review, target)
            header = f"# Generated by rbacguard {request.version}; see README.md."
            parts.append(render_manifest(header, review))
    return "---\n".join(parts)


def _identity(subject: Subject) -> dict[str, Any]:
    match subject.kind:
        case "User":
            return {"user": subject.name}
        case "Group":
            return {"user": _PROBE, "groups": [subject.name]}
        case _:
            return {"user": f"system:serviceaccount:{subject.namespace}:{subject.name}"}


def _summary(
    plan: Plan,
    request: Request,
    files: Collection[str],
    steps: Sequence[_Step],
    objects: Sequence[Mapping[str, Any]],
    decisions: Decisions | None,
    reached: Mapping[Subject, tuple[str, ...]],
    applier: User | None,
    denials: tuple[Denial, ...],
) -> str:
    lost = changed_namespaces(plan.changes, Change.LOST)
    approved = decisions.required if decisions else ()
    still_lost = {
        subject: [
            scope
            for scope in scopes
            if not (decisions and decisions.decide(subject, scope).requires_binding)
        ]
        for subject, scopes in lost.items()
    }
    numbers = count(1)
    return render(
        "summary.md.j2",
        # Which steps there are depends on the plan.
        number=lambda: Prepared(str(next(numbers))),
        version=Prepared(request.version),
        digest=Prepared(_input_digest(plan, request)),
        source=plan.now.label,
        target=str(plan.target),
        restricted=bool(plan.now.restricted),
        crossing=plan.target >= FIRST_RESTRICTED and not plan.now.restricted,
        unapproved=request.access is None,
        approved=[(str(need.subject), need.namespace) for need in approved],
        lost=[(str(s), list(scopes)) for s, scopes in still_lost.items() if scopes],
        reached=[(str(subject), list(scopes)) for subject, scopes in reached.items()],
        layout=request.delivery.layout.value,
        step=request.delivery.step,
        before=[each for step, each in steps if step == BEFORE],
        after=[each for step, each in steps if step == AFTER],
        temporary=[o["metadata"]["name"] for o in objects if _is_temporary(o)],
        expires=request.expires.isoformat() if request.expires else "",
        handing_on=sorted(reached.keys() & _handing_on(plan, request).keys()),
        restore=list(aggregation_labels(request.restore_default)),
        reviews=bool(approved),
        gaps=list(plan.gaps),
        warnings=list(plan.warnings),
        applier=str(applier) if applier else "",
        hindered=[(str(each.object), each.message) for each in denials],
        undo={step: _undo(step, files, request) for step in STEPS},
        guard=[o for o in objects if not o["apiVersion"].startswith(RBAC_GROUP)],
        managers=list(request.managers),
        approvals=request.approvals,
    )


def _handing_on(plan: Plan, request: Request) -> Mapping[Subject, tuple[str, ...]]:
    """Return who can hand the permission on while the temporary role exists."""
    tiers = request.temporary_role == "edit"
    strategy = Strategy.TEMPORARY_ROLES if tiers else Strategy.TEMPORARY_ROLE
    return next(each for each in plan.outcomes if each.strategy is strategy).effect.delegation


def _input_digest(plan: Plan, request: Request) -> str:
    """Return a SHA-256, in hexadecimal, of what the bundle follows from.

    Of the access that changes, the decisions and the releases, not of the whole cluster: what has
    no part in it changes no byte.
    """
    digest = hashlib.sha256()
    access = approvals_value(request.access) if request.access else None
    parts = [
        plan.now.label,
        str(plan.target),
        json.dumps(access, sort_keys=True),
        *(
            f"{each.subject} {each.change} {' '.join(map(str, each.actions))} {scope}"
            for each in plan.changes
            for scope in each.namespaces
        ),
    ]
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _undo(step: str, files: Collection[str], request: Request) -> str:
    """Return what takes a step back: commands for people, a folder for what reads Git."""
    folder = f"{ROLLBACK}/{step}"
    if request.delivery.layout is not Layout.PLAIN:
        return folder
    # Only by the manager that set the label is it taken off again, and only one of its own leaves
    # alone what kubectl may have set.
    how = "--server-side --field-manager=rbacguard " if request.restore_default else ""
    commands = {"delete.yaml": "oc delete -f ", "apply.yaml": f"oc apply {how}-f "}
    return " && ".join(
        f"{command}{folder}/{name}"
        for name, command in commands.items()
        if f"{folder}/{name}" in files
    )


def _is_temporary(found: Mapping[str, Any]) -> bool:
    return bool(found["kind"] == "ClusterRole" and found["metadata"]["name"] != MIGRATE)
