"""`python -m lab.tiny train` trains the bundled checkpoint; `python -m lab.tiny score` measures it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lab.tiny import score, train
from lab.tiny.export import CHECKPOINT
from lab.tiny.pictures import contact_sheet, font_is_here


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 2 where the font that pictures come from is missing."""
    parser = argparse.ArgumentParser(prog="python -m lab.tiny", description="Train or measure the bundled checkpoint.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train", help="train it from nothing; goes on where an earlier run stopped")
    command.add_argument("--folder", type=Path, default=train.FOLDER, help="where states lie (default: %(default)s)")
    command.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="the file to write (default: %(default)s)")
    command = commands.add_parser("score", help="the share of prompts whose picture shows what was asked for")
    command.add_argument(
        "--checkpoint", type=Path, default=CHECKPOINT, help="the file to measure (default: %(default)s)"
    )
    command.add_argument("--json", type=Path, help="also write every prompt and what was found")
    command.add_argument("--sheet", type=Path, help="also write all pictures in one")
    command.add_argument("--every", type=int, default=1, help="ask only every Nth prompt")
    options = parser.parse_args(arguments)
    if not font_is_here():
        print("The emoji font is missing: install Debian's package fonts-noto-color-emoji.", file=sys.stderr)
        return 2
    if options.command == "train":
        train.train(options.folder, options.checkpoint)
        return 0
    asked = score.prompts()[:: options.every]
    found, pictures = [], []
    for each, picture in score.score(options.checkpoint, asked):
        found.append(each)
        pictures.append(picture)
        if sys.stderr.isatty():
            print(f"\r{len(found)}/{len(asked)}", end="", file=sys.stderr, flush=True)
    print("\n" * sys.stderr.isatty() + score.table(score.summary(found)))
    if options.json:
        options.json.write_text(score.as_json(found), encoding="utf-8")
    if options.sheet:
        contact_sheet(pictures, 16).save(options.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
