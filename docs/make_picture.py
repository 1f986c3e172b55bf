"""Make docs/demo.png from the report of `make demo`: before, after, and what was cleared between."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIDE, GAP = 400, 8


def main() -> None:
    """Read the report's three maps and write them side by side."""
    page = (ROOT / "out/demo/romania_forest/report.html").read_text(encoding="utf-8")
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)[:3]
    maps = [Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB") for text in found]
    height = round(SIDE * maps[0].height / maps[0].width)
    sheet = Image.new("RGB", (3 * SIDE + 2 * GAP, height), "white")
    for i, each in enumerate(maps):
        sheet.paste(each.resize((SIDE, height), Image.Resampling.NEAREST), (i * (SIDE + GAP), 0))
    sheet.save(ROOT / "docs/demo.png", optimize=True)


if __name__ == "__main__":
    main()
