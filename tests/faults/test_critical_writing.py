"""Output goes into the file that was named; what is no ordinary file is not replaced."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import write_dump
from fault_inputs import TODAY, Done, cluster, rbacguard

NULL = os.makedev(1, 3)
"""The numbers of /dev/null on Linux."""
WRITERS = {
    "report": ("who-can", "create", "vmim", "-A", "-f", "cluster.json", "-o", "json=target"),
    "HTML report": ("audit", "-f", "cluster.json", "--today", TODAY, "-o", "html=target"),
    "snapshot": ("snapshot", "-f", "cluster.json", "--force", "-o", "target"),
    "approvals": (
        *("approvals", "init", "-f", "cluster.json", "--to", "4.20"),
        *("--force", "-o", "target"),
    ),
}
SPECIAL = ["device", "FIFO", "link to a device", "link to a FIFO", "socket"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with a cluster, whose FIFOs have a reader."""
    write_dump(tmp_path / "cluster.json", cluster("A"))
    os.mkfifo(tmp_path / "fifo")
    # A reader that can also write waits for no writer. The pipe holds everything that is written.
    reader = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
    yield tmp_path
    os.close(reader)


def device(path: Path) -> None:
    """Make a device that accepts everything."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, NULL)
    except PermissionError:
        pytest.skip("only root can make a device")


def linked(name: str, make: Callable[[Path], None] | None = None) -> Callable[[Path], None]:
    """Return a function that makes a link to a file beside it."""

    def link(path: Path) -> None:
        if make is not None:
            make(path.with_name(name))
        path.symlink_to(name)

    return link


MAKE: dict[str, Callable[[Path], None]] = {
    "device": device,
    "FIFO": lambda path: path.hardlink_to(path.with_name("fifo")),
    "link to a device": linked("device", device),
    "link to a FIFO": linked("fifo"),
    "socket": lambda path: os.mknod(path, 0o666 | stat.S_IFSOCK),
}


def kinds(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the type and the inode of every file, links not followed."""
    found = {each.name: each.lstat() for each in folder.iterdir()}
    return {name: (stat.S_IFMT(each.st_mode), each.st_ino) for name, each in found.items()}


def is_refused_or_written(done: Done, codes: tuple[int, ...] = (0, 1, 3)) -> bool:
    """Whether a command ends without a traceback, as one that refused or wrote its output."""
    return "Traceback" not in done.stderr and done.returncode in (2, *codes)


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("writer", WRITERS)
def test_special_files_are_not_replaced(folder: Path, writer: str, special: str) -> None:
    MAKE[special](folder / "target")
    before = kinds(folder)
    done = rbacguard(folder, *WRITERS[writer])
    assert kinds(folder) == before
    assert is_refused_or_written(done), done.stderr


@pytest.mark.parametrize("content", ["old", None], ids=["file", "no file yet"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_to_a_file_is_kept(folder: Path, writer: str, content: str | None) -> None:
    real = folder / "real"
    if content is not None:
        real.write_text(content, "utf-8")
    (folder / "target").symlink_to("real")
    done = rbacguard(folder, *WRITERS[writer])
    assert (folder / "target").is_symlink()
    if done.returncode != 2:
        assert real.read_bytes() not in (b"", b"old")


@pytest.mark.parametrize("special", [*SPECIAL, "link to a file"])
@pytest.mark.parametrize("writer", ["snapshot", "approvals"])
def test_without_force_nothing_that_exists_is_replaced(
    folder: Path, writer: str, special: str
) -> None:
    if special == "link to a file":
        (folder / "real").write_text("old", "utf-8")
        (folder / "target").symlink_to("real")
    else:
        MAKE[special](folder / "target")
    before = kinds(folder)
    done = rbacguard(folder, *(each for each in WRITERS[writer] if each != "--force"))
    assert done.returncode == 2
    assert kinds(folder) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_an_ordinary_file_is_written(folder: Path, writer: str) -> None:
    (folder / "target").write_text("old", "utf-8")
    done = rbacguard(folder, *WRITERS[writer])
    assert is_refused_or_written(done), done.stderr
    assert (folder / "target").read_bytes() not in (b"", b"old")
