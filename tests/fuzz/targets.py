"""What is fuzzed: each function takes bytes, and fails only where a promise is broken.

A promise: whatever is read, there is an answer or one `RbacguardError` whose message is one line.
Nothing here needs atheris; `drive.py` drives these with it, and the tests replay the corpus.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
import tempfile
import warnings
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pydot
import yaml as pyyaml
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from rbacguard import Snapshot
from rbacguard.approvals.model import load_approvals
from rbacguard.approvals.usage import extract_usage
from rbacguard.errors import RbacguardError
from rbacguard.kubevirt.releases import RELEASES
from rbacguard.lint import LintRequest, fixed, lint
from rbacguard.manifests.tuning import tuning
from rbacguard.output import formats, reports
from rbacguard.output.comparing import compare
from rbacguard.output.formats import Options, to_parts
from rbacguard.output.readiness import report as readiness_report
from rbacguard.output.suppress import load_baseline
from rbacguard.policy import Context, Policy, Workloads, evaluate, load_policies
from rbacguard.policy.configuration import load_configuration
from rbacguard.rbac import ClusterRole, ClusterRoleBinding, RoleBinding, Subject
from rbacguard.readiness.inventory import Inventory
from rbacguard.sources import load, snapshot_file
from rbacguard.sources.audit_log import read_audit_logs
from rbacguard.sources.live.kubeconfig import Overrides, find_config
from rbacguard.update.plan import make_plan
from rbacguard.update.status import status
from rbacguard.update.verify import Result, verify

TODAY = datetime.date(2026, 11, 23)
NOW = datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.UTC)
STATES = Path(__file__).resolve().parents[2] / "examples" / "clusters"
_HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _one_line(error: RbacguardError) -> None:
    text = str(error)
    assert text, "an error without a message"
    assert "\n" not in text.strip(), text
    assert "Traceback" not in text


def _read(name: str, data: bytes, use: Callable[[Path], object]) -> object:
    """Write a file, hand it over, and let the errors pass that a caller can expect."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            return use(path)
        except RbacguardError as error:
            _one_line(error)
            return None


@cache
def _policies() -> tuple[Policy, ...]:
    return load_policies()


def dump(data: bytes) -> None:
    """Read a dump, in any form, and answer everything about it; saved, it is the same."""
    found = _read("dump.json", data, lambda path: load([str(path)]))
    if not isinstance(found, Snapshot):
        return
    try:
        whole = answer(found)
        saved = _read("saved.json", snapshot_file.encode(found), lambda path: load([str(path)]))
        assert isinstance(saved, Snapshot)
        assert answer(saved) == whole
    except RbacguardError as error:
        _one_line(error)


def answer(snapshot: Snapshot) -> Any:
    """Return what is said of a cluster, and hold it to what must be true of any."""
    nobody = _approvals()
    verified = verify(snapshot, nobody, today=TODAY)
    found = evaluate(_policies(), Context(snapshot, today=TODAY))
    where = status(snapshot)
    gaps = snapshot.coverage.missing()
    assert not (gaps and verified.result is Result.PASSED)
    make_plan(snapshot, RELEASES[-1])
    return (
        where.step,
        [(each.id, each.result) for each in verified.checks],
        [(each.policy.id, each.outcome, len(each.findings)) for each in found],
    )


@cache
def _approvals() -> Any:
    text = b"apiVersion: rbacguard.io/v1alpha1\nkind: MigrationAccess\n"
    return _read("approvals.yaml", text, lambda path: load_approvals(str(path)))


def workloads(data: bytes) -> None:
    """Read a dump with VMs, and assess it."""

    def use(path: Path) -> None:
        snapshot = load([str(path)], workloads=True)
        inventory = Inventory(snapshot)
        found = Workloads(inventory, NOW)
        context = Context(snapshot, today=TODAY, workloads=found)
        report = readiness_report(found.readiness, inventory, evaluate(_policies(), context))
        assert not (found.readiness.gaps and report.ready)
        for form in ("table", "html", "markdown"):
            text = b"".join(to_parts(report, form, Options())).decode()
            assert not _HARMFUL.search(text), form
        patch = tuning(inventory, found.readiness, None)
        assert not _HARMFUL.search(patch)
        assert set(pyyaml.safe_load(patch)) <= {"spec"}

    _read("vms.json", data, use)


def auditlog(data: bytes) -> None:
    """Read an audit log, and say who used the permission."""

    def use(path: Path) -> None:
        for each in extract_usage(
            read_audit_logs([str(path)]), NOW - datetime.timedelta(days=10_000)
        ):
            assert each.user
            assert each.count > 0

    _read("audit.log", data, use)


def approvals(data: bytes) -> None:
    """Read an approvals file and verify a cluster by it."""

    def use(path: Path) -> None:
        found = load_approvals(str(path))
        verify(_state("D"), found, today=TODAY)

    _read("approvals.yaml", data, use)


@cache
def _state(letter: str) -> Snapshot:
    (path,) = STATES.glob(f"{letter}-*.yaml")
    return load([str(path)])


def policy(data: bytes) -> None:
    """Read a policy of a stranger's and evaluate it."""

    def use(path: Path) -> None:
        found = [each for each in load_policies([str(path.parent)]) if each.id == path.stem]
        for result in evaluate(found, Context(_state("C"), today=TODAY)):
            for finding in result.findings:
                assert finding.message

    _read("fuzzed.yaml", data, use)


def configuration(data: bytes) -> None:
    """Read a configuration."""
    _read("rbacguard.toml", data, load_configuration)


def kubeconfig(data: bytes) -> None:
    """Read a kubeconfig; what it holds that is secret is not shown."""

    def use(path: Path) -> None:
        found = find_config(Overrides(kubeconfig=str(path)), {}, path.parent)
        # A damaged file may have the text anywhere; the server's URL is no place for a secret.
        assert "secret-token" not in repr(found).replace(found.server, "")

    _read("config", data, use)


def manifest(data: bytes) -> None:
    """Check a manifest and mend it; what is mended is still YAML."""

    def use(path: Path) -> None:
        request = LintRequest(TODAY)
        linting = lint([str(path)], request)
        for each in fixed(linting, request):
            list(pyyaml.load_all(each.after, Loader=pyyaml.CSafeLoader))

    _read("manifest.yaml", data, use)


def report(data: bytes) -> None:
    """Read a report of an earlier day, as a baseline and to compare."""
    _read("old.json", data, lambda path: load_baseline(str(path)))
    _read("old.json", data, lambda path: compare(str(path), str(path)))


def names(data: bytes) -> None:
    """Put a name of anybody's choice everywhere, and read every format back."""
    text = data.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
    text = text.replace("\x00", "")[:300]
    if not text:
        return
    who = Subject("User", text)
    base = _state("C")
    made: list[Any] = []
    for binding in base.bindings:
        if isinstance(binding, RoleBinding) and binding.metadata.namespace == "web":
            made.append(replace(binding, subjects=(*binding.subjects, who)))
        if isinstance(binding, ClusterRoleBinding) and binding.metadata.name == "cluster-admins":
            renamed = replace(binding.metadata, name=text)
            made.append(ClusterRoleBinding(renamed, binding.role_ref, (who,)))
    for role in base.cluster_roles.values():
        if role.metadata.name == "kubevirt.io:upgrademigrate":
            made.append(ClusterRole(replace(role.metadata, name=text), role.rules))
    snapshot = base.replace(made)
    context = Context(snapshot, today=TODAY)
    audit = reports.audit(context, status(snapshot), evaluate(_policies(), context))
    # Three formats for each name: all of them would take most of the time.
    first = zlib.crc32(data)
    forms = [*READERS, *READERS][first % len(READERS) :][:3]
    for form, check in ((form, READERS[form]) for form in forms):
        written = b"".join(formats.to_parts(audit, form, Options())).decode("utf-8")
        text = written.replace("\r\n", "\n") if form == "csv" else written
        assert not _HARMFUL.search(text), f"{form}: a control character"
        check(written)


def _csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell


def _github(text: str) -> None:
    for line in text.splitlines():
        assert re.match(r"::(error|warning|notice) file=", line), line


def _html(text: str) -> None:
    # Only the scripts of the page itself, and none where a name could stand.
    assert text.count("<script") == 2
    assert len(re.findall(r"<(?:img|iframe|svg|object|embed)\b", text)) == 0


def _dot(text: str) -> None:
    with warnings.catch_warnings():
        # pydot's own use of pyparsing.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert pydot.graph_from_dot_data(text)


def _prometheus(text: str) -> None:
    assert list(text_string_to_metric_families(text))


READERS: Mapping[str, Callable[[str], object]] = {
    "table": lambda _: None,
    "json": json.loads,
    "yaml": lambda text: pyyaml.load(text, Loader=pyyaml.CSafeLoader),
    "sarif": json.loads,
    "junit": ElementTree.fromstring,
    "github": _github,
    "gitlab": json.loads,
    "csv": _csv,
    "markdown": lambda _: None,
    "dot": _dot,
    "mermaid": lambda _: None,
    "prometheus": _prometheus,
    "policyreport": lambda text: pyyaml.load(text, Loader=pyyaml.CSafeLoader),
    "html": _html,
}

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        *(dump, approvals, policy, configuration, kubeconfig, manifest, report, names),
        *(workloads, auditlog),
    )
}
