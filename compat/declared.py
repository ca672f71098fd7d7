"""What a class of ComfyUI's V1 protocol declares of itself: to a Schema, and to object_info's form."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from graph.paths import Paths
from graph.schema import HIDDEN_MARKERS, Input, Lane, Output, Schema
from graph.wire import ANY, COMBO, plain

# A class that takes or gives one of these computes on the device.
NETWORKS = {
    "MODEL", "CLIP", "VAE", "CONDITIONING", "CONTROL_NET", "CLIP_VISION", "STYLE_MODEL", "GLIGEN", "UPSCALE_MODEL",
    "GUIDER",
}  # fmt: skip
# No person can write such a value. Any other type may have a widget of the pack's own.
SOCKETS = NETWORKS | {
    "LATENT", "IMAGE", "MASK", "CLIP_VISION_OUTPUT", "SAMPLER", "SIGMAS", "NOISE", "HOOKS", "LORA_MODEL", "MODEL_PATCH",
    "AUDIO", "VIDEO",
}  # fmt: skip
MARKERS = frozenset({*HIDDEN_MARKERS.values(), "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"})
UNHEARD_OF = "a type that no class declares"


class DeclarationError(ValueError):
    """A class that declares too little of itself to be run; the message is a sentence for people."""


@dataclass(frozen=True)
class Judged:
    """The inputs that a class validates by itself: those that VALIDATE_INPUTS names, or all where it has **kwargs."""

    names: frozenset[str] = frozenset()
    all: bool = False
    judges_links: bool = False  # it wants to know the types of what is linked

    def __contains__(self, name: str) -> bool:
        return self.all or name in self.names


@dataclass(frozen=True)
class Declared:
    """A V1 class, under the name that documents use, with what its pack says of it besides."""

    name: str
    cls: type
    display: str
    module: str  # as clients see it: custom_nodes.<pack>

    def __post_init__(self) -> None:
        """Raises DeclarationError naming what is missing."""
        for wanted in ("INPUT_TYPES", "RETURN_TYPES", "FUNCTION"):
            if not hasattr(self.cls, wanted):
                raise DeclarationError(f"the class {self.name} has no {wanted}")
        if not callable(self.trait(self.function)):
            raise DeclarationError(f"the class {self.name} has no method {self.function}, which its FUNCTION names")

    def trait(self, name: str, default: Any = None) -> Any:
        """A class attribute."""
        return getattr(self.cls, name, default)

    @property
    def is_async(self) -> bool:
        """Whether its function is a coroutine."""
        return inspect.iscoroutinefunction(self.trait(self.function))

    @property
    def takes_lists(self) -> bool:
        """Whether one call gets the whole list of each input."""
        return bool(self.trait("INPUT_IS_LIST"))

    @property
    def function(self) -> str:
        """The name of its method that runs."""
        return str(self.trait("FUNCTION"))

    def input_types(self) -> Any:
        """What INPUT_TYPES gives now: nested mappings, which may answer to more names than they list."""
        return self.cls.INPUT_TYPES()  # type: ignore[attr-defined]

    def judged(self) -> Judged:
        """Which inputs the class validates by itself."""
        validate = self.trait("VALIDATE_INPUTS")
        if validate is None:
            return Judged()
        parameters = inspect.signature(validate).parameters.values()
        names = frozenset(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)
        return Judged(
            names - {"input_types"}, any(each.kind is each.VAR_KEYWORD for each in parameters), "input_types" in names
        )

    def outputs(self) -> tuple[Output, ...]:
        """Its outputs; names and lists that are shorter than RETURN_TYPES are filled up."""
        types = as_tuple(self.trait("RETURN_TYPES"))
        names, whole, tooltips = (
            as_tuple(self.trait(each)) for each in ("RETURN_NAMES", "OUTPUT_IS_LIST", "OUTPUT_TOOLTIPS")
        )
        return tuple(
            Output(
                name=str(names[number]) if number < len(names) else wire_type(kind),
                type=wire_type(kind),
                whole=bool(number < len(whole) and whole[number]),
                tooltip=tooltips[number] if number < len(tooltips) else None,
            )
            for number, kind in enumerate(types)
        )

    def schema(self, types: Any) -> Schema:
        """The class as the engine sees it, given its input types."""
        judged = self.judged()
        inputs: dict[str, Input] = {}
        for group in ("required", "optional"):
            for name, spec in specs(types, group):
                inputs.setdefault(name, self._input(name, spec, group, judged))
        for name, marker in specs(types, "hidden"):
            if not is_marker(marker):  # what the document gives under that name is passed on
                inputs.setdefault(name, Input(name, ANY, required=False, literal=True, open=True))
        markers = hidden_markers(types).values()
        return self._with_traits(inputs, tuple(key for key, marker in HIDDEN_MARKERS.items() if marker in markers))

    def schema_without_inputs(self) -> Schema:
        """The class as far as it can be known while its INPUT_TYPES fails."""
        return self._with_traits({}, ())

    def undeclared(self, name: str) -> Input | None:
        """What a class whose inputs are a mapping that claims to hold any name declares that one as."""
        types = self.input_types()
        for group in ("required", "optional"):
            if group in types and name in types[group]:
                return self._input(name, types[group][name], "optional", self.judged())
        return None

    def object_info(self) -> dict[str, Any]:
        """The class in object_info's form; what INPUT_TYPES gives is passed on as it is. Raises what that raises."""
        types = self.input_types()
        outputs = self.outputs()
        returned = as_json(as_tuple(self.trait("RETURN_TYPES")))
        names = as_tuple(self.trait("RETURN_NAMES"))
        info: dict[str, Any] = {
            "input": {group: as_json(dict(specs(types, group))) for group in types},
            "input_order": {group: [name for name, _ in specs(types, group)] for group in types},
            "output": returned,
            "output_is_list": [output.whole for output in outputs],
            "output_name": as_json([*names, *returned[len(names) :]]),
            "name": self.name,
            "display_name": self.display,
            "description": str(self.trait("DESCRIPTION") or ""),
            "python_module": self.module,
            "category": str(self.trait("CATEGORY") or "sd"),
            "output_node": self.trait("OUTPUT_NODE") is True,
        }
        if hasattr(self.cls, "OUTPUT_TOOLTIPS"):
            info["output_tooltips"] = as_json(self.trait("OUTPUT_TOOLTIPS"))
        info.update({key.lower(): True for key in ("DEPRECATED", "EXPERIMENTAL") if self.trait(key)})
        if hasattr(self.cls, "API_NODE"):
            info["api_node"] = as_json(self.trait("API_NODE"))
        return info

    def _with_traits(self, inputs: Mapping[str, Input], hidden: tuple[str, ...]) -> Schema:
        outputs = self.outputs()
        return Schema(
            name=self.name, inputs=inputs, outputs=outputs, display=self.display, hidden=hidden,
            description=str(self.trait("DESCRIPTION") or ""), category=str(self.trait("CATEGORY") or "sd"),
            module=self.module, effect=self.trait("OUTPUT_NODE") is True, lane=self._lane(inputs, outputs),
            variadic=True, takes_lists=self.takes_lists, by_id=bool(self.trait("NOT_IDEMPOTENT")), foreign=True,
            checks_links=self.judged().judges_links, undeclared=self.undeclared,
            deprecated=bool(self.trait("DEPRECATED")), experimental=bool(self.trait("EXPERIMENTAL")),
            describe=self.object_info,
        )  # fmt: skip

    def _lane(self, inputs: Mapping[str, Input], outputs: Sequence[Output]) -> Lane:
        if self.is_async:
            return "async"
        there = {*(item.type for item in inputs.values()), *(output.type for output in outputs)}
        return "cpu" if NETWORKS.isdisjoint(part.strip() for kind in there for part in kind.split(",")) else "device"

    def _input(self, name: str, spec: Any, group: str, judged: Judged) -> Input:
        kind, options = read_spec(spec)
        wire = wire_type(kind)
        choices: Sequence[Any] | Callable[[Paths], Sequence[Any]] = ()
        if wire == COMBO:
            choices = partial(self._choices, name)
        unchecked = wire == COMBO and isinstance(kind, str)  # ComfyUI looks at the choices of the older form alone
        return Input(
            name, wire, group == "required", _sane(options), choices=choices, literal=wire not in SOCKETS,
            open=unchecked or name in judged, lazy=bool(options.get("lazy")), raw=bool(options.get("rawLink")),
        )  # fmt: skip

    def _choices(self, name: str, paths: Paths) -> Sequence[Any]:
        """What an input offers now: asked for anew, since files come and go."""
        types = self.input_types()
        for group in ("required", "optional"):
            if group in types and name in types[group]:
                kind, options = read_spec(types[group][name])
                found = options.get("options", ()) if isinstance(kind, str) else kind
                return list(found) if isinstance(found, list | tuple) else ()
        return ()


def specs(types: Any, group: str) -> Iterator[tuple[str, Any]]:
    """The inputs of one group of INPUT_TYPES' result by name, which may be mappings that answer to any name besides."""
    found = types[group] if group in types else {}  # noqa: SIM401  # what may be overridden is __getitem__
    if isinstance(found, Mapping):
        for name in found:
            yield str(name), found[name]


def hidden_markers(types: Any) -> dict[str, str]:
    """The hidden inputs, each with the word for what it gets."""
    return {name: marker for name, marker in specs(types, "hidden") if is_marker(marker)}


def is_marker(value: Any) -> bool:
    """Whether it is one of the words for what a hidden input gets."""
    return isinstance(value, str) and value in MARKERS


def read_spec(spec: Any) -> tuple[Any, Mapping[str, Any]]:
    """Type and options of an input: (type,), (type, {…}), or the type alone, which authors write by mistake."""
    if not isinstance(spec, list | tuple):
        return spec, {}
    kind = spec[0] if spec else ANY
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    return kind, options


def wire_type(kind: Any) -> str:
    """The wire type of a declared one: a list of choices is COMBO, a text that claims to equal any other is "*"."""
    if isinstance(kind, list | tuple):
        return COMBO
    # It is __ne__ that packs override.
    return plain(kind) if isinstance(kind, str) and kind != UNHEARD_OF else ANY


def as_tuple(value: Any) -> tuple[Any, ...]:
    """A class attribute that should be a tuple, and is a single text where its author forgot the comma."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def as_json(value: Any) -> Any:
    """The value in JSON's types: texts of other classes as the text they are, what JSON cannot say as its repr."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, int | float):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return {str(key): as_json(value[key]) for key in value}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(each) for each in value]
    return as_json(value.value) if isinstance(value, Enum) else repr(value)


def _sane(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, without a range that is none."""
    found = {str(key): options[key] for key in options}
    for key in ("min", "max"):
        limit = found.get(key)
        if limit is not None and (not isinstance(limit, int | float) or math.isnan(limit)):
            del found[key]
    return found
