"""Input made to harm is refused in one line, within bounds of time and memory."""

from __future__ import annotations

import gzip
import io
import json
import resource
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from conftest import ROOT, STATES, Run, role, rule, user, write_dump
from conftest import binding as bound
from strategies import SCALE

from rbacguard.sources import files

MEMORY = 3 * 1024**3
"""Bytes of address space that a run may take."""
DEEP = 100_000
MEGABYTE = 1 << 20
APPROVALS = str(ROOT / "examples/approvals.yaml")

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
TEXTS = {
    "aliases that expand to 3,486,784,401 values": BOMB,
    "lists in lists": "[" * DEEP,
    "lists in lists, closed": "[" * DEEP + "]" * DEEP,
    "maps in maps": '{"a":' * DEEP + "1" + "}" * DEEP,
    "maps in maps, as YAML": "{a: " * DEEP,
    "lists in lists, as blocks": "- " * DEEP + "a",
    "keys in keys": "? " * DEEP + "a",
    "quotes that do not end": '"' + "a" * MEGABYTE,
    "a key of a megabyte": f"? {'k' * MEGABYTE}\n: 1\n",
    "a tag that would run a command": 'a: !!python/object/apply:os.system ["touch pwned"]\n',
    "a merge of itself": "a: &a\n  <<: *a\n",
    "anchors of a megabyte": f"a: &{'b' * MEGABYTE} 1\nc: *{'b' * MEGABYTE}\n",
    "empty documents": "---\n" * DEEP,
    "nothing but zeros": "\0" * MEGABYTE,
    "numbers of a megabyte": "a: " + "9" * MEGABYTE,
}
READERS = {
    "dump": ["audit", "-f", "FILE"],
    "approvals": ["verify", "-f", str(STATES["D"]), "--approvals", "FILE"],
    "policy": ["audit", "-f", str(STATES["A"]), "--policies", "FOLDER"],
    "kubeconfig": ["status", "--kubeconfig", "FILE"],
    "manifest": ["lint", "FILE"],
    "configuration": ["audit", "-f", str(STATES["A"]), "--config", "FILE"],
    "baseline": ["audit", "-f", str(STATES["A"]), "--baseline", "FILE"],
    "vms": ["readiness", "-f", "FILE"],
    "audit log": ["migrations", "-f", str(STATES["A"]), "--audit-log", "FILE"],
}
LINE = MEGABYTE * (1024 if SCALE > 1 else 48)
"""How long one line is: a gigabyte in the nightly run, which takes minutes and 6 GB of memory."""


def bounded() -> None:
    """Bound the memory of a process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_read_is_refused_in_one_line(
    run: Run, tmp_path: Path, reader: str, text: str
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    file = folder / "given.yaml"
    file.write_text(TEXTS[text])
    places = {"FILE": str(file), "FOLDER": str(folder)}
    arguments = [places.get(each, each) for each in READERS[reader]]
    done = run(*arguments, cwd=tmp_path, preexec_fn=bounded)
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 2000
    # Lint reports what it cannot read as a finding, or passes over what holds no RBAC.
    allowed = (0, 1, 2) if reader == "manifest" else (2, 3)
    assert done.returncode in allowed, done.stdout
    if done.returncode == 2:
        assert done.stderr.count("\n") == 1, done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["given"]


@pytest.mark.parametrize("first", ["a", '"', '{"a": "', "- "])
@pytest.mark.parametrize("reader", ["dump", "vms", "audit log"])
def test_a_line_without_end_takes_no_more_than_a_few_times_its_size(
    run: Run, tmp_path: Path, reader: str, first: str
) -> None:
    file = tmp_path / "given.yaml"
    with file.open("wb") as out:
        out.write(first.encode())
        for _ in range(LINE // MEGABYTE):
            out.write(b"a" * MEGABYTE)

    def enough() -> None:
        size = 6 * LINE + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    arguments = [str(file) if each == "FILE" else each for each in READERS[reader]]
    done = run(*arguments, cwd=tmp_path, preexec_fn=enough)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 2000


def zeros(packed: Callable[[bytes], bytes]) -> bytes:
    return packed(bytes(65 * MEGABYTE))


def in_zip(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", data)
    return file.getvalue()


def in_tar(data: bytes, *, times: int = 1) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(times):
            member = tarfile.TarInfo(f"{number}.json.gz")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


PACKED = {
    "gzip": lambda: zeros(gzip.compress),
    "zstd": lambda: zeros(zstandard.ZstdCompressor().compress),
    "zip": lambda: zeros(in_zip),
    "gzip in tar, a little each": lambda: in_tar(gzip.compress(bytes(MEGABYTE)), times=300),
    "gzip in tar in gzip": lambda: gzip.compress(in_tar(gzip.compress(bytes(MEGABYTE)), times=300)),
}


@pytest.mark.parametrize("kind", PACKED)
def test_what_unpacks_to_much_more_than_it_is_is_refused(
    run: Run, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "dump"
    file.write_bytes(PACKED[kind]())
    for command in (["audit", "-f", str(file)], ["lint", str(file)]):
        done = run(*command, preexec_fn=bounded)
        assert done.returncode == 2, done.stdout[:200]
        assert done.stderr.count("\n") == 1
        assert f"more than {files.MAX_RATIO} times its size" in done.stderr


def test_a_sparse_file_in_an_archive_is_passed_over(run: Run, tmp_path: Path) -> None:
    # Old GNU sparse format: a header that claims 8 TiB and has nothing.
    member = tarfile.TarInfo("huge.json")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"100000000000"[:12]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    dump = STATES["A"].read_bytes()
    rest = io.BytesIO()
    with tarfile.open(fileobj=rest, mode="w") as archive:
        real = tarfile.TarInfo("a.yaml")
        real.size = len(dump)
        archive.addfile(real, io.BytesIO(dump))
    file = tmp_path / "dump.tar"
    file.write_bytes(bytes(header) + rest.getvalue())
    with tarfile.open(file) as archive:
        assert [(each.name, each.issparse()) for each in archive] == [
            ("huge.json", True),
            ("a.yaml", False),
        ]
    done = run("status", "-f", str(file), preexec_fn=bounded)
    assert "Traceback" not in done.stderr
    assert "4.18" in done.stdout


def test_a_device_that_never_ends_is_refused(run: Run) -> None:
    done = run("audit", "-f", "/dev/zero", preexec_fn=bounded)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_names_of_a_megabyte_are_shown_and_bounded(run: Run, tmp_path: Path) -> None:
    rules = rule("create", "kubevirt.io", "virtualmachineinstancemigrations")
    items = [role("wide", rules), bound("b", "wide", user("n" * MEGABYTE), namespace="web")]
    path = write_dump(tmp_path / "dump.json", items)
    for form in ("table", "json", "html", "sarif", "dot"):
        done = run("audit", "-f", path, "-o", form, preexec_fn=bounded)
        assert done.returncode in (1, 3)
        assert "Traceback" not in done.stderr
        assert len(done.stdout) < 100 * MEGABYTE


def policy(where: str) -> str:
    return json.dumps(
        {
            "id": "given",
            "title": "t",
            "severity": "low",
            "stage": "any",
            "check": {"type": "binding"},
            "where": where,
            "message": "{binding}",
            "rationale": "r",
            "remediation": "r",
        }
    )


LONG = f"[{','.join(map(str, range(200)))}]"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (f"{LONG}.all(a, {LONG}.all(b, {LONG}.all(c, a + b + c >= 0)))", "budget"),
        ("(" * 1000 + "true" + ")" * 1000, "recursion"),
        ("'" + "a" * 5000 + "' == ''", "at most 4096"),
        ("subjects.exists(s, s.matches('(a+)+$') && s.matches('(.*)*x$'))", ""),
        ("open('/etc/passwd') != ''", "undeclared reference to 'open'"),
        ("subjects.__class__ != ''", "cannot be the operand of a select operation"),
    ],
)
def test_a_strangers_condition_reaches_nothing_and_ends(
    run: Run, tmp_path: Path, where: str, said: str
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "given.yaml").write_text(policy(where))
    done = run("audit", "-f", str(STATES["A"]), "--policies", str(folder), preexec_fn=bounded)
    assert "Traceback" not in done.stderr
    if said:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr
    else:
        assert done.returncode == 1


def test_no_template_of_a_strangers_is_ever_read(run: Run) -> None:
    helps = [run(*each, "--help").stdout for each in (["generate"], ["audit"], ["lint"])]
    assert "template" not in "".join(helps).replace("Templates are passed over", "")
