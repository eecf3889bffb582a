"""The generated admission policies admit the platform's own updates."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from conftest import AGGREGATE_ADMIN, account, binding, role, rule, user, write_dump
from fault_inputs import (
    APPROVED,
    MIGRATE,
    MIGRATE_RULES,
    TODAY,
    VMIM,
    Object,
    approvals,
    cluster,
    find,
    rbacguard,
    recorded,
)

RBAC = "rbac.authorization.k8s.io"

# Admission, as the API server evaluates it


@cache
def environment() -> cel.Env:
    """Return the variables and extensions of CEL in an admission policy."""
    names = ("object", "oldObject", "request", "params", "variables")
    return cel.NewEnv(
        variables=dict.fromkeys(names, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
    )


def matches(rules: list[Object], request: Object) -> bool:
    """Whether a request is among the resource rules of a policy."""
    wanted = {
        "apiGroups": RBAC,
        "apiVersions": "v1",
        "operations": request["operation"],
        "resources": request["resource"]["resource"],
    }
    return any(
        all({value, "*"} & set(each[field]) for field, value in wanted.items())
        and request["name"] in each.get("resourceNames", [request["name"]])
        for each in rules
    )


def admits(policy: Object, request: Object, params: Object | None) -> bool:
    """Return what a ValidatingAdmissionPolicy decides about a request.

    The order is that of the API server (kubernetes 1.36,
    apiserver/pkg/admission/plugin/policy/validating).
    """
    data = {
        "object": request["object"],
        "oldObject": request["oldObject"],
        "request": request,
        "params": params,
        "variables": {},
    }

    def evaluated(expression: str) -> object:
        found = environment().compile(expression).eval(data=data)
        if found.type() == cel.Type.ERROR:
            raise RuntimeError(f"{expression}: {found.value()}")
        return found.plain_value()

    spec = policy["spec"]
    constraints = spec["matchConstraints"]
    excluded = matches(constraints.get("excludeResourceRules", []), request)
    if excluded or not matches(constraints["resourceRules"], request):
        return True
    if not all(evaluated(each["expression"]) for each in spec.get("matchConditions", [])):
        return True
    for each in spec.get("variables", []):
        data["variables"] = {**data["variables"], each["name"]: evaluated(each["expression"])}
    return all(evaluated(each["expression"]) for each in spec["validations"])


def request(by: str, item: Object, before: Object | None = None) -> Object:
    """Return an admission request of a user to create an object, or to update it."""
    namespace = item["metadata"].get("namespace")
    return {
        "operation": "UPDATE" if before else "CREATE",
        "resource": {"group": RBAC, "version": "v1", "resource": f"{item['kind'].lower()}s"},
        "name": item["metadata"]["name"],
        "userInfo": {"username": by, "groups": ["system:authenticated"]},
        "object": item,
        "oldObject": before,
        **({"namespace": namespace} if namespace else {}),
    }


def admitted(folder: Path, items: list[Object], asked: Object) -> bool:
    """Return whether the policies that are generated for a cluster admit a request."""
    path = write_dump(folder / "cluster.json", items)
    done = rbacguard(
        folder,
        *("generate", "-f", path, "--approvals", approvals(folder, *APPROVED), "--guard"),
        *("--out", "bundle", "--today", TODAY),
    )
    assert done.returncode == 0, done.stderr
    texts = [each.read_text("utf-8") for each in sorted((folder / "bundle").rglob("*.yaml"))]
    # The manifests for a rollback name the same objects without their content.
    made = [each for text in texts for each in yaml.safe_load_all(text) if len(each) > 3]
    policies = [each for each in made if each["kind"] == "ValidatingAdmissionPolicy"]
    assert policies
    references = {
        each["spec"]["policyName"]: each["spec"].get("paramRef", {}).get("name")
        for each in made
        if each["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    params = {each["metadata"]["name"]: each for each in made if each["kind"] == "ConfigMap"}
    return all(
        admits(each, asked, params.get(references[each["metadata"]["name"]])) for each in policies
    )


# Who makes the request


def service_account(namespace: str, name: str) -> list[Object]:
    """Return a service account and its namespace."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {}}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        },
    ]


def username(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def with_olm(namespace: str) -> list[Object]:
    """Return state D with Operator Lifecycle Manager (OLM) in a namespace."""
    olm = "system:controller:operator-lifecycle-manager"
    everything = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    return [
        *cluster("D"),
        *service_account(namespace, "olm-operator-serviceaccount"),
        role(olm, rule("*", "*", "*"), everything),
        binding(
            f"olm-operator-binding-{namespace}",
            olm,
            account("olm-operator-serviceaccount", namespace),
        ),
    ]


def moved(namespace: str) -> list[Object]:
    """Return state D with KubeVirt in another namespace than openshift-cnv."""
    items: list[Object] = json.loads(json.dumps(cluster("D")).replace("openshift-cnv", namespace))
    return items


def of_an_operator() -> Object:
    """Return the ClusterRole that OLM writes for the operator of OpenShift Virtualization 4.21."""
    (found,) = recorded("olm-operator-role")
    return found


def previous() -> Object:
    """Return the same ClusterRole as an earlier release has it, without the permission."""
    found = of_an_operator()
    found["rules"] = [
        each
        for each in found["rules"]
        if "subresources.kubevirt.io" not in each["apiGroups"]
        and "*" not in each["resources"]
        # With the permission to migrate go the rules for VMIM.
        and VMIM not in each["resources"]
    ]
    return found


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="The admission policies refuse the role that OLM writes for the operator, so that the "
    "next update of the product stops.",
)
@pytest.mark.parametrize("before", [None, previous()], ids=["create", "update"])
@pytest.mark.parametrize("namespace", ["openshift-operator-lifecycle-manager", "olm"])
def test_the_policies_admit_the_role_that_olm_writes(
    tmp_path: Path, namespace: str, before: Object | None
) -> None:
    by = username(namespace, "olm-operator-serviceaccount")
    assert admitted(tmp_path, with_olm(namespace), request(by, of_an_operator(), before))


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="The admission policies refuse the roles of a KubeVirt operator in another namespace.",
)
@pytest.mark.parametrize("name", [MIGRATE, "kubevirt-controller", "kubevirt-apiserver"])
@pytest.mark.parametrize("namespace", ["virtualization", "kubevirt-system"])
def test_the_policies_admit_the_operator_of_the_cluster(
    tmp_path: Path, namespace: str, name: str
) -> None:
    items = moved(namespace)
    written = find(items, "ClusterRole", name)
    asked = request(username(namespace, "kubevirt-operator"), written)
    assert admitted(tmp_path, items, asked)


@pytest.mark.parametrize("name", [MIGRATE, "kubevirt-controller", "kubevirt-apiserver"])
def test_the_policies_admit_the_operator_in_openshift_cnv(tmp_path: Path, name: str) -> None:
    items = cluster("D")
    written = find(items, "ClusterRole", name)
    asked = request(username("openshift-cnv", "kubevirt-operator"), written)
    assert admitted(tmp_path, items, asked)


def test_the_policies_refuse_the_same_role_by_another_user(tmp_path: Path) -> None:
    items = with_olm("openshift-operator-lifecycle-manager")
    assert not admitted(tmp_path, items, request("mallory", of_an_operator()))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param(
            binding("a", MIGRATE, user("alice"), namespace="payments"), True, id="approved"
        ),
        pytest.param(
            binding("a", MIGRATE, user("alice"), namespace="web"), False, id="another namespace"
        ),
        pytest.param(binding("a", MIGRATE, user("mallory")), False, id="not approved"),
        pytest.param(
            role("own", *MIGRATE_RULES, kind="Role", namespace="web"), False, id="own role"
        ),
        pytest.param(
            role("kubevirt.io:upgrademigrate", *MIGRATE_RULES, labels={AGGREGATE_ADMIN: "true"}),
            False,
            id="temporary role",
        ),
        pytest.param(role("viewer", rule("get", "core", "pods")), True, id="another role"),
    ],
)
def test_the_policies_decide_about_administrators(
    tmp_path: Path, item: Object, *, expected: bool
) -> None:
    assert admitted(tmp_path, cluster("D"), request("alice", item)) is expected
