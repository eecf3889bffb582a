"""The command line through its entry point, as a process."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from conftest import (
    ROOT,
    STATES,
    Run,
    binding,
    environment,
    objects,
    role,
    rule,
    run_here,
    user,
    verdicts,
    write_dump,
)

from rbacguard.cli.commands import COMMANDS as LISTED
from rbacguard.cli.commands import cli
from rbacguard.output.wire import REPORTS
from rbacguard.sources import yaml

A, C, D, E = (str(STATES[letter].relative_to(ROOT)) for letter in "ACDE")
APPROVALS = "examples/approvals.yaml"
GOLDEN = Path(__file__).parent / "golden"
VMIM = "virtualmachineinstancemigrations.kubevirt.io"
COMMANDS: dict[str, tuple[list[str], int]] = {
    "audit": (["audit", "-f", A, "--today", "2026-11-23"], 1),
    "audit-after": (["audit", "-f", C, "--today", "2026-11-23"], 1),
    "plan": (["plan", "-f", A, "--to", "4.20"], 1),
    "plan-verbose": (["plan", "-f", A, "--to", "4.21", "-v"], 1),
    "plan-after": (["plan", "-f", D, "--to", "4.22"], 0),
    "status": (["status", "-f", C], 0),
    "verify-clean": (["verify", "-f", D, "--before", A, "--approvals", APPROVALS], 0),
    "verify-not-clean": (["verify", "-f", C, "--before", A, "--approvals", APPROVALS], 1),
    "who-can": (["who-can", "create", VMIM, "-n", "payments", "-f", A], 0),
    "who-can-everywhere": (["who-can", "create", VMIM, "-A", "-f", A], 0),
    "can-i-yes": (["can-i", "create", VMIM, "-n", "payments", "--as", "ann", "-f", A], 0),
    "can-i-no": (["can-i", "create", VMIM, "-n", "web", "--as", "ann", "-f", A], 1),
    "explain-user": (["explain", "alice", "-f", A], 0),
    "explain-group": (["explain", "group/payments-devs", "-f", A], 0),
    "diff": (["diff", A, C], 1),
    "diff-none": (["diff", A, A], 0),
    "lint": (["lint", "tests/lint/cases/labels-not-a-map"], 1),
    "rules": (["rules"], 0),
    "rules-of-lint": (["rules", "labels-not-a-map"], 0),
    "rules-one": (["rules", "editor-loses-migration"], 0),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_output_is_exactly_this(
    case: str, run: Run, golden: Callable[[Path, str], None]
) -> None:
    arguments, code = COMMANDS[case]
    result = run(*arguments)
    assert (code, "") == (result.returncode, result.stderr)
    golden(GOLDEN / f"{case}.out", result.stdout)


REPORTING = [case for case in COMMANDS if case not in ("rules", "audit-after")]


@pytest.mark.parametrize("case", REPORTING)
def test_json_fits_the_published_schema_and_yaml_is_the_same(case: str, run: Run) -> None:
    arguments, code = COMMANDS[case]
    as_json = run(*arguments, "-o", "json")
    as_yaml = run(*arguments, "-o", "yaml")
    assert (code, code) == (as_json.returncode, as_yaml.returncode)
    found = json.loads(as_json.stdout)
    (document,) = yaml.documents(as_yaml.stdout.encode())
    assert found == document.value
    schema = json.loads(run("schema", arguments[0]).stdout)
    jsonschema.Draft202012Validator(schema).validate(found)
    assert found["schemaVersion"] == f"rbacguard.io/{arguments[0]}/v1"


def test_every_report_has_a_schema(run: Run) -> None:
    files = ("configuration", "migration-access", "policy", "snapshot")
    known = sorted([*REPORTS, "fleet-cluster", *files])
    assert run("schema").stdout.split() == known
    for name in known:
        jsonschema.Draft202012Validator.check_schema(json.loads(run("schema", name).stdout))
    assert run("schema", "none").returncode == 2


def test_who_can_in_json_is_what_kubernetes_says(run: Run) -> None:
    result = run("who-can", "create", VMIM, "-n", "payments", "-f", A, "-o", "json")
    expected = verdicts()["A"]["payments"][f"create {VMIM}"]
    found = json.loads(result.stdout)["subjects"]

    def key(subject: dict[str, str]) -> tuple[str, str, str]:
        return subject["kind"], subject.get("namespace", ""), subject["name"]

    assert sorted(map(key, expected)) == sorted(map(key, found))
    assert all("namespace" in s for s in found if s["kind"] == "ServiceAccount")
    assert all("namespace" not in s for s in found if s["kind"] != "ServiceAccount")


def test_plan_in_json_tells_each_permission_in_each_place_once_and_why(run: Run) -> None:
    found = json.loads(run("plan", "-f", A, "--to", "4.20", "-o", "json").stdout)
    keys = [
        (json.dumps(each["subject"]), place["namespace"], action)
        for each in found["changes"]
        for place in each["places"]
        for action in each["actions"]
    ]
    assert len(keys) == len(set(keys))
    (lost,) = [
        c for c in found["changes"] if c["change"] == "lost" and c["subject"]["name"] == "alice"
    ]
    actions = [found["asked"][number] for number in lost["actions"]]
    assert {(a["verb"], a["resource"], a["apiGroup"], a["subresource"]) for a in actions} == {
        *(
            (verb, "virtualmachineinstancemigrations", "kubevirt.io", "")
            for verb in ("create", "delete", "update", "patch", "deletecollection")
        ),
        ("update", "virtualmachines", "subresources.kubevirt.io", "migrate"),
    }
    (place,) = lost["places"]
    (bound,) = place["bindings"]
    assert (bound["kind"], bound["namespace"], bound["name"]) == (
        *("RoleBinding", "payments", "admin"),
    )
    chains = [found["chains"][number] for number in bound["chains"]]
    assert {chain["roles"][0]["name"] for chain in chains} == {"admin"}
    allowed = {number for chain in chains for number in chain["allows"]}
    assert allowed >= set(lost["actions"])


def test_the_whole_journey_from_files_to_a_clean_verification(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "pr"
    first = run("generate", "-f", A, "--to", "4.20", "--out", str(out))
    assert first.returncode == 0, first.stderr
    text = (out / "approvals.yaml").read_text()
    approvals = out / "approvals.yaml"
    for who in ("alice", "payments-admins", "carol"):
        text = re.sub(rf"(name: {who}\n(?:.*\n)*?  approved: )null", r"\1true", text, count=1)
    approvals.write_text(text)
    second = run(
        "generate",
        "-f",
        A,
        "--to",
        "4.20",
        "--out",
        str(out),
        "--approvals",
        str(approvals),
        "-o",
        "json",
    )
    report = json.loads(second.stdout)
    assert report["approved"]
    assert len([f for f in report["files"] if f.startswith("10-before-update/")]) == 2
    clean = run("verify", "-f", D, "--before", A, "--approvals", str(approvals), "-o", "json")
    assert clean.returncode == 0, clean.stdout
    assert json.loads(clean.stdout)["clean"] is True


def test_a_temporary_role_on_an_updated_cluster_needs_force(run: Run, tmp_path: Path) -> None:
    arguments = [
        "generate",
        "-f",
        C,
        "--to",
        "4.21",
        "--out",
        str(tmp_path / "o"),
        "--strategy",
        "temporary-role",
    ]
    refused = run(*arguments)
    assert refused.returncode == 2
    assert "would not preserve" in refused.stderr
    assert not (tmp_path / "o").exists()
    assert run(*arguments, "--force").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["audit"], "no kubeconfig found: log in ('oc login'), give --kubeconfig, or read a dump"),
        (["audit", "-f", A, "--context", "x"], "give files with -f or a cluster with --context"),
        (["audit", "-f", A, "-n", "web"], "give files with -f or a cluster with --namespace"),
        (["audit", "-f", A, "--cross-check"], "--cross-check asks a cluster; -f reads files"),
        (["permissions", "rules"], "'rules' reads no cluster; those that do are audit, plan"),
        (["permissions", "--subject", "alice"], "'alice': expected user/NAME, group/NAME or sa/"),
        (
            ["watch", "--approvals", "f", "--deadline", "soon"],
            "'soon' is no time; expected such as",
        ),
        (["snapshot", "-f", A], "Missing option '-o'"),
        (["audit", "-f", "none.yaml"], "none.yaml: No such file or directory"),
        (["plan", "-f", A], "Missing option '--to'"),
        (["plan", "-f", A, "--to", "4.99"], "unknown version 4.99; supported are 4.14 to 5.0"),
        (["plan", "-f", C, "--to", "4.18"], "a downgrade is not supported"),
        (["plan", "-f", A, "--to", "four"], "invalid version 'four'"),
        (["who-can", "get", "pods/log", "-f", A], "--subresource log"),
        (["who-can", "get", "pods", "-n", "a", "-A", "-f", A], "give -n or -A, not both"),
        (["who-can", "get", "/healthz", "-n", "a", "-f", A], "a URL path has no name"),
        (["rules", "editor-lose-migration"], "did you mean editor-loses-migration"),
        (["audit", "-f", A, "--policies", "none"], "none: no such directory"),
        (["verify", "-f", D, "--approvals", "none.yaml"], "none.yaml: No such file"),
        (["audit", "-f", A, "--fail-on", "never"], "Invalid value for '--fail-on'"),
        (["diff", A], "no kubeconfig found"),
        (["audit", "-f", "-"], "-: empty file"),
    ],
)
def test_wrong_usage_and_bad_input_exit_2_with_one_line(
    arguments: list[str], expected: str, run: Run
) -> None:
    result = run(*arguments, stdin=subprocess.DEVNULL)
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_dump_is_read_from_standard_input(run: Run) -> None:
    piped = run("status", "-f", "-", "-o", "json", input=STATES["B"].read_text("utf-8"))
    assert json.loads(piped.stdout)["step"] == "temporary-role-in-place"


def test_the_old_default_is_restored_without_naming_a_target(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "o"
    result = run("generate", "-f", D, "--restore-default", "admin", "--out", str(out))
    assert result.returncode == 0, result.stderr
    assert [p.name for p in (out / "20-after-update").iterdir()] == [
        "clusterrole-kubevirt.io%3Amigrate.yaml"
    ]
    before = run("generate", "-f", A, "--out", str(tmp_path / "p"))
    assert before.returncode == 2
    assert "with --to VERSION" in before.stderr


@pytest.mark.parametrize("kind", ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"])
def test_a_partial_dump_exits_3_and_never_says_clean(kind: str, run: Run, tmp_path: Path) -> None:
    items = [item for item in objects("D") if item["kind"] != kind]
    path = write_dump(tmp_path / "partial.json", items)
    result = run("verify", "-f", path, "--before", A, "--approvals", APPROVALS, "-o", "json")
    report = json.loads(result.stdout)
    assert report["clean"] is not True
    assert result.returncode == (3 if report["clean"] is None else 1)
    who = run("who-can", "create", VMIM, "-A", "-f", path)
    assert who.returncode == 3
    assert f"{kind}: not in the input" in who.stdout
    assert run("plan", "-f", path, "--to", "4.21").returncode == 3
    audit = run("audit", "-f", path, "--fail-on", "critical")
    assert audit.returncode == 3
    assert run("diff", D, path).returncode == 3


def test_a_refusal_is_not_known_where_a_group_may_allow_it(run: Run, tmp_path: Path) -> None:
    items = [item for item in objects("A") if item["kind"] != "Group"]
    path = write_dump(tmp_path / "d.json", items)
    asked = ["can-i", "create", VMIM, "-n", "payments", "--as", "ann", "-f", path]
    unknown = run(*asked)
    assert unknown.returncode == 3
    assert "members of Group payments-devs, which is allowed, are not known" in unknown.stdout
    assert run(*asked, "--as-group", "auditors").returncode == 1
    assert run(*asked, "--as-group", "payments-devs").returncode == 0


def test_a_resource_is_what_kubectl_takes_for_it(run: Run) -> None:
    allowed = ["--as", "alice", "-n", "payments", "-f", A]
    for words in (["vmim"], ["virtualmachineinstancemigrations"], [VMIM], ["pods"]):
        assert run("can-i", "create", *words, *allowed).returncode == 0
    migrate = run("can-i", "update", "vm", "db", "--subresource", "migrate", *allowed)
    assert migrate.returncode == 0
    assert "update virtualmachines.subresources.kubevirt.io/migrate db" in migrate.stdout
    told = run("who-can", "create", "vmim", "-A", "-f", A, "-o", "json").stdout
    assert told == run("who-can", "create", VMIM, "-A", "-f", A, "-o", "json").stdout
    for command in (["can-i", "create", "pod", *allowed], ["who-can", "get", "pod", "-f", A]):
        refused = run(*command)
        assert (refused.returncode, refused.stdout) == (2, "")
        message = "'pod': no rule in the input contains this resource; did you mean pods"
        assert message in refused.stderr


def test_an_unclear_question_is_answered_with_hints(run: Run) -> None:
    odd = run("can-i", "create", "vmim", "--as", "alicee", "-n", "pay", "-f", A)
    assert odd.returncode == 1
    assert "! User alicee was not found in the input; did you mean User alice?" in odd.stdout
    assert "! namespace pay was not found in the input" in odd.stdout
    cluster = run("can-i", "create", "vmim", "--as", "alice", "-f", A, "-o", "json")
    assert json.loads(cluster.stdout)["notes"][-1].endswith("they allow it in payments")
    for arguments in (["who-can", "create", "vmim"], ["explain", "alicee"]):
        assert "\n! " in run(*arguments, "-f", A).stdout


def test_what_somebody_holds_is_told_by_the_chains_that_allow_it(run: Run, tmp_path: Path) -> None:
    drains = role("drainer", rule("create", "core", "pods/eviction"))
    bound = binding("drainers", "drainer", user("alice"), namespace="payments")
    path = write_dump(tmp_path / "d.json", [*objects("A"), drains, bound])
    result = run("explain", "alice", "-f", path)
    assert result.returncode == 0
    told = [re.split(r" {2,}", line)[2:] for line in result.stdout.splitlines()]
    assert ["pods/eviction create", "RoleBinding payments/drainers -> drainer"] in told
    edit, admin = ("RoleBinding payments/admin -> " + rest for rest in ("admin -> edit", "admin"))
    assert [each for each in told if "VMIM" in "".join(each[:1])] == [
        ["VMIM create", f"{edit} -> kubevirt.io:edit"],
        ["VMIM delete,update,patch", f"{edit} -> kubevirt.io:edit"],
        ["VMIM deletecollection", f"{admin} -> kubevirt.io:admin"],
    ]
    # What gives something else alone is no way to a migration.
    assert result.stdout.endswith(
        "TO REVOKE\n  - The update to 4.19 or later removes the permission from ClusterRole admin. "
        "Caution: if you delete RoleBinding payments/admin, all other rights of ClusterRole admin "
        "go too. The binding has other subjects: Group payments-admins.\n"
    )
    report = json.loads(run("explain", "alice", "-f", path, "-o", "json").stdout)
    assert [each["binding"]["name"] for each in report["revoke"]] == ["admin"]
    assert report["revoke"][0]["others"] == [{"kind": "Group", "name": "payments-admins"}]
    by_group = run("explain", "ann", "-f", path).stdout
    assert "RoleBinding payments/edit, all other rights of ClusterRole edit go too. " in by_group
    assert "The binding has other subjects: Group payments-devs.\n" in by_group
    whole_group = run("explain", "group/payments-devs", "-f", path).stdout
    assert whole_group.endswith(
        "RoleBinding payments/edit, all other rights of ClusterRole edit go too.\n"
    )
    nothing = run("explain", "erin", "-f", path).stdout
    assert nothing.endswith("TO REVOKE\n  - nothing: it cannot start a migration directly\n")


def test_several_chains_are_told_as_several(run: Run) -> None:
    rows = {"plan": ["plan", "-f", A, "--to", "4.20"], "diff": ["diff", A, E]}
    for arguments in rows.values():
        (short,) = [s for s in run(*arguments).stdout.splitlines() if "lost     User alice" in s]
        assert short.endswith("  admin -> edit -> kubevirt.io:edit (+1 more)")
        (all_,) = [
            s for s in run(*arguments, "-v").stdout.splitlines() if "lost     User alice" in s
        ]
        assert all_.endswith("  admin -> edit -> kubevirt.io:edit; admin -> kubevirt.io:admin")
        page = run(*arguments, "-o", "markdown").stdout
        assert "RoleBinding payments/admin -> admin -> edit -> kubevirt.io:edit (+1 more)" in page


def test_a_service_account_is_in_its_own_groups(run: Run) -> None:
    who = "system:serviceaccount:batch:anybody"
    assert run("can-i", "create", VMIM, "-n", "batch", "--as", who, "-f", A).returncode == 0
    assert run("can-i", "create", VMIM, "-n", "web", "--as", who, "-f", A).returncode == 1


HOSTILE = [
    "null", "yes", "a: b", "#x", '"q"', "{{7*7}}", "<script>", "é", "a\nb", "\x1b[31mred\x1b[0m",
    "[red]x[/red]", "\u202eevil", "::set-output name=x::y", "$(id)", "\r", "\x9b31m",
]  # fmt: skip


def test_hostile_names_reach_no_terminal(run: Run, tmp_path: Path) -> None:
    items = objects("A")
    items += [
        binding(f"h{i}", "admin", user(name), namespace="web") for i, name in enumerate(HOSTILE)
    ]
    path = write_dump(tmp_path / "hostile.json", items)
    for arguments in (
        ["audit", "-f", path, "-v"],
        ["plan", "-f", path, "--to", "4.20"],
        ["who-can", "create", VMIM, "-A", "-f", path],
        ["explain", "\x1b[31mred\x1b[0m", "-f", path],
        ["audit", "-f", path, "-o", "json"],
        ["plan", "-f", path, "--to", "4.20", "-o", "yaml"],
    ):
        result = run(*arguments)
        assert "Traceback" not in result.stderr
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout), arguments
    plan = json.loads(run("plan", "-f", path, "--to", "4.20", "-o", "json").stdout)
    assert set(HOSTILE) <= {change["subject"]["name"] for change in plan["changes"]}
    table = run("plan", "-f", path, "--to", "4.20").stdout
    assert "User [red]x[/red]" in table
    assert "User a\\nb" in table


def shown(path: Path) -> str:
    """Return how a path that is no text is shown."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def test_a_file_whose_name_is_no_text_is_read_and_named(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"clusters-\xff")
    folder.mkdir()
    path = folder / os.fsdecode(b"old-\xe9.yaml")
    path.write_bytes(STATES["A"].read_bytes())
    for output in ("table", "json", "yaml", "sarif", "junit", "markdown", "html", "csv"):
        result = run("audit", "-f", str(path), "-o", output)
        assert (result.returncode, result.stderr) == (1, ""), output
    plan = json.loads(run("plan", "-f", str(path), "--to", "4.20", "-o", "json").stdout)
    assert plan["coverage"]["inputs"][0]["path"] == shown(path)
    whole = run("generate", "-f", A, "--to", "4.20", "--out", str(folder / "out"), "-o", "json")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert json.loads(whole.stdout)["out"] == shown(folder / "out")


def test_clusters_whose_names_are_no_text_are_a_fleet(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clusters"
    for name, state in ((b"old-\xe9", "A"), (b"new-\xe9", "D")):
        cluster = folder / os.fsdecode(name)
        cluster.mkdir(parents=True)
        (cluster / os.fsdecode(b"rbac-\xff.yaml")).write_bytes(STATES[state].read_bytes())
    wrong = cluster / os.fsdecode(b"wrong-\xff.yaml")
    wrong.write_text("kind: [")
    saved = tmp_path / "cluster.zst"
    assert run("snapshot", "-f", str(cluster), "-o", str(saved)).returncode == 3
    plan = json.loads(run("plan", "-f", str(saved), "--to", "4.20", "-o", "json").stdout)
    assert any(gap.startswith(shown(wrong)) for gap in plan["gaps"])
    arguments = ("fleet", "plan", str(folder), "--results", str(tmp_path / "results.jsonl"))
    for as_before in (0, 2):
        result = run(*arguments, "--to", "4.20", "-o", "json")
        assert result.stderr == ""
        found = json.loads(result.stdout)
        assert (found["clusters"], found["asBefore"]) == (2, as_before)
        assert [each["cluster"] for each in found["unknown"]] == ["new-\\udce9"]


def test_json_is_ascii_and_says_the_same(run: Run, tmp_path: Path) -> None:
    names = ["Zoë", "\U0001f600", "\x7f", "\u202e", "a"]
    items = [*objects("A"), *(binding(f"b{i}", "admin", user(n)) for i, n in enumerate(names))]
    path = write_dump(tmp_path / "dump.json", items)
    result = run("plan", "-f", path, "--to", "4.20", "-o", "json")
    assert re.fullmatch(r"[\n\x20-\x7e]*", result.stdout)
    found = json.loads(result.stdout)
    assert result.stdout == json.dumps(found, indent=2).replace("\x7f", "\\u007f") + "\n"
    assert set(names) <= {change["subject"]["name"] for change in found["changes"]}


def test_an_error_message_harms_no_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31m.yaml"
    path.write_text("kind: [")
    result = run("audit", "-f", str(path))
    assert result.returncode == 2
    assert "\x1b" not in result.stderr


def test_five_hundred_namespaces_stay_readable(run: Run, tmp_path: Path) -> None:
    items = objects("A")
    items += [
        binding("b", "edit", user("everywhere"), namespace=f"team-{n:03}") for n in range(500)
    ]
    path = write_dump(tmp_path / "many.json", items)
    audit = run("audit", "-f", path).stdout
    assert "team-000, team-001, team-002 +497 more" in audit
    assert len(audit.splitlines()) < 400
    plan = run("plan", "-f", path, "--to", "4.20").stdout
    assert len([line for line in plan.splitlines() if "User everywhere" in line]) < 8


@pytest.mark.parametrize("arguments", [("audit", "-f", A, "-v"), ("--help",), ("--version",)])
def test_a_reader_that_goes_away_is_no_finding(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "rbacguard", *arguments],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (process.returncode, process.stderr) == (141, "")


def test_colours_only_on_a_terminal_and_never_with_no_color(run: Run) -> None:
    assert "\x1b[" not in run("status", "-f", A).stdout
    assert "\x1b[" in run("plan", "-f", A, "--to", "4.20", "--color", "always").stdout
    assert "\x1b[" in on_a_terminal({})
    assert "\x1b[" not in on_a_terminal({"NO_COLOR": "1"})


def on_a_terminal(
    environment: dict[str, str],
    arguments: tuple[str, ...] = ("plan", "-f", A, "--to", "4.20"),
    late_input: bytes = b"",
    after: bytes = b"",
) -> str:
    """Return what a terminal of 60 columns gets; input comes once it shows `after`."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "rbacguard", *arguments]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "60", **environment}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=child, stderr=child, stdin=subprocess.PIPE, env=env
    ) as process:
        os.close(child)
        assert process.stdin
        output = b""
        while True:
            if not process.stdin.closed and after in output:
                process.stdin.write(late_input)
                process.stdin.close()
            try:
                assert select.select([parent], [], [], 60)[0], output
                chunk = os.read(parent, 65536)
            except OSError:
                break
            if not chunk:
                break
            output += chunk
        process.wait()
    os.close(parent)
    return output.decode()


def test_what_takes_longer_than_a_second_says_so_on_a_terminal_alone() -> None:
    text = on_a_terminal({}, ("status", "-f", "-"), (ROOT / A).read_bytes(), b"reading -")
    assert "reading -" in text
    assert text.rindex("reading -") < text.index("Installed:")
    assert "reading" not in on_a_terminal({}, ("status", "-f", A))


def test_a_terminal_gets_commands_in_one_piece_and_lines_that_hang() -> None:
    shown = on_a_terminal({"NO_COLOR": "1"}, ("audit", "-f", A)).replace("\r", "")
    assert f"           $ rbacguard generate -f {A} --to 4.19 --out live-migration\n" in shown
    lines = shown.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("         - User carol"))
    assert lines[first + 1].startswith(" " * 11)


def test_a_narrow_terminal_gets_narrow_lines() -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal({"NO_COLOR": "1"}))
    assert max(len(line.rstrip()) for line in text.replace("\r", "").split("\n")) <= 60


def test_exit_zero_and_fail_on(run: Run) -> None:
    assert run("audit", "-f", A, "--exit-zero").returncode == 0
    assert run("plan", "-f", A, "--to", "4.20", "--exit-zero").returncode == 0
    assert run("audit", "-f", D, "--fail-on", "critical").returncode == 0
    assert run("audit", "-f", D, "--fail-on", "info").returncode == 1


def test_ones_own_policies_are_evaluated(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nobody-called-root.yaml").write_text(
        "id: nobody-called-root\ntitle: T\nseverity: critical\nstage: any\n"
        "check: {type: access}\nwhere: subject.name == 'root'\nmessage: '{subject} is there'\n"
        "rationale: r\nremediation: r\n"
    )
    result = run("audit", "-f", D, "--policies", str(tmp_path), "--fail-on", "critical")
    assert result.returncode == 1
    assert "User root is there" in result.stdout


def test_files_from_git_are_evaluated_by_recomputing(run: Run, tmp_path: Path) -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}
    items: list[dict[str, Any]] = [
        role("admin", aggregationRule={"clusterRoleSelectors": [{"matchLabels": label}]}),
        role("part", rule("get", "core", "pods"), labels=label),
        binding("b", "admin", user("alice"), namespace="web"),
    ]
    path = write_dump(tmp_path / "git.json", items)
    asked = ["can-i", "get", "pods", "-n", "web", "--as", "alice", "-f", path]
    assert run(*asked).returncode == 3
    assert run(*asked, "--aggregate", "recompute").returncode == 0


def test_help_names_every_command_and_option_explains_itself(run: Run) -> None:
    top = run("--help")
    assert top.returncode == 0
    for command in (*REPORTS, "schema"):
        assert re.search(rf"^  {command} ", top.stdout, re.MULTILINE), command
        assert run(command, "-h").returncode == 0
    assert re.fullmatch(r"rbacguard, version \d+\.\d+\.\d+\n", run("--version").stdout)


def test_a_command_is_listed_as_its_own_help_begins_and_loaded_when_it_is_called(
    run: Run,
) -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(200) == LISTED[name].summary
    assert list(LISTED) == sorted(LISTED)
    assert cli.get_command(context, "nothing") is None
    listing = (
        "import sys; sys.argv = ['rbacguard', '--help']; "
        "from rbacguard.cli import run; run(); "
        "print([name for name in sys.modules if name.startswith('rbacguard.cli.')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines()[-1] == "['rbacguard.cli.commands']"


def test_secrets_in_a_dump_are_never_printed(run: Run, tmp_path: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "web"},
        "data": {"password": "c2VjcmV0LXZhbHVl"},
    }
    token = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "bot", "namespace": "web"},
        "secrets": [{"name": "bot-token"}],
    }
    path = write_dump(tmp_path / "d.json", [*objects("A"), secret, token])
    for output in ("table", "json"):
        text = run("audit", "-f", path, "-o", output, "-v").stdout
        assert "c2VjcmV0LXZhbHVl" not in text
        assert "bot-token" not in text


def test_a_hundred_megabytes_of_nothing_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "nothing.yaml"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"# nothing\n" * 104_858)
    result = run("audit", "-f", str(path))
    assert result.returncode == 2
    assert "no ClusterRole, Role or binding among 0 objects" in result.stderr


def test_the_commands_that_findings_propose_can_be_pasted(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "my dump.yaml"
    dump.write_bytes(STATES["A"].read_bytes())
    report = json.loads(run("audit", "-f", str(dump), "-o", "json").stdout)
    commands = {command for finding in report["findings"] for command in finding["commands"]}
    mine = sorted(c for c in commands if c.startswith("rbacguard ") and "after.json" not in c)
    assert len(mine) > 10
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in mine:
        pasted = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert pasted.returncode in (0, 1), (command, pasted.stderr)


def completed(run: Run, tmp_path: Path, *words: str, config: str = "") -> list[str]:
    env = environment(
        tmp_path,
        _RBACGUARD_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(("rbacguard", *words)),
        COMP_CWORD=str(len(words)),
        KUBECONFIG=config,
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("rbacguard")],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_the_shell_completes_commands_rules_formats_and_contexts(run: Run, tmp_path: Path) -> None:
    assert {"plan", "permissions"} == set(completed(run, tmp_path, "p"))
    assert completed(run, tmp_path, "rules", "temporary-role-l") == [
        "temporary-role-labels-malformed",
        "temporary-role-left",
    ]
    assert completed(run, tmp_path, "audit", "-o", "sa") == ["sarif"]
    config = tmp_path / "config"
    names = ("prod-a", "prod-b", "test")
    contexts = [{"name": name, "context": {"cluster": "c"}} for name in names]
    config.write_text(json.dumps({"kind": "Config", "apiVersion": "v1", "contexts": contexts}))
    found = completed(run, tmp_path, "audit", "--context", "prod", config=str(config))
    assert found == ["prod-a", "prod-b"]
    config.write_text("{")
    assert completed(run, tmp_path, "audit", "--context", "prod", config=str(config)) == []


def test_the_shell_completes_namespaces_of_the_input(run: Run, tmp_path: Path) -> None:
    asked = ("who-can", "get", "pods", "-f", A, "-n", "pay")
    assert completed(run, tmp_path, *asked) == ["payments"]
    assert completed(run, tmp_path, "who-can", "get", "pods", "-f", "missing", "-n", "p") == []


def test_without_a_command_it_tells_where_to_start(run: Run, tmp_path: Path) -> None:
    nowhere = run(env=environment(tmp_path))
    assert (nowhere.returncode, nowhere.stderr) == (0, "")
    assert "No cluster is configured here" in nowhere.stdout
    config = tmp_path / "config"
    config.write_text(
        "{current-context: a, contexts: [{name: a, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'https://api.example'}}],"
        " users: [{name: u, user: {token: sesame}}]}"
    )
    there = run(env=environment(tmp_path, KUBECONFIG=str(config)))
    assert "logged in to: a (https://api.example)" in there.stdout
    assert "sesame" not in there.stdout
    assert "  1. rbacguard audit\n" in there.stdout


def test_every_finding_is_proven_by_a_tree_from_the_rule_to_the_subject(run: Run) -> None:
    report = json.loads(run("audit", "-f", A, "-o", "json", "--today", "2026-11-23").stdout)
    shown = run("audit", "-f", A, "-v", "--today", "2026-11-23").stdout
    proofs: dict[str, str] = {}
    for part in shown.partition("WHO CAN MIGRATE")[0].split("\n\n"):
        if match := re.search(r"\[([a-z0-9-]+)\]$", part.strip().split("\n")[0]):
            proofs[match[1]] = part.partition("proof:")[2].partition("fix:")[0]
    proven = 0
    for finding in report["findings"]:
        for grant in finding["grants"]:
            binding, source = grant["binding"], grant["roles"][-1]
            place = f"{binding['namespace']}/" if "namespace" in binding else ""
            line = f"{binding['kind']} {place}{binding['name']} binds "
            assert any(
                grant["subject"]["name"] in text.partition(" binds ")[2]
                for text in proofs[finding["policy"]].split("\n")
                if line in text
            )
            assert f"{source['kind']} " in proofs[finding["policy"]]
            assert f"{source['name']}: " in proofs[finding["policy"]]
            proven += 1
    assert proven > 50


def test_a_long_table_is_cut_and_says_so(run: Run, tmp_path: Path) -> None:
    bindings = [binding(f"b{i}", "edit", user(f"u{i}"), namespace=f"n{i}") for i in range(30)]
    rule_of = rule("create", "kubevirt.io", "virtualmachineinstancemigrations")
    path = write_dump(tmp_path / "many.json", [role("edit", rule_of), *bindings])
    cut = run("audit", "-f", path, "--limit", "2").stdout
    assert "… and 10 more; -v shows all" in cut
    assert "User u9 " in run("audit", "-f", path, "-v").stdout
    assert cut.index("Not seen:  ") < cut.index("FINDINGS") < cut.index("INCOMPLETE INPUT")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, run: Run) -> None:
    done = run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_RBACGUARD_COMPLETE={shell}_complete" in done.stdout


def test_quiet_says_nothing_but_the_exit_code_and_limit_bounds_the_table(
    run: Run, tmp_path: Path
) -> None:
    quiet = run("audit", "-f", C, "-q", "-o", f"json={tmp_path / 'a.json'}")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")
    assert json.loads((tmp_path / "a.json").read_text())["findings"]
    short = run("audit", "-f", C, "--limit", "2").stdout
    assert "… and 6 more; -v shows all" in short
    assert run("audit", "-f", C, "--limit", "0").returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "-f", ""),
        ("diff", "a.json", ""),
        ("lint", ""),
        ("verify", "-f", "a.json", "--approvals", ""),
        ("audit", "-f", "a.json", "--policies", ""),
        ("snapshot", "-f", "a.json", "-o", ""),
    ],
)
def test_an_empty_path_is_an_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run_here(arguments, cwd=tmp_path, env=environment(tmp_path), given="")
    assert done.returncode == 2
    assert "the path is empty" in done.stderr
