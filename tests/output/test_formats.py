"""Each format read back by somebody else's parser, with names that try to break out of it."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pydot
import pytest
import yaml
from conftest import ROOT, STATES, Run, binding, objects, user, write_dump
from markdown_it import MarkdownIt
from programs import modules
from prometheus_client.parser import text_string_to_metric_families

from rbacguard.policy import Category, load_policies

APPROVALS = str(ROOT / "examples" / "approvals.yaml")
AUDIT = ("audit", "--approvals", APPROVALS, "-f")
RESULTS = (
    *("sarif", "junit", "github", "gitlab", "csv", "markdown", "prometheus"),
    *("policyreport", "openreports"),
)
GRAPHS = ("dot", "mermaid")
HOSTILE = [
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil","x")',
    "a%0A::error::b",
    "x\n::set-output name=a::b",
    'q"];n9[shape=star];//',
    "]] end --> pwned",
    "`code` | cell | [l](javascript:alert(1))",
    "{{ 7*7 }} ${x} #{y}",
    "\x1b[31mred\u202e\x00",
    "&amp;<!--",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a cluster in which every name tries something."""
    more = [
        binding(f"b-{number}", "kubevirt.io:migrate", user(name), namespace="web")
        for number, name in enumerate(HOSTILE)
    ]
    return write_dump(tmp_path_factory.mktemp("hostile") / "dump.json", [*objects("C"), *more])


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a cluster of which a kind was not read."""
    some = [o for o in objects("D") if o["kind"] != "ClusterRoleBinding"]
    return write_dump(tmp_path_factory.mktemp("partial") / "dump.json", some)


def made(run: Run, form: str, *arguments: str, code: int = 1) -> str:
    done = run(*arguments, "-o", form)
    assert (code, "") == (done.returncode, done.stderr)
    return str(done.stdout)


def node(script: str, text: str, folder: Path, found: Path) -> str:
    """Return what a script prints that gets the text as input and the packages' folder."""
    program = folder / "script.mjs"
    program.write_text(script, "utf-8")
    done = subprocess.run(
        ["node", program, found], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def findings(run: Run, dump: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(made(run, "json", *AUDIT, dump))["findings"]
    return found


@pytest.mark.parametrize("form", [*RESULTS, *GRAPHS])
def test_no_format_carries_what_a_terminal_or_a_reader_would_trip_over(
    form: str, run: Run, hostile: str
) -> None:
    text = made(run, form, *AUDIT, hostile)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_sarif_is_taken_by_the_reference_validator_and_by_code_scanning(
    sarif_multitool: str, run: Run, hostile: str, partial: str, tmp_path: Path
) -> None:
    files = []
    for number, arguments in enumerate(
        (
            (*AUDIT, hostile),
            (*AUDIT, partial),
            ("verify", "-f", str(STATES["C"]), "--approvals", APPROVALS),
            ("lint", "tests/lint/cases"),
        )
    ):
        files.append(tmp_path / f"{number}.sarif")
        done = run(*arguments, "-o", f"sarif={files[-1]}")
        assert (done.stdout, done.stderr) == ("", "")
    checked = subprocess.run(
        [
            *(sarif_multitool, "validate", *map(str, files)),
            *("--rule-kind", "Sarif;Ghas", "--level", "Error;Warning"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.findall(r": (?:error|warning) (\w+): .*", checked.stdout)
    # SARIF2005 asks for a home page on the web, which the project does not have.
    assert set(said) <= {"SARIF2005"}, checked.stdout
    assert f"{len(files)} files scanned" in checked.stdout


def test_sarif_holds_every_finding_with_its_rule_place_and_fingerprint(
    run: Run, hostile: str
) -> None:
    (sarif,) = json.loads(made(run, "sarif", *AUDIT, hostile))["runs"]
    found = findings(run, hostile)
    assert {f["fingerprint"] for f in found} == {
        r["partialFingerprints"]["rbacguard/v1"] for r in sarif["results"]
    }
    rules = sarif["tool"]["driver"]["rules"]
    policies = {policy.id for policy in load_policies(category=Category.RBAC)}
    assert {rule["id"] for rule in rules} >= policies
    for result in sarif["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert not place["artifactLocation"]["uri"].startswith("/")


def test_junit_has_a_case_for_each_policy_and_what_is_not_known_is_an_error(
    run: Run, hostile: str, partial: str
) -> None:
    whole = ElementTree.fromstring(made(run, "junit", *AUDIT, hostile))  # noqa: S314
    report = json.loads(made(run, "json", *AUDIT, hostile))
    outcomes = [each["outcome"] for each in report["policies"]]
    assert len(whole.findall(".//testcase")) == len(outcomes)
    assert len(whole.findall(".//failure")) == outcomes.count("failed")
    assert len(whole.findall(".//skipped")) == outcomes.count("skipped")
    said = [each.get("message", "") + (each.text or "") for each in whole.findall(".//failure")]
    assert any(HOSTILE[0] in each for each in said)
    some = ElementTree.fromstring(made(run, "junit", *AUDIT, partial))  # noqa: S314
    errors = {each.get("classname") for each in some.findall(".//testcase[error]")}
    assert "rbacguard.incomplete-input" in errors
    assert int(whole.attrib["errors"]) == 0


def test_github_gets_one_command_for_each_finding_and_none_from_a_name(
    run: Run, hostile: str
) -> None:
    lines = made(run, "github", *AUDIT, hostile).splitlines()
    assert len(lines) == len(findings(run, hostile))
    command = re.compile(
        r"::(error|warning|notice) (file=[^,:]+,line=\d+,col=1,title=[^,:]+)::(.*)"
    )
    levels = []
    for line in lines:
        match = command.fullmatch(line)
        assert match, line
        levels.append(match[1])
    assert levels == sorted(levels, key=("error", "warning", "notice").index)


def test_github_gets_what_its_own_toolkit_would_have_written(
    run: Run, hostile: str, tmp_path: Path
) -> None:
    """Each is decoded as the runner does (actions/runner, ActionCommand.cs) and written anew."""
    again = """
    import {createRequire} from "node:module";
    import {readFileSync} from "node:fs";
    const core = createRequire(process.argv[2] + "/")("@actions/core");
    const data = (text) =>
      text.replaceAll("%0D", "\\r").replaceAll("%0A", "\\n").replaceAll("%25", "%");
    const property = (text) => data(text.replaceAll("%3A", ":").replaceAll("%2C", ","));
    for (const line of readFileSync(0, "utf-8").split("\\n").filter(Boolean)) {
      const [, level, fields, text] = /^::(\\w+) (.*?)::(.*)$/s.exec(line);
      const pairs = fields.split(",").map((each) => each.split(/=(.*)/s).slice(0, 2));
      const found = Object.fromEntries(pairs);
      core[level](data(text), {file: property(found.file), title: property(found.title),
        startLine: Number(found.line), startColumn: Number(found.col)});
    }
    """
    text = made(run, "github", *AUDIT, hostile)
    done = node(again, text, tmp_path, modules("@actions/core@1.11.1"))
    fields = re.compile(r"::(\w+) (.*?)::(.*)")

    def parts(line: str) -> tuple[str, set[str], str]:
        match = fields.fullmatch(line)
        assert match, line
        return match[1], set(match[2].split(",")), match[3]

    assert [parts(line) for line in done.splitlines()] == [
        parts(line) for line in text.splitlines()
    ]


# What GitLab's parser asks of each entry (gitlabhq, app/validators/json_schemas/codeclimate.json),
# narrowed to what its documentation promises to show (CI/CD, Code Quality, report format).
_GITLAB_TEXT = {"type": "string", "minLength": 1}
_GITLAB = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": _GITLAB_TEXT,
            "check_name": _GITLAB_TEXT,
            "fingerprint": _GITLAB_TEXT,
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    # Relative to the repository, without "./" in front.
                    "path": {"type": "string", "pattern": r"^(?!\./)[^/].*"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}


def test_gitlab_gets_unique_fingerprints(run: Run, hostile: str) -> None:
    found = json.loads(made(run, "gitlab", *AUDIT, hostile))
    jsonschema.validate(found, _GITLAB)
    assert len(found) == len(findings(run, hostile))
    assert len({each["fingerprint"] for each in found}) == len(found)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("audit", "--approvals", APPROVALS), "findings"),
        (("plan", "--to", "4.22"), "changes"),
        (("who-can", "create", "virtualmachineinstancemigrations.kubevirt.io", "-A"), "grants"),
    ],
)
def test_csv_has_a_row_for_each_and_no_formula(
    arguments: tuple[str, ...], key: str, run: Run, hostile: str
) -> None:
    done = run(*arguments, "-f", hostile, "-o", "csv")
    assert done.stderr == ""
    head, *rows = csv.reader(io.StringIO(done.stdout, newline=""))
    report = json.loads(run(*arguments, "-f", hostile, "-o", "json").stdout)
    told = [*report[key], *report.get("related", [])]
    count = sum(len(each["places"]) * len(each["actions"]) for each in told if "places" in each)
    assert len(rows) == (count or len(told))
    assert all(len(row) == len(head) for row in rows)
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@|%\t\r"))]


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_markdown_shows_names_as_text_and_keeps_to_its_size(
    command: str, run: Run, hostile: str, tmp_path: Path
) -> None:
    to = ["--to", "4.22"] if command == "plan" else ["--approvals", APPROVALS]
    text = run(command, *to, "-f", hostile, "-o", "markdown").stdout
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    rendered = parser.render(text)
    tags = set(re.findall(r"</?([a-z0-9]+)", rendered, re.IGNORECASE))
    assert tags <= {
        *("h3", "p", "details", "summary", "b", "ul", "li", "code", "table", "thead", "tbody"),
        *("tr", "th", "td", "strong", "blockquote"),
    }  # fmt: skip
    assert "javascript:" not in re.findall(r'href="([^"]*)', rendered)
    many = [
        binding(f"b-{number}", "kubevirt.io:migrate", user(f"u{number}"), namespace="web")
        for number in range(1500)
    ]
    dump = write_dump(tmp_path / "many.json", [*objects("C"), *many])
    long = run(command, *to, "-f", dump, "-o", "markdown").stdout
    assert 40_000 < len(long) <= 65_536
    assert "are left out" in long


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pydot")
def test_graphviz_reads_the_same_chains(run: Run, hostile: str) -> None:
    text = made(run, "dot", *AUDIT, hostile)
    (graph,) = pydot.graph_from_dot_data(text) or []
    labels = {node.get("label") for node in graph.get_nodes() if node.get("label")}
    report = json.loads(made(run, "json", *AUDIT, hostile))
    steps = set()
    for holder in report["holders"]:
        for grant in holder["grants"]:
            ends = [grant["subject"], grant["binding"], *grant["roles"]]
            names = [f"{e['kind']} {e.get('namespace') or ''}/{e['name']}" for e in ends]
            steps |= set(pairwise(names))
    assert len(graph.get_edges()) == len(steps)
    assert len(labels) == len({name for step in steps for name in step})
    assert r'"User q\"];n9[shape=star];//"' in labels


def test_mermaid_is_nodes_and_arrows_and_says_what_it_leaves_out(
    run: Run, hostile: str, tmp_path: Path
) -> None:
    line = re.compile(
        r'  (?:n\d+\["[\w .:/@#;-]*"\]|n\d+ --> n\d+|linkStyle [\d,]+ stroke:#\w{6}'
        r"|classDef lost stroke:#\w{6}|more\[\"\d+ of \d+ steps are left out\"\]:::lost)"
    )
    head, *lines = made(run, "mermaid", *AUDIT, hostile).splitlines()
    assert head == "flowchart LR"
    assert [each for each in lines if not line.fullmatch(each)] == []
    many = [
        binding(f"b-{number}", "kubevirt.io:migrate", user(f"u{number}"), namespace="web")
        for number in range(600)
    ]
    dump = write_dump(tmp_path / "many.json", [*objects("C"), *many])
    long = made(run, "mermaid", "audit", "-f", dump)
    assert long.count("-->") <= 500
    assert len(long) <= 50_000
    assert "steps are left out" in long


def test_prometheus_reads_the_figures(run: Run, hostile: str, partial: str) -> None:
    def read(*arguments: str) -> dict[tuple[str, tuple[str, ...]], float]:
        text = run(*arguments, "-o", "prometheus").stdout
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    found = read(*AUDIT, hostile)
    high = [f for f in findings(run, hostile) if f["severity"] == "high"]
    assert found["rbacguard_findings", ("audit", "high")] == len(high)
    assert found["rbacguard_complete", ("audit",)] == 1
    assert read(*AUDIT, partial)["rbacguard_complete", ("audit",)] == 0
    verifying = ("verify", "--approvals", APPROVALS, "-f", partial)
    clean = json.loads(run(*verifying, "-o", "json").stdout)["clean"]
    expected = {True: 1, False: 0, None: -1}[clean]
    assert read(*verifying)["rbacguard_verify_clean", ()] == expected
    assert read("plan", "--to", "4.20", "-f", str(STATES["A"]))[
        "rbacguard_plan_subjects", ("lost",)
    ] == 12  # fmt: skip


@pytest.mark.parametrize("form", ["policyreport", "openreports"])
def test_policy_reports_sum_up_what_they_hold(form: str, run: Run, hostile: str) -> None:
    (report,) = yaml.safe_load_all(made(run, form, *AUDIT, hostile))
    counted = [each["result"] for each in report["results"]]
    assert report["summary"] == {
        key: counted.count(key) for key in ("pass", "fail", "warn", "error", "skip")
    }
    assert counted.count("fail") == len(findings(run, hostile))


@pytest.mark.parametrize("form", ["policyreport", "openreports"])
def test_policy_reports_are_what_their_types_say(
    form: str, run: Run, hostile: str, partial: str, tmp_path: Path
) -> None:
    """kubernetes-models has both types as JSON Schema, made from their Go source."""
    check = """
    import {pathToFileURL} from "node:url";
    import {readFileSync} from "node:fs";
    const models = (name) => import(pathToFileURL(
      `${process.argv[2]}/node_modules/@kubernetes-models/kyverno/${name}/index.js`));
    const {ClusterPolicyReport} = await models("wgpolicyk8s.io/v1alpha2");
    const {ReportResult, ReportSummary} = await models("openreports.io/v1alpha1");
    const check = (report) => {
      if (report.kind === "ClusterPolicyReport") return new ClusterPolicyReport(report).validate();
      new ReportSummary(report.summary).validate();
      for (const each of report.results) new ReportResult(each).validate();
    };
    const report = JSON.parse(readFileSync(0, "utf-8"));
    check(report);
    report.results[0].result = "nope";
    try { check(report); } catch { console.log(`${report.results.length} fit`); }
    """
    for dump in (hostile, partial):
        (report,) = yaml.safe_load_all(made(run, form, *AUDIT, dump))
        text = json.dumps(report, default=str)
        folder = modules("@kubernetes-models/kyverno@2.0.0")
        assert node(check, text, tmp_path, folder) == f"{len(report['results'])} fit\n"


@pytest.mark.parametrize("form", RESULTS)
def test_what_is_incomplete_never_reads_as_clean(form: str, run: Run, partial: str) -> None:
    text = made(run, form, *AUDIT, partial)
    assert "incomplete" in text or "Not everything" in text


@pytest.mark.parametrize("form", [*RESULTS, "html"])
def test_a_policy_that_cannot_be_decided_never_reads_as_clean(
    form: str, run: Run, tmp_path: Path
) -> None:
    """All of RBAC is there, but not which version runs."""
    unknown = ("KubeVirt", "HyperConverged")
    some = [
        o
        for o in objects("D")
        if o["kind"] not in unknown and "kubevirt.io" not in o["metadata"]["name"]
    ]
    dump = write_dump(tmp_path / "dump.json", some)
    report = json.loads(run("audit", "-f", dump, "-o", "json").stdout)
    undetermined = [p for p in report["policies"] if p["outcome"] == "unknown"]
    assert undetermined
    text = run("audit", "-f", dump, "-o", form).stdout
    assert "unknown" in text


@pytest.mark.parametrize("form", RESULTS)
@pytest.mark.parametrize("command", ["verify", "lint"])
def test_what_is_verified_or_linted_has_the_same_forms(form: str, command: str, run: Run) -> None:
    verifying = ["-f", str(STATES["C"]), "--approvals", APPROVALS]
    what = verifying if command == "verify" else ["tests/lint/cases"]
    text = made(run, form, command, *what)
    assert ("temporary-role-gone" if command == "verify" else "labels-not-a-map") in text or (
        form == "markdown"
    )


def test_several_formats_come_at_once_and_one_of_them_to_standard_output(
    run: Run, tmp_path: Path
) -> None:
    sarif, page = tmp_path / "out.sarif", tmp_path / "out.md"
    arguments = ["audit", "-f", str(STATES["C"])]
    done = run(*arguments, "-o", f"sarif={sarif}", "-o", f"markdown={page}", "-o", "csv")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == made(run, "csv", *arguments)
    assert sarif.read_text() == made(run, "sarif", *arguments)
    assert page.read_text() == made(run, "markdown", *arguments)
    page.write_text("of yesterday")
    assert run(*arguments, "-o", f"markdown={page}").stdout == ""
    assert page.read_text().startswith("### rbacguard audit")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-o", "csv", "-o", "json"], "one format goes to standard output"),
        (["-o", "pdf"], "'pdf' is no format; there are table, json"),
        (["-o", "csv="], "expected a file after '='"),
        (["-o", "csv=/no/such/folder/x"], "No such file"),
    ],
)
def test_a_wrong_output_is_one_line(options: list[str], expected: str, run: Run) -> None:
    done = run("audit", "-f", str(STATES["C"]), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr


def test_a_report_without_that_form_writes_nothing(run: Run, tmp_path: Path) -> None:
    first = tmp_path / "a.json"
    arguments = ["plan", "--to", "4.20", "-f", str(STATES["A"])]
    done = run(*arguments, "-o", f"json={first}", "-o", f"sarif={tmp_path / 'b.sarif'}")
    assert done.returncode == 2
    assert "-o sarif: not for plan" in done.stderr
    assert not list(tmp_path.glob("*.sarif")) + list(tmp_path.glob("a.json"))
