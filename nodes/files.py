"""Which file an embedding's name means."""

from pathlib import Path, PurePath

from graph.paths import Paths

EMBEDDING_ENDINGS = ("", ".safetensors", ".pt", ".bin")


def find_embedding(paths: Paths, name: str) -> Path | None:
    """The file that `embedding:name` means: as named, else in any sub-folder, with or without its ending."""
    there = paths.list("embeddings")
    wanted = [name + ending for ending in EMBEDDING_ENDINGS]
    found = [each for each in wanted if each in there] or [each for each in there if PurePath(each).name in wanted]
    return paths.find("embeddings", found[0]) if found else None
