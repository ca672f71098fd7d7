"""Field specifiers of node classes: inputs that a person fills in (Text, Int, Float, Toggle, Choice), and sockets.

Each is called where a field's default stands: `steps: int = Int(default=20, min=1, max=10000)`. Its declared type is
that of the value, so that type checkers accept the line; what it returns is a dataclass field with a Widget in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeVar, cast

from graph.paths import Paths

T = TypeVar("T")


class Unset(Enum):
    """The type of a default that was not given."""

    UNSET = 0


UNSET: Final = Unset.UNSET


@dataclass(frozen=True)
class ModelNames:
    """The choices of an input that names a model file: whatever lies in that model folder now."""

    kind: str

    def __call__(self, paths: Paths) -> list[str]:
        return paths.list(self.kind)


@dataclass(frozen=True)
class Widget:
    """How an input is filled in; `options` in object_info's names, without the choices."""

    type: str  # INT, FLOAT, STRING, BOOLEAN, COMBO; "" for a socket, whose type its annotation gives
    options: Mapping[str, Any]
    optional: bool = False
    choices: Sequence[Any] | Callable[[Paths], Sequence[Any]] = ()
    open: bool = False  # a value outside the choices is allowed: the node's check() judges it


def Text(
    *,
    default: str | Unset = UNSET,
    optional: bool = False,
    multiline: bool = False,
    dynamic_prompts: bool = False,
    placeholder: str | None = None,
    force_input: bool = False,
    tooltip: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """A STRING input. `extra` holds further options, passed to clients untouched (as for every specifier)."""
    options = _options(
        default=default, tooltip=tooltip, multiline=multiline, dynamicPrompts=dynamic_prompts, placeholder=placeholder,
        forceInput=force_input, extra=extra,
    )  # fmt: skip
    return cast(str, _field(Widget("STRING", options, optional), default))


def Int(
    *,
    default: int | Unset = UNSET,
    optional: bool = False,
    min: int | None = None,
    max: int | None = None,
    step: int | None = None,
    display: Literal["number", "slider", "knob", "color"] | None = None,
    control_after_generate: bool | str = False,
    force_input: bool = False,
    tooltip: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> int:
    """An INT input; values outside `min`..`max` are refused, `step` only guides the client."""
    options = _options(
        default=default, tooltip=tooltip, min=min, max=max, step=step, display=display, forceInput=force_input,
        control_after_generate=control_after_generate, extra=extra,
    )  # fmt: skip
    return cast(int, _field(Widget("INT", options, optional), default))


def Float(
    *,
    default: float | Unset = UNSET,
    optional: bool = False,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    round: float | Literal[False] | None = None,
    display: Literal["number", "slider", "knob"] | None = None,
    force_input: bool = False,
    tooltip: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> float:
    """A FLOAT input; values outside `min`..`max` are refused, `step` and `round` only guide the client."""
    options = _options(
        default=default, tooltip=tooltip, min=min, max=max, step=step, display=display, forceInput=force_input,
        extra=extra,
    )  # fmt: skip
    if round is not None:
        options["round"] = round  # False is a value here: "do not round"
    return cast(float, _field(Widget("FLOAT", options, optional), default))


def Toggle(
    *,
    default: bool | Unset = UNSET,
    optional: bool = False,
    label_on: str | None = None,
    label_off: str | None = None,
    force_input: bool = False,
    tooltip: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bool:
    """A BOOLEAN input."""
    options = _options(
        default=default, tooltip=tooltip, label_on=label_on, label_off=label_off, forceInput=force_input, extra=extra
    )
    return cast(bool, _field(Widget("BOOLEAN", options, optional), default))


def Choice(
    options: Sequence[T] | Callable[[Paths], Sequence[T]],
    *,
    default: T | Unset = UNSET,
    optional: bool = False,
    open: bool = False,
    image_upload: bool = False,
    control_after_generate: bool | str = False,
    tooltip: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> T:
    """One of a list; the list may be asked for anew each time, given the paths (`ModelNames("checkpoints")` does so).

    Values outside the list are refused unless `open`, which leaves the judgement to the node's check().
    """
    wire = _options(
        default=default, tooltip=tooltip, image_upload=image_upload, control_after_generate=control_after_generate,
        extra=extra,
    )  # fmt: skip
    return cast(T, _field(Widget("COMBO", wire, optional, options, open), default))


def Wire(*, default: Unset | None = UNSET, tooltip: str | None = None, extra: Mapping[str, Any] | None = None) -> Any:
    """Options of a socket; with `default=None` (and a type `T | None`) the socket need not be connected."""
    return _field(Widget("", _options(tooltip=tooltip, extra=extra), optional=default is None), default)


def _options(*, extra: Mapping[str, Any] | None, default: object = UNSET, **named: object) -> dict[str, Any]:
    options: dict[str, Any] = {} if default is UNSET else {"default": default}
    options.update((name, value) for name, value in named.items() if value is not None and value is not False)
    return options | dict(extra or {})


def _field(widget: Widget, default: object) -> object:
    if default is UNSET:
        if widget.optional:
            raise TypeError("an optional input needs `default=`, the value that run() sees when nothing was given")
        return dataclasses.field(metadata={"widget": widget})
    return dataclasses.field(default=default, metadata={"widget": widget})
