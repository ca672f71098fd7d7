"""Literal values of inputs: converted to the input's type, or refused with a sentence."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graph.problems import some
from graph.schema import Input
from graph.widgets import ModelNames
from graph.wire import plain

CONVERTERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "INT": (int, "a whole number"),
    "FLOAT": (float, "a number"),
    "STRING": (str, "a text"),
    "BOOLEAN": (bool, "true or false"),
}
LONGEST_SHOWN = 80  # characters


class Refusal(NamedTuple):
    """Why a value will not do; `sentence` continues "the input 'steps' "."""

    kind: str
    sentence: str
    extra: Mapping[str, Any]


def convert(item: Input, value: Any) -> Any:
    """The value in the input's type, by the rules of ComfyUI's server, or a Refusal; choices are not looked at."""
    wire = plain(item.type)
    if wire not in CONVERTERS:
        return value
    python_type, meaning = CONVERTERS[wire]
    try:
        converted = python_type(value)
    except (TypeError, ValueError, OverflowError) as error:
        sentence = f"takes {wire}, and {show(value)} is none; give {meaning}"
        return Refusal("invalid_input_type", sentence, {"received_value": value, "exception_message": str(error)})
    if isinstance(converted, float) and math.isnan(converted):
        return Refusal("invalid_input_type", "is not a number; give one", {"received_value": value})
    if item.open or wire == "STRING":
        return converted
    least, most = item.options.get("min"), item.options.get("max")
    if least is not None and converted < least:
        sentence = f"is {show(converted)}, which is below {least}; give {least} or more"
        return Refusal("value_smaller_than_min", sentence, {"received_value": value})
    if most is not None and converted > most:
        sentence = f"is {show(converted)}, which is above {most}; give {most} or less"
        return Refusal("value_bigger_than_max", sentence, {"received_value": value})
    return converted


def refuse_choice(item: Input, value: Any, choices: Sequence[Any]) -> Refusal:
    """The Refusal of a value that is not among the choices: says which are, and what may have been meant."""
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    meant = f"did you mean {show(near[0])}? There are" if near else "there are"
    if isinstance(item.choices, ModelNames):
        there = f"{meant}: {some(choices)}" if choices else "that folder is empty: put the file there"
        sentence = f"finds no file {show(value)} in models/{item.choices.kind}; {there}"
    else:
        sentence = f"is {show(value)}, which is not in its list; {meant}: {some(choices, 12)}"
    return Refusal("value_not_in_list", sentence, {"received_value": value})


def show(value: object) -> str:
    """A value for use in a sentence, long ones cut."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
