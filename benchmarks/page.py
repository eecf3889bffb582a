"""Opens a page in Chromium and measures how long it takes until its table can be read."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def open_page(path: Path, count: int) -> tuple[float, int]:
    """Return the median seconds until the first rows are drawn, and how many rows there are.

    Raises:
        SystemExit: Chromium is not installed.
    """
    if CHROMIUM is None:
        sys.exit("chromium is not installed (apt-get install chromium)")
    found, rows = [], 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for _ in range(count):
            page = browser.new_page()
            started = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("#table tbody tr")
            found.append(time.perf_counter() - started)
            rows = page.evaluate(
                "JSON.parse(document.querySelector('#data').textContent).rows.length"
            )
            page.close()
        browser.close()
    return statistics.median(found), rows
