"""The page for auditors in a real browser: what it shows, what it does, what it never does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STATES, Run, binding, objects, user, write_dump
from playwright.sync_api import Browser, Page, sync_playwright
from programs import axe, mermaid

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
pytestmark = pytest.mark.xdist_group("browser")
SCRIPT = "<script>window.pwned = 1</script>"
QUOTE = '"><img src=x onerror="window.pwned = 1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield started
        started.close()


class Opened:
    """A page, and what it did that it should not."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.page: Page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)

    def quiet(self) -> None:
        assert self.said == []
        assert self.asked == [self.url]


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> str:
    more = [
        binding("evil", "admin", user(SCRIPT), user(QUOTE), namespace="web"),
        binding("</script><script>window.pwned = 1</script>", "admin", user("z"), namespace="web"),
    ]
    return write_dump(tmp_path_factory.mktemp("html") / "dump.json", [*objects("A"), *more])


def made(run: Run, tmp_path: Path, *arguments: str) -> Path:
    path = tmp_path / "report.html"
    done = run(*arguments, "-o", f"html={path}")
    assert (done.stdout, done.stderr) == ("", "")
    return path


@needs_browser
def test_the_table_is_searched_sorted_filtered_and_expanded(
    browser: Browser, run: Run, dump: str, tmp_path: Path
) -> None:
    opened = Opened(browser, made(run, tmp_path, "plan", "--to", "4.20", "-f", dump))
    page = opened.page
    report = json.loads(run("plan", "--to", "4.20", "-f", dump, "-o", "json").stdout)
    places = {
        (*(c["subject"].get(key) for key in ("kind", "namespace", "name")), place["namespace"])
        for c in report["changes"]
        for place in c["places"]
        if not c["reading"]
    }
    rows = page.locator("#table tbody tr")
    assert rows.count() == len(places)
    page.fill("#search", "alice payments")
    assert [r.split("\t")[0] for r in rows.all_inner_texts()] == ["User alice"]
    page.fill("#search", "")
    page.select_option("#change", "lost")
    assert set(page.locator("#table tbody td.lost").all_inner_texts()) == {"lost"}
    assert rows.count() == page.locator("#table tbody td.lost").count() > 10
    page.select_option("#change", "")
    page.click("th[data-column=subject] button")
    names = page.locator("#table tbody th").all_inner_texts()
    assert names == page.evaluate("n => [...n].sort((a, b) => a.localeCompare(b, 'en'))", names)
    page.click("th[data-column=subject] button")
    assert page.get_attribute("th[data-column=subject]", "aria-sort") == "descending"
    page.fill("#search", "alice payments")
    page.click("#table summary")
    chain = "RoleBinding payments/admin -> admin -> edit -> kubevirt.io:edit"
    assert page.locator("#table details li", has_text=chain).first.is_visible()
    opened.quiet()


@needs_browser
def test_a_finding_leads_to_its_chain_in_the_picture(
    browser: Browser, run: Run, tmp_path: Path
) -> None:
    opened = Opened(browser, made(run, tmp_path, "audit", "-f", str(STATES["C"])))
    page = opened.page
    every = page.locator("g.node").count()
    page.locator("li", has_text="User alice can grant live migration").get_by_role("button").click()
    assert page.input_value("#find") == "RoleBinding payments/admin"
    shown = {node.get_attribute("aria-label") for node in page.locator("g.node").all()}
    assert {"User alice", "RoleBinding payments/admin", "ClusterRole admin"} <= shown
    assert len(shown) < every
    page.locator('g.node[aria-label="User alice"]').focus()
    page.keyboard.press("Enter")
    assert page.input_value("#find") == "User alice"
    page.keyboard.press("Escape")
    assert page.locator("g.node").count() == every
    page.focus("#everything")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    labels = [node.get_attribute("aria-label") for node in page.locator("g.node").all()]
    for key, at in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1)):
        page.keyboard.press(key)
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused == labels[at]
    opened.quiet()


@needs_browser
def test_before_and_after_stand_side_by_side(browser: Browser, run: Run, tmp_path: Path) -> None:
    opened = Opened(browser, made(run, tmp_path, "plan", "--to", "4.20", "-f", str(STATES["A"])))
    holders = opened.page.locator(".picture")
    assert holders.locator("h3").all_inner_texts() == ["Before the update", "After the update"]
    label = 'g.node[aria-label="User carol"]'
    assert [holders.nth(index).locator(label).count() for index in (0, 1)] == [1, 0]
    opened.quiet()


@needs_browser
@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_hostile_name_is_text_wherever_it_stands(
    command: str, browser: Browser, run: Run, dump: str, tmp_path: Path
) -> None:
    to = ["--to", "4.20"] if command == "plan" else []
    opened = Opened(browser, made(run, tmp_path, command, *to, "-f", dump))
    page = opened.page
    assert page.locator("#table tbody th", has_text=SCRIPT).count() >= 1
    assert page.locator("#table tbody th", has_text=QUOTE).count() >= 1
    page.fill("#find", SCRIPT)
    assert page.locator("g.node text", has_text="User <script>").count() >= 1
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0
    opened.quiet()


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("command", ["audit", "plan"])
def test_axe_finds_nothing_serious(
    command: str, scheme: Any, browser: Browser, run: Run, tmp_path: Path
) -> None:
    script = axe()
    to = ["--to", "4.20"] if command == "plan" else []
    path = made(run, tmp_path, command, *to, "-f", str(STATES["A"]))
    # The page's own policy lets no other script in.
    opened = Opened(browser, path, color_scheme=scheme, bypass_csp=True)
    opened.page.add_script_tag(path=script)
    found = opened.page.evaluate("axe.run()")
    serious = [
        (each["id"], each["nodes"][0]["html"][:100])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert len(found["passes"]) > 10


@needs_browser
def test_on_paper_every_row_is_there(browser: Browser, run: Run, tmp_path: Path) -> None:
    many = [
        binding(f"b-{number}", "kubevirt.io:edit", user(f"u{number}"), namespace="web")
        for number in range(600)
    ]
    dump = write_dump(tmp_path / "dump.json", [*objects("A"), *many])
    opened = Opened(browser, made(run, tmp_path, "audit", "-f", dump))
    page = opened.page
    assert page.locator("#table tbody tr").count() == 200
    assert page.is_visible("#more")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#table tbody tr").count() > 600
    assert not page.is_visible("#find")
    opened.quiet()


@needs_browser
def test_two_thousand_objects_are_drawn_and_more_are_found(
    browser: Browser, run: Run, tmp_path: Path
) -> None:
    many = [
        binding(f"b-{number}", "kubevirt.io:edit", user(f"u{number}"), namespace="web")
        for number in range(1500)
    ]
    dump = write_dump(tmp_path / "dump.json", [*objects("A"), *many[:1000]])
    opened = Opened(browser, made(run, tmp_path, "audit", "-f", dump))
    page = opened.page
    drawn = page.locator("g.node").count()
    assert drawn > 2000
    assert page.inner_text(".picture .note").startswith(f"{drawn} objects, ")
    assert "left out" not in page.inner_text(".picture .note")
    last = page.locator("g.node[aria-label='User u987']")
    last.press("Enter")
    assert page.input_value("#find") == "User u987"
    assert page.locator("g.node").count() == 3
    opened.quiet()

    dump = write_dump(tmp_path / "dump.json", [*objects("A"), *many])
    opened = Opened(browser, made(run, tmp_path, "audit", "-f", dump))
    page = opened.page
    assert "are left out: search to narrow" in page.inner_text(".picture .note")
    page.fill("#find", "User u987")
    shown = {node.get_attribute("aria-label") for node in page.locator("g.node").all()}
    assert shown == {"User u987", "RoleBinding web/b-987", "ClusterRole kubevirt.io:edit"}
    opened.quiet()


def test_the_page_names_what_it_was_made_from_and_lets_nothing_in(run: Run, tmp_path: Path) -> None:
    import hashlib

    text = made(run, tmp_path, "audit", "-f", str(STATES["A"])).read_text("utf-8")
    digest = hashlib.sha256(STATES["A"].read_bytes()).hexdigest()
    assert digest in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert (
        policy[1].startswith("default-src &#x27;none&#x27;;") or "default-src 'none'" in policy[1]
    )
    assert "unsafe" not in policy[1]
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)


def test_a_report_without_a_page_is_refused(run: Run) -> None:
    done = run("diff", str(STATES["A"]), str(STATES["C"]), "-o", "html")
    assert (done.returncode, done.stdout) == (2, "")
    assert "-o html: not for diff" in done.stderr


def test_two_screenshots_stand_in_the_documentation() -> None:
    for name in ("report-plan.png", "report-audit.png"):
        assert (ROOT / "docs" / "images" / name).read_bytes().startswith(b"\x89PNG")


@needs_browser
def test_mermaid_draws_the_graph_with_every_name_as_text(
    browser: Browser, run: Run, dump: str, tmp_path: Path
) -> None:
    graph = run("audit", "-f", dump, "-o", "mermaid").stdout
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>t</title><body></body>")
    opened = Opened(browser, empty)
    opened.page.add_script_tag(path=mermaid())
    opened.page.evaluate(
        """async (graph) => {
            mermaid.initialize({startOnLoad: false, securityLevel: "loose", maxTextSize: 1e6});
            document.body.innerHTML = (await mermaid.render("drawn", graph)).svg;
        }""",
        graph,
    )
    drawn = opened.page.locator("body").inner_text()
    assert "RoleBinding payments/admin" in re.sub(r"\s+", " ", drawn)
    assert SCRIPT in re.sub(r"\s+", " ", drawn)
    assert opened.page.evaluate("window.pwned") is None
    opened.quiet()
