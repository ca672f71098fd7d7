"""Values of plain Python to what JSON can hold, and back, exactly: types, nesting, NaN, long integers and all."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graph.cache import Unkeepable
from graph.given import Blocked, Many

DEEPEST = 100  # levels of nesting; a value that contains itself has no end
SHORT = 2**63  # JSON's readers agree on integers below


def to_form(value: Any, parts: list[object], depth: int = 0) -> Any:
    """What JSON can hold. What is no plain Python is appended to `parts`, its place in there stands for it.

    Only the very types are plain, not classes derived from them. Raises Unkeepable for endless nesting.
    """
    if depth > DEEPEST:
        raise Unkeepable(f"it is nested more than {DEEPEST} levels deep")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -SHORT < value < SHORT else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
    if kind is str:
        return value if _is_text(value) else {"str": value.encode("utf-8", "surrogatepass").hex()}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is Blocked:
        return {"blocked": to_form(value.message, parts, depth + 1)}
    if kind is dict:
        return {"dict": [to_form(pair, parts, depth + 1)["tuple"] for pair in value.items()]}
    if kind in (list, tuple, Many):
        forms = [to_form(each, parts, depth + 1) for each in value]
        return forms if kind is list else {kind.__name__.lower(): forms}
    parts.append(value)
    return {"part": len(parts) - 1}


def from_form(form: Any, parts: Sequence[object]) -> Any:
    """The value again. Raises ValueError, LookupError or TypeError for what to_form() did not make."""
    if isinstance(form, list):
        return [from_form(each, parts) for each in form]
    if not isinstance(form, dict):
        return form
    [(kind, inner)] = form.items()
    return FROM[kind](inner, parts)


def _is_text(value: str) -> bool:
    """Whether it is all real characters: JSON would make one character of two halves."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


FROM: Mapping[str, Callable[[Any, Sequence[object]], object]] = {
    "int": lambda inner, parts: int(inner, 16),
    "float": lambda inner, parts: struct.unpack(">d", bytes.fromhex(inner))[0],
    "str": lambda inner, parts: bytes.fromhex(inner).decode("utf-8", "surrogatepass"),
    "bytes": lambda inner, parts: bytes.fromhex(inner),
    "blocked": lambda inner, parts: Blocked(from_form(inner, parts)),
    "dict": lambda inner, parts: {from_form(key, parts): from_form(value, parts) for key, value in inner},
    "tuple": lambda inner, parts: tuple(from_form(inner, parts)),
    "many": lambda inner, parts: Many(from_form(inner, parts)),
    "part": lambda inner, parts: parts[inner],
}
