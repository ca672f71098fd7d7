"""The options of the server on the command line, and the settings that come of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from web.settings import MEGABYTE, Settings

if TYPE_CHECKING:  # what it imports takes a while, and other commands do without
    from web.serve import QueueSettings

EDITOR = Path(__file__).parent / "dist"  # as built from web/editor


class BadOption(ValueError):
    """An option that will not do; the message is a sentence for people."""


def add_options(serve: argparse.ArgumentParser) -> None:
    """Add what only the server knows."""
    where = serve.add_argument_group("where it listens, and to whom")
    where.add_argument(
        "--listen", action="append", metavar="ADDRESS",
        help="an address to listen at (default: 127.0.0.1, this machine alone); others need a --token",
    )  # fmt: skip
    where.add_argument("--port", type=port, default=8188, help="0: any that is free (default: 8188)")
    where.add_argument(
        "--token", action="append", default=[], dest="tokens", metavar="[USER=]SECRET",
        help="whoever comes must know it; with names, every user has folders of their own. Also read from the "
        "environment as DARKROOM_TOKEN, where other users of the machine cannot see it",
    )  # fmt: skip
    where.add_argument(
        "--insecure", action="store_true", help="listen anywhere without a token: anybody may do anything"
    )
    where.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name under which this machine is reached, beside localhost and numbers",
    )  # fmt: skip
    where.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN",
        help="another site whose pages may use the server, such as https://example.org",
    )  # fmt: skip
    where.add_argument(
        "--max-upload-size", type=float, default=100.0, metavar="MB", help="of a file that is sent (default: 100)"
    )
    pages = serve.add_argument_group("what it shows")
    pages.add_argument("--front-end", type=Path, metavar="DIR", help="the static folder of a front-end to serve")
    pages.add_argument("--preview-size", type=int, default=512, metavar="PX", help="the longer side (default: 512)")
    pages.add_argument(
        "--previews", choices=["none", "known", "all"], default="known",
        help="send pictures of work in progress to nobody, to clients that know of them, or to all, of which some "
        "take every picture for a result (default: known). A prompt can say otherwise for itself",
    )  # fmt: skip
    pages.add_argument("--log", choices=["text", "json"], default="text", help="how log lines look (default: text)")
    queue = serve.add_argument_group("the queue")
    queue.add_argument(
        "--queue", type=Path, metavar="FILE", help="where it is kept (default: state/queue.sqlite below --base)"
    )
    queue.add_argument("--at-once", type=int, default=4, metavar="N", help="jobs under way at a time (default: 4)")
    queue.add_argument("--waiting-most", type=int, default=10_000, metavar="N", help="jobs that may wait")
    queue.add_argument("--history-most", type=int, default=10_000, metavar="N", help="jobs that are over and are kept")
    queue.add_argument(
        "--durable", choices=["process", "power"], default="process",
        help="what an accepted job survives: the death of the process, or a cut of the power too (default: process)",
    )  # fmt: skip


def port(text: str) -> int:
    """A port number. Raises ArgumentTypeError for what is none."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")
    return int(text)


def settings_of(options: argparse.Namespace) -> Settings:
    """What the options and the environment say of the server. Raises BadOption."""
    given = [*options.tokens, *filter(None, [os.environ.pop("DARKROOM_TOKEN", None)])]
    tokens: dict[str, str] = {}
    for each in given:
        user, _, secret = each.rpartition("=")
        user = user or "default"
        if not secret or user in tokens:
            raise BadOption("A --token is a secret, or user=secret with another user each time.")
        tokens[user] = secret
    if options.front_end is not None and not (options.front_end / "index.html").is_file():
        raise BadOption(
            f"{options.front_end} holds no index.html; give the static folder of a front-end to --front-end."
        )
    for name, least in (("at_once", 1), ("waiting_most", 1), ("history_most", 0), ("preview_size", 1)):
        if getattr(options, name) < least:
            raise BadOption(f"--{name.replace('_', '-')} must be {least} or more.")
    if not 0 < options.max_upload_size < float("inf"):
        raise BadOption("--max-upload-size must be a number of megabytes above 0.")
    return Settings(
        options.base.absolute(),
        addresses=tuple(options.listen or ["127.0.0.1"]),
        port=options.port,
        tokens=tokens,
        allow_hosts=tuple(options.allow_host),
        allow_origins=tuple(options.allow_origin),
        upload_most_bytes=int(options.max_upload_size * MEGABYTE),
        front_end=options.front_end and options.front_end.absolute(),
        editor=EDITOR if (EDITOR / "index.html").is_file() else None,
        preview_px=options.preview_size,
        previews=options.previews,
    )


def queue_of(options: argparse.Namespace) -> QueueSettings:
    """What they say of the queue."""
    from graph.store import StoreLimits
    from web.serve import QueueSettings

    return QueueSettings(
        options.queue or options.base / "state" / "queue.sqlite",
        StoreLimits(finished=options.history_most),
        options.durable,
        options.at_once,
        options.waiting_most,
    )
