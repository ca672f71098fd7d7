"""Folders of third-party node packs in; their classes in the registry, and a report of each pack, out."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from compat import shims
from compat.declared import DeclarationError
from compat.from_v1 import adapt
from graph.fingerprint import digest_sources
from graph.node import Node, is_concrete
from graph.problems import some
from graph.registry import Registry

PRESTART = "prestartup_script.py"


@dataclass(frozen=True)
class PackReport:
    """What became of one pack."""

    path: Path  # a folder or a .py file
    problem: str | None = None  # why nothing of it is there: a sentence
    notes: tuple[str, ...] = ()  # what of it is not there, and why
    classes: Mapping[str, type[Node[Any]]] = field(default_factory=dict)  # in the registry, by class_type
    web: Path | None = None  # the folder of its scripts for the editor
    digest: str = ""  # of its sources
    seconds: float = 0.0  # that importing it took

    @property
    def name(self) -> str:
        """The pack's name: that of its folder or file."""
        return self.path.stem if self.path.is_file() else self.path.name


def load(folders: Iterable[Path], registry: Registry) -> list[PackReport]:
    """Import every pack in these folders, by name, and add its classes to the registry.

    A class that is there already stays; of packs that have a class of the same name, the last one's is taken. A pack
    that cannot be imported is reported, and the others go on.
    """
    paths = [path for folder in folders for path in packs_in(folder)]
    if not paths:
        return []
    shims.install()
    early = {path: _prestart(path) for path in paths}
    reports = [_load(path, early[path]) for path in paths]
    last = {name: number for number, report in enumerate(reports) for name in report.classes}
    kept = [
        _shadowed(report, registry, {name: reports[winner].name for name, winner in last.items() if winner != number})
        for number, report in enumerate(reports)
    ]
    for report in kept:
        for cls in report.classes.values():
            registry.add(cls)
    return kept


def packs_in(folder: Path) -> list[Path]:
    """The packs of a folder in order of their names: folders and .py files, unless they are hidden or disabled."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if (path.is_dir() or path.suffix == ".py")
        and not path.name.startswith(".")
        and not path.name.endswith(".disabled")
        and path.name != "__pycache__"
    ]


def code_of(reports: Iterable[PackReport], house: str) -> Callable[[type[Node[Any]]], str]:
    """For the engine: the digest of the code behind a class. `house` is that of Darkroom's own, which packs use too."""
    own = {cls: f"{house} {report.digest}" for report in reports for cls in report.classes.values()}
    return lambda cls: own.get(cls, house)


# ── one pack ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _prestart(path: Path) -> tuple[str, ...]:
    """Run what a pack wants to have run before any pack is imported; a note if that fails."""
    script = path / PRESTART
    if not script.is_file():
        return ()
    try:
        runpy.run_path(str(script))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return (f"its {PRESTART} failed: {_reason(error, path)}",)
    return ()


def _load(path: Path, notes: tuple[str, ...]) -> PackReport:
    began = time.perf_counter()
    try:
        with _undone_on_error(path):
            module = _import(path)
            classes, faults = _classes(module, f"custom_nodes.{path.stem if path.is_file() else path.name}")
            digest = _digest(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() is one, too
        return PackReport(path, _reason(error, path), notes, seconds=time.perf_counter() - began)
    web = getattr(module, "WEB_DIRECTORY", None)
    folder = path / web if isinstance(web, str) and path.is_dir() else None
    return PackReport(
        path, None, (*notes, *faults), classes, folder if folder is not None and folder.is_dir() else None, digest,
        time.perf_counter() - began,
    )  # fmt: skip


class NoPack(ValueError):
    """What lies in the folder is no pack; the message is a sentence for people."""


def _import(path: Path) -> ModuleType:
    """The pack's module, named as ComfyUI names it: by its path, in which no dot may be."""
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise NoPack("there is no __init__.py in it, so that Python cannot import it")
    spec = importlib.util.spec_from_file_location(_module_name(path), file)
    assert spec is not None
    assert spec.loader is not None
    _forget(path, sys.modules)  # of an earlier time, in the same program
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _module_name(path: Path) -> str:
    return str(path.absolute()).replace(".", "_x_")


def _classes(module: ModuleType, name: str) -> tuple[dict[str, type[Node[Any]]], list[str]]:
    """The classes that a pack brings, of both kinds, and what is wrong with some. Raises NoPack if it is no pack."""
    mapping = getattr(module, "NODE_CLASS_MAPPINGS", None)
    native = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Node) and is_concrete(each) and not each.__name__.startswith("_")
        and f"{each.__module__}.".startswith(f"{module.__name__}.")  # not one that it imported from elsewhere
    ]  # fmt: skip
    if mapping is None and not native:
        if hasattr(module, "comfy_entrypoint"):
            raise NoPack("it is written for ComfyUI's V3 protocol (comfy_entrypoint), which Darkroom does not have yet")
        raise NoPack("it has neither a NODE_CLASS_MAPPINGS nor node classes of Darkroom's own kind")
    displays = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
    turn = threading.Lock()
    found: dict[str, type[Node[Any]]] = {}
    faults: list[str] = []
    for class_type, cls in {**{each.__name__: each for each in native}, **(mapping or {})}.items():
        try:
            cls.RELATIVE_PYTHON_MODULE = name
            if not (isinstance(cls, type) and issubclass(cls, Node)):
                cls = adapt(str(class_type), cls, module=name, display=displays.get(class_type), turn=turn)
            found[cls.schema().name] = cls
        except DeclarationError as error:
            faults.append(f"{error}, and is left out")
        except Exception as error:  # the pack's own code
            faults.append(f"the class {class_type} is left out: {type(error).__name__}: {error}")
    return found, faults


def _shadowed(report: PackReport, registry: Registry, later: Mapping[str, str]) -> PackReport:
    """The report without the classes that are not used, since Darkroom or a later pack has one of the same name."""
    taken = [name for name in report.classes if name in registry]
    beaten = [name for name in report.classes if name in later and name not in registry]
    notes = [f"{name} is not used: the pack {later[name]} has one, too" for name in beaten]
    if taken:
        notes.insert(0, f"not used, since Darkroom has classes of these names: {some(taken)}")
    classes = {name: cls for name, cls in report.classes.items() if name not in taken and name not in beaten}
    return replace(report, classes=classes, notes=(*report.notes, *notes))


def _digest(path: Path) -> str:
    return digest_sources([path]) if path.is_dir() else hashlib.blake2b(path.read_bytes(), digest_size=20).hexdigest()


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _undone_on_error(path: Path) -> Iterator[None]:
    """If the block raises, the pack's modules and its changes to sys.path are gone."""
    modules, search = set(sys.modules), list(sys.path)
    try:
        yield
    except BaseException:
        sys.path[:] = search
        _forget(path, set(sys.modules) - modules)
        raise


def _forget(path: Path, names: Iterable[str]) -> None:
    """Of these modules, forget the pack's own, by whatever name it imported them."""
    own = _module_name(path)
    for name in list(names):
        file = getattr(sys.modules[name], "__file__", None) or ""
        if f"{name}.".startswith(f"{own}.") or file.startswith(f"{path.absolute()}{os.sep}"):
            del sys.modules[name]


def _reason(error: BaseException, path: Path) -> str:
    """Why a pack cannot be imported, as a sentence."""
    match error:
        case NoPack():
            return f"{error}."
        case ModuleNotFoundError(name=str(name)) if not str(error).startswith("Darkroom"):
            requirements = path / "requirements.txt"
            how = f"pip install -r {requirements}" if requirements.is_file() else f"pip install {name.split('.')[0]}"
            return f"it needs the Python package {name.split('.')[0]}, which is not installed; perhaps: {how}"
        case ImportError() if str(error).startswith("Darkroom"):
            return f"{error}."
        case SyntaxError():
            return f"{_place(error.filename, error.lineno, path)} is not Python: {error.msg}."
        case SystemExit():
            return f"it ends the program while it is imported ({_where(error, path)})."
    return f"{type(error).__name__}: {error} ({_where(error, path)})."


def _where(error: BaseException, path: Path) -> str:
    """The last line of the pack's own that the error came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(path))]
    return _place(frames[-1].filename, frames[-1].lineno, path) if frames else "outside of the pack's own code"


def _place(file: str | None, line: int | None, path: Path) -> str:
    name = path.name if file is None or path.is_file() else os.path.relpath(file, path)
    return f"{name}, line {line}"
