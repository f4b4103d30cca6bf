"""How soon listen.html of a long book is there in a browser: seconds and bytes.

python -m tests.measure.listen_page [WORDS]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.report.test_listen_in_browser import SHOWN
from tests.support.chromium import browser
from tests.support.listening import a_novel, write_listen_page

RUNS = 5


def main() -> None:
    """Print what it takes to write the page, to open it, and to jump in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="?", type=int, default=120_000)
    words = parser.parse_args().words
    figures: dict[str, float] = {"words": words}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.monotonic()
        path = write_listen_page(folder, a_novel(words))
        figures["write_s"] = time.monotonic() - start
        figures["html_mb"] = path.stat().st_size / 1e6
        opened, parsed, jumped = [], [], []
        for run in range(RUNS):
            with browser(folder / f"profile-{run}") as page:
                page.screen(1280)
                page.open(path)
                opened.append(page.evaluate(SHOWN))
                parsed.append(
                    page.evaluate("performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart")
                )
                jump = "(() => { const from = performance.now(); goTo(sentences.at(-1), false);"
                jump += " current.element.getBoundingClientRect(); return performance.now() - from; })()"
                jumped.append(page.evaluate(jump))
        figures["opened_s"] = median(opened)
        figures["slowest_s"] = max(opened)
        figures["script_done_s"] = median(parsed) / 1000
        figures["jump_to_the_end_s"] = median(jumped) / 1000
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
