"""Measures what profiling on many machines depends on, and writes docs/scaling.md: `scripts/scale`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from scale.page import BEGIN, END, render
from scale.parts import measure_images, measure_objects, measure_stores
from scale.passes import measure_passes

MEASURED = Path(__file__).with_name("measured.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/scale", description="Measure, then write docs/scaling.md.")
    parser.add_argument("--images", type=int, default=1000, help="of each prediction pass (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="passes of each kind, by turns (default: 3)")
    parser.add_argument("--json", type=Path, default=MEASURED, help="where the measurements go")
    parser.add_argument("--page", type=Path, help="the page whose figures are replaced (default: none)")
    parser.add_argument("--only-page", action="store_true", help="measure nothing: write the page from the JSON")
    args = parser.parse_args()
    if not args.only_page:
        folder = Path(tempfile.mkdtemp(prefix="scale-"))
        start = time.monotonic()
        try:
            found = measure_passes(folder, args.images, args.rounds)
            found["objects"] = measure_objects(folder)
            found["stores"] = measure_stores(folder)
            found["image_reads"] = measure_images(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found["seconds"] = round(time.monotonic() - start)
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    text = render(json.loads(args.json.read_text()))
    if args.page:
        page = args.page.read_text()
        head, rest = page.split(BEGIN)
        args.page.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
