"""The seconds of each step of an analyst's walk over a run with a clearing series, and a picture of each.

aisf-geo run romania_forest --out /tmp/romania && aisf-geo serve /tmp/romania --port 8000 &
python benchmarks/walk.py http://127.0.0.1:8000 --out /tmp/walk
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from measured import about, keep
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from analyst_walk import Walk

FIGURE = "Tree cover cleared since the baseline year"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("address")
    options.add_argument("--out", type=Path, required=True, help="Folder for the pictures and the download.")
    options.add_argument("--width", type=int, default=1280)
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    before = about()
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": given.width, "height": 800}, locale="en-GB")
        page.set_default_timeout(120_000)
        walk = Walk(page, given.out)
        frame = walk(given.address, FIGURE)
        browser.close()
    took = {name: round(seconds, 2) for name, seconds in walk.took_s.items()}
    report = {**before, "rows": len(frame), "seconds": took, "total_s": round(sum(took.values()), 2)}
    print(json.dumps(report))
    keep("walk", report)


if __name__ == "__main__":
    main()
