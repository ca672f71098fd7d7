"""Paths: every file name that comes from outside becomes a real path here, confined to the folder it belongs to."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Literal

from graph.digests import Digests
from graph.files import walk
from graph.problems import some
from graph.saving import Ledger, Series

Where = Literal["input", "output", "temp"]
Names = list[str]

WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")
MODEL_FOLDERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # kind: (folders under models/, file name endings that count; () takes every file, ("",) those without an ending)
    "checkpoints": (("checkpoints",), WEIGHTS),
    "configs": (("configs",), (".yaml",)),
    "loras": (("loras",), WEIGHTS),
    "vae": (("vae",), WEIGHTS),
    "text_encoders": (("text_encoders", "clip"), WEIGHTS),
    "diffusion_models": (("unet", "diffusion_models"), WEIGHTS),
    "clip_vision": (("clip_vision",), WEIGHTS),
    "style_models": (("style_models",), WEIGHTS),
    "embeddings": (("embeddings",), WEIGHTS),
    "diffusers": (("diffusers",), ("folder",)),  # each is a folder, so that no file counts
    "vae_approx": (("vae_approx",), WEIGHTS),
    "controlnet": (("controlnet", "t2i_adapter"), WEIGHTS),
    "gligen": (("gligen",), WEIGHTS),
    "upscale_models": (("upscale_models",), WEIGHTS),
    "hypernetworks": (("hypernetworks",), WEIGHTS),
    "photomaker": (("photomaker",), WEIGHTS),
    "classifiers": (("classifiers",), ("",)),
    "model_patches": (("model_patches",), WEIGHTS),
    "audio_encoders": (("audio_encoders",), WEIGHTS),
}
SAVED_MODELS = {  # kind: folder under output/ where nodes save such models
    "checkpoints": "checkpoints",
    "text_encoders": "clip",
    "vae": "vae",
    "loras": "loras",
    "diffusion_models": "diffusion_models",
}
ALIASES = {"unet": "diffusion_models", "clip": "text_encoders"}
ANNOTATION = re.compile(r"\s*\[(input|output|temp)\]$")
SETTLED_S = 2.0  # a folder changed more recently than this may change again without a new time stamp


class PathError(ValueError):
    """A name from outside that leads nowhere it may; the message is a sentence for people."""


class Paths:
    """The folders of one installation. Safe to share between threads."""

    def __init__(
        self,
        base: Path,
        *,
        input_folder: Path | None = None,
        output_folder: Path | None = None,
        temp_folder: Path | None = None,
        models: Mapping[str, Iterable[Path]] | None = None,
        digests: Digests | None = None,
    ) -> None:
        """Folders lie under `base` unless given; `models` adds folders per kind, searched first.

        `digests` knows what files hold; by default it remembers as long as this object lives.
        """
        self.base = base.absolute()
        self._digests = digests or Digests()
        self.folders: Mapping[str, Path] = {
            "input": (input_folder or self.base / "input").absolute(),
            "output": (output_folder or self.base / "output").absolute(),
            "temp": (temp_folder or self.base / "temp").absolute(),
        }
        extra = {kind: tuple(Path(path).absolute() for path in found) for kind, found in (models or {}).items()}
        self._roots: dict[str, tuple[Path, ...]] = {}
        for kind in dict.fromkeys((*MODEL_FOLDERS, *extra)):
            standard = [self.base / "models" / name for name in MODEL_FOLDERS.get(kind, ((), ()))[0]]
            saved = [self.folders["output"] / SAVED_MODELS[kind]] if kind in SAVED_MODELS else []
            self._roots[kind] = (*extra.get(kind, ()), *standard, *saved)
        self._listed: dict[Path, tuple[dict[str, int], Names]] = {}  # root: ({folder: mtime in ns}, file names)

    # -- models

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of models, each with folders of its own."""
        return tuple(self._roots)

    def roots(self, kind: str) -> tuple[Path, ...]:
        """Folders of a kind of model, in the order they are searched. Raises PathError for an unknown kind."""
        found = self._roots.get(ALIASES.get(kind, kind))
        if found is None:
            raise PathError(f"there is no kind of model called {kind!r}; there are: {', '.join(self._roots)}")
        return found

    def list(self, kind: str) -> Names:
        """Names of all models of a kind, relative to their root, sorted."""
        return sorted({name for root in self.roots(kind) for name in self.list_below(kind, root)})

    def list_below(self, kind: str, root: Path) -> Names:
        """As list(), of one of the kind's folders alone, in no order."""
        endings = MODEL_FOLDERS.get(ALIASES.get(kind, kind), ((), ()))[1]
        names = self._files_below(root)
        return [name for name in names if not endings or PurePath(name).suffix.lower() in endings]

    def find(self, kind: str, name: str) -> Path:
        """The file of that name. Raises PathError, naming those there are, if there is none."""
        for root in self.roots(kind):
            path = confined(root, name, f"models/{kind}")
            if _is_file(path):
                return path
        raise PathError(f"no file {name!r} in models/{kind}; there are: {some(self.list(kind))}")

    # -- input, output and temp

    def annotated(self, name: str, default: Where = "input") -> Path:
        """The path that "picture.png" or "picture.png [output]" means, which need not exist."""
        mark = ANNOTATION.search(name)
        where = mark[1] if mark else default
        return confined(self.folders[where], name[: mark.start()] if mark else name, where)

    def find_annotated(self, name: str, default: Where = "input") -> Path:
        """As annotated(), of a file that is there. Raises PathError, naming those there are, if there is none."""
        path = self.annotated(name, default)
        if not _is_file(path):
            mark = ANNOTATION.search(name)
            where = mark[1] if mark else default
            raise PathError(f"no file {name!r} in the {where} folder; there are: {some(self.files(where))}")
        return path

    def files(self, where: str = "input") -> Names:
        """Names of the files directly in the input, output or temp folder, sorted."""
        folder = self.folders[where]
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file()) if folder.is_dir() else []

    def series(
        self, prefix: str, where: Where = "output", *, width: int = 0, height: int = 0, ledger: Ledger | None = None
    ) -> Series:
        """Numbered names for files to save, by ComfyUI's rule: `<prefix>_<number>_<ending>`.

        The prefix may name a sub-folder, and may hold %width%, %height%, %year%, %month%, %day%, %hour%, %minute%
        and %second%. With a ledger the names survive a crash. Raises PathError if it leads out of the folder.
        """
        now = time.localtime()
        values = {"width": width, "height": height, "year": now.tm_year}
        two_digits = {"month": now.tm_mon, "day": now.tm_mday, "hour": now.tm_hour, "minute": now.tm_min,
                      "second": now.tm_sec}  # fmt: skip
        for key, value in values.items():
            prefix = prefix.replace(f"%{key}%", str(value))
        for key, value in two_digits.items():
            prefix = prefix.replace(f"%{key}%", f"{value:02}")
        path, full = PurePath(prefix), confined(self.folders[where], prefix, where)
        return Series(full.parent if path.name else full, path.name, path.parent, where, ledger)

    # -- contents

    def digest(self, path: Path) -> str:
        """One hash of a file's content, for fingerprints; large files are not read again while they are as they were.

        Raises DigestError if it cannot be read.
        """
        return self._digests.of(path)

    # -- inside

    def _files_below(self, root: Path) -> Names:
        """Relative names of all files below a folder, links followed; read again only if some folder changed."""
        known = self._listed.get(root)
        if known is not None and all(_changed_ns(folder) == changed for folder, changed in known[0].items()):
            return known[1]
        folders: dict[str, int] = {}
        names: Names = []
        for folder, below, files in walk(root):
            folders[folder] = _changed_ns(folder)
            below[:] = [name for name in below if not name.startswith(".")]
            prefix = PurePath(folder).relative_to(root)
            names += (str(prefix / name) for name in files if not name.startswith("."))
        if folders and time.time() - max(folders.values()) / 1e9 > SETTLED_S:
            self._listed[root] = (folders, names)
        return names


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long for any file
        return False


def _changed_ns(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return -1


def confined(root: Path, name: str | PurePath, what: str) -> Path:
    """`root`/`name`, if that lies below root; links are followed, since only the folder's owner can make them.

    `what` names the folder to people. Raises PathError.
    """
    path = PurePath(name)
    if "\0" in str(path):
        raise PathError(f"the name {str(path)!r} holds a zero byte; no file is called so")
    if path.anchor or ".." in path.parts:
        raise PathError(f"{str(path)!r} leads out of the {what} folder; give a name inside it, without '..'")
    return root / path
