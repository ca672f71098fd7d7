"""Modules of ComfyUI that node packs import, as far as Darkroom has them: a file for each, found by scanning."""

from __future__ import annotations

import dis
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

TAKEN = (
    "comfy comfy_api comfy_api_nodes comfy_config comfy_execution comfy_extras execution folder_paths latent_preview "
)
TAKEN += "node_helpers server"  # modules that only ComfyUI has
FROM = dis.opmap["IMPORT_FROM"]


class Lacking(MetaPathFinder):
    """Says of a module of ComfyUI that nobody else has found that Darkroom has none."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """None for the modules of others. Raises ModuleNotFoundError for ComfyUI's."""
        if name.split(".")[0] in TAKEN.split():
            raise ModuleNotFoundError(f"Darkroom does not have ComfyUI's module {name} yet", name=name)
        return None


def install() -> None:
    """Make the modules of this folder importable under their own names; once is enough, and more does no harm."""
    for found in pkgutil.walk_packages(__path__, f"{__name__}."):
        module = importlib.import_module(found.name)
        name = found.name.removeprefix(f"{__name__}.")
        module.__getattr__ = partial(_lacks, name)  # type: ignore[method-assign]
        sys.modules[name] = module
    if not any(isinstance(finder, Lacking) for finder in sys.meta_path):
        sys.meta_path.append(Lacking())


def _lacks(module: str, name: str) -> NoReturn:
    """What such a module does when it is asked for a name that it lacks. Packs may look whether a name is there."""
    sentence = f"Darkroom does not have {name} of ComfyUI's module {module} yet"
    code, position = sys._getframe(1).f_code.co_code, sys._getframe(1).f_lasti
    if (
        position >= 0 and code[position] == FROM
    ):  # of an AttributeError, `from … import …` would not pass the sentence on
        raise ImportError(sentence, name=module)
    raise AttributeError(sentence)
