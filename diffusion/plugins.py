"""The plug-in folders: every file of such a folder is imported once, and what it decorates is in the registry."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package so that its decorators run. A leading underscore marks shared helpers."""
    for module in iter_modules(path):
        if not module.name.startswith("_"):
            import_module(f"{package}.{module.name}")


def in_order(names: Iterable[str], order: str) -> tuple[str, ...]:
    """The names in a given order, written with spaces between; those that it does not list come last, by alphabet."""
    place = {name: index for index, name in enumerate(order.split())}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(place)), name)))
