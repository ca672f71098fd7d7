"""What nodes need to know of files: whether one's content is as before, and which one an embedding's name means."""

import hashlib
from pathlib import Path, PurePath

from graph.paths import Paths

EMBEDDING_ENDINGS = ("", ".safetensors", ".pt", ".bin")


def digest(path: Path) -> str:
    """One hash of a file's content; for files that are small enough to be read for it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_embedding(paths: Paths, name: str) -> Path | None:
    """The file that `embedding:name` means: as named, else in any sub-folder, with or without its ending."""
    there = paths.list("embeddings")
    wanted = [name + ending for ending in EMBEDDING_ENDINGS]
    found = [each for each in wanted if each in there] or [each for each in there if PurePath(each).name in wanted]
    return paths.find("embeddings", found[0]) if found else None
