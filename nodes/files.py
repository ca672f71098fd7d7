"""What nodes need to know of files: which one an embedding's name means, and whether a file is still the same."""

import hashlib
from pathlib import Path, PurePath

from graph.paths import Paths

EMBEDDING_ENDINGS = ("", ".safetensors", ".pt", ".bin")


def identity(path: Path) -> str:
    """Says whether a large file is the same as before without reading it: by place, size and time of writing."""
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def digest(path: Path) -> str:
    """Says whether a small file has the same content as before."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_embedding(paths: Paths, name: str) -> Path | None:
    """The file that `embedding:name` means: as named, else in any sub-folder, with or without its ending."""
    names = paths.list("embeddings")
    wanted = [name + ending for ending in EMBEDDING_ENDINGS]
    for found in (
        *(known for known in wanted if known in names),
        *(each for each in names if PurePath(each).name in wanted),
    ):
        return paths.find("embeddings", found)
    return None
