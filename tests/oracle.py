"""Kubernetes' RBAC once more, slow and obvious, with nothing of the production code.

Objects are plain values as in a dump. What is asked is the API server's own question: verb, API
group, resource, subresource, name, namespace, user and groups. Written from the documentation
(Kubernetes, Using RBAC Authorization; Labels and Selectors), not from the package.
"""

from __future__ import annotations

from typing import Any

Objects = list[dict[str, Any]]


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if key not in labels or labels[key] != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, operator = expression["key"], expression["operator"]
        values = expression.get("values") or []
        if operator == "In" and not (key in labels and labels[key] in values):
            return False
        if operator == "NotIn" and key in labels and labels[key] in values:
            return False
        if operator == "Exists" and key not in labels:
            return False
        if operator == "DoesNotExist" and key in labels:
            return False
    return True


def selected(objects: Objects, name: str) -> list[str]:
    """Return the ClusterRoles that an aggregated ClusterRole selects; itself it never does."""
    (own,) = [o for o in objects if o["kind"] == "ClusterRole" and o["metadata"]["name"] == name]
    found = []
    for other in objects:
        if other["kind"] != "ClusterRole" or other is own:
            continue
        labels = other["metadata"].get("labels") or {}
        for selector in own["aggregationRule"]["clusterRoleSelectors"]:
            if _selects(selector, labels):
                found.append(other["metadata"]["name"])
                break
    return found


def is_circular(objects: Objects) -> bool:
    """Say whether aggregated roles select each other, in which case history decides."""
    aggregated = {
        o["metadata"]["name"]
        for o in objects
        if o["kind"] == "ClusterRole" and o.get("aggregationRule")
    }

    def walk(name: str, seen: tuple[str, ...]) -> bool:
        if name in seen:
            return True
        if name not in aggregated:
            return False
        return any(walk(other, (*seen, name)) for other in selected(objects, name))

    return any(walk(name, ()) for name in aggregated)


def rules_of(objects: Objects, name: str) -> list[dict[str, Any]]:
    """Return what a ClusterRole grants once the controller has settled; no circles, please."""
    for each in objects:
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == name:
            if not each.get("aggregationRule"):
                return list(each["rules"] or [])
            return [r for other in selected(objects, name) for r in rules_of(objects, other)]
    return []


def _is_named(subject: dict[str, str], binding: dict[str, Any], asked: dict[str, Any]) -> bool:
    if subject["kind"] == "User":
        return bool(subject["name"] == asked["user"])
    if subject["kind"] == "Group":
        return subject["name"] in asked["groups"]
    namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
    if not namespace:
        return False
    return bool(asked["user"] == "system:serviceaccount:" + namespace + ":" + subject["name"])


def _allows(written: dict[str, Any], asked: dict[str, Any]) -> bool:
    verbs = written.get("verbs") or []
    groups = written.get("apiGroups") or []
    resources = written.get("resources") or []
    names = written.get("resourceNames") or []
    if "*" not in verbs and asked["verb"] not in verbs:
        return False
    if "*" not in groups and asked["api_group"] not in groups:
        return False
    if names and asked["name"] not in names:
        return False
    if "*" in resources:
        return True
    if not asked["subresource"]:
        return asked["resource"] in resources
    whole = asked["resource"] + "/" + asked["subresource"]
    return whole in resources or "*/" + asked["subresource"] in resources


def is_allowed(objects: Objects, asked: dict[str, Any]) -> bool:
    """Say whether a request is allowed."""
    for binding in objects:
        namespace = binding["metadata"].get("namespace", "")
        if binding["kind"] == "RoleBinding":
            if namespace != asked["namespace"]:
                continue
        elif binding["kind"] != "ClusterRoleBinding":
            continue
        if not any(_is_named(s, binding, asked) for s in binding.get("subjects") or []):
            continue
        ref = binding["roleRef"]
        if ref["kind"] == "ClusterRole":
            rules = rules_of(objects, ref["name"])
        else:
            rules = [
                rule
                for o in objects
                if o["kind"] == "Role"
                and o["metadata"]["name"] == ref["name"]
                and o["metadata"]["namespace"] == namespace
                for rule in o["rules"] or []
            ]
        if any(_allows(rule, asked) for rule in rules):
            return True
    return False
