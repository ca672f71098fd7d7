"""`make parity GOLDEN=folder`: compare Darkroom with a folder of reference numbers, a line per case."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab import parity_features, parity_graphs, parity_nodes, parity_sampling, parity_sd15, parity_text
from lab.cases import Case

BUILD = Path(__file__).resolve().parents[1] / "build"


def cases(folder: Path) -> Iterator[Case]:
    """Every case that the folder holds, the quick sets first."""
    yield from parity_sampling.cases(folder)
    yield from parity_text.cases(folder)
    yield from parity_features.cases(folder)
    full_size = parity_sd15.FullSize(folder, BUILD)
    yield from parity_nodes.cases(folder, lambda: full_size.parts[0])
    yield from parity_sd15.cases(full_size)
    yield from parity_graphs.cases(folder, lambda: full_size.checkpoint)


def report(case: Case) -> str:
    """Run a case and print its line; tells whether it passed, failed or was skipped."""
    result = case.run()
    if isinstance(result, str):
        print(f"skip  {case.name}: {result}", flush=True)
        return "skipped"
    if not result:
        print(f"skip  {case.name}: holds nothing to compare", flush=True)
        return "skipped"
    worst = max(result, key=lambda difference: difference.share)
    passed = all(difference.within for difference in result)
    print(f"{'ok   ' if passed else 'FAIL '} {case.name}: {worst}", flush=True)
    return "passed" if passed else "failed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare everything, or the cases whose names contain `--only`. Status 1 if something is off."""
    parser = argparse.ArgumentParser(prog="python -m lab.parity", description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of reference numbers")
    parser.add_argument("--only", default="", help="only the cases whose names contain this")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        print(f"There is no folder {options.folder}.", file=sys.stderr)
        return 2
    counts = Counter(report(case) for case in cases(options.folder) if options.only in case.name)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
