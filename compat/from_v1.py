"""A class of ComfyUI's V1 protocol in, a node class of the engine out."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from compat.calls import enter, settled
from compat.declared import Declared, hidden_markers
from compat.instances import Instances
from compat.returned import understand
from compat.shims.comfy_execution.graph import DynamicPrompt
from graph.call import shells
from graph.context import Context
from graph.document import Link
from graph.node import Node
from graph.paths import Paths
from graph.schema import Schema

FRESH_S = 1.0  # INPUT_TYPES may list folders, and is needed for each node of a workflow


def adapt(
    name: str,
    cls: type,
    *,
    module: str,
    display: str | None = None,
    turn: AbstractContextManager[Any] | None = None,
    fresh_s: float = FRESH_S,
) -> type[V1Node]:
    """The node class `name` for a V1 class; `module` is python_module in object_info.

    turn: a lock that its functions are called under, together with those of other classes: ComfyUI calls one node at a
    time, and packs rely on it. By default the class has one of its own. Coroutines share one thread, and need none.
    What the class declares is asked for anew when it is older than `fresh_s`, choices and object_info always.
    Raises DeclarationError for a class that lacks INPUT_TYPES, RETURN_TYPES or its FUNCTION.
    """
    members = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "declared": Declared(name, cls, display or name, module),
        "instances": Instances(cls),
        "turn": turn if turn is not None else threading.Lock(),
        "fresh_s": fresh_s,
    }
    return type(cls.__name__, (V1Node,), members)


class ProgramEnd(RuntimeError):
    """A coroutine of a pack tried to end the program."""


class V1Node(Node[Any]):
    """One call of a V1 class. Its subclasses are made by adapt()."""

    values: Mapping[str, Any]
    linked: Mapping[str, str] = field(default_factory=dict)  # in check() and fingerprint(): types received, by input
    node_id: str = ""  # likewise, and in needs()

    declared: ClassVar[Declared]
    instances: ClassVar[Instances]
    turn: ClassVar[AbstractContextManager[Any]]
    fresh_s: ClassVar[float]

    @classmethod
    def schema(cls) -> Schema:
        """What the class declares now, or a moment ago. While its INPUT_TYPES fails, it has no inputs."""
        return cls._kept().schema

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        """The instance that runs."""
        return cls(values=values)

    @classmethod
    def ask(cls, values: Mapping[str, Any], node_id: str) -> Iterable[str]:
        """needs() of that node."""
        return cls(values=values, node_id=node_id).needs()

    @classmethod
    def peek(cls, literals: Mapping[str, Any], linked: Collection[str], node_id: str = "") -> Self:
        """The instance that check() and fingerprint() see."""
        types = linked if isinstance(linked, Mapping) else dict.fromkeys(linked, "")
        return cls(values=literals, linked=types, node_id=node_id)

    # -- before the graph runs

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        """What VALIDATE_INPUTS says: each input that it names is at fault where it does not give True.

        Raises what it raises, and what INPUT_TYPES does.
        """
        if (error := self._kept().error) is not None:
            raise error
        validate = self.declared.trait("VALIDATE_INPUTS")
        if validate is None:
            return
        judged = self.declared.judged()
        arguments = {name: value for name, value in self._early_arguments().items() if name in judged}
        types = {"input_types": dict(self.linked)} if judged.judges_links else {}
        verdict = settled(validate(**arguments, **types))
        if verdict is not True:
            sentence = verdict if isinstance(verdict, str) else "the node class refuses it and does not say why"
            named = [name for name in arguments if name in self.values or name in self.linked]
            yield from ((name, sentence) for name in named or (self.linked if types else ()))

    def fingerprint(self, paths: Paths) -> str | None:
        """What IS_CHANGED gives: the result is reused while that stays equal; None if it cannot be."""
        is_changed = self.declared.trait("IS_CHANGED")
        if is_changed is None:
            return ""
        try:
            # NaN, which JSON does not have, is equal to nothing; and of what else it lacks nobody knows when it is.
            return json.dumps(settled(is_changed(**self._early_arguments())), sort_keys=True, allow_nan=False)
        except Exception:  # the pack's own code: then nobody knows, and it runs each time
            return None

    def _early_arguments(self) -> dict[str, Any]:
        """What is known before the graph runs: literals, None for what is linked, and of the workflow nothing."""
        found = {**self.values, **dict.fromkeys(self.linked)}
        if self.declared.takes_lists:
            found = {name: [value] for name, value in found.items()}
        return self._arguments(found, self._hidden(None))

    def needs(self) -> Iterable[str]:
        """What check_lazy_status asks for. Without it, lazy inputs stay None."""
        if self.declared.trait("check_lazy_status") is None:
            return ()
        with self.turn:
            asked = settled(
                self.instances.of(self.node_id).check_lazy_status(**self._arguments(self.values, self._hidden(None)))
            )
        return [name for name in asked if isinstance(name, str)] if isinstance(asked, list | tuple | set) else ()

    # -- while it runs

    def run(self, ctx: Context) -> Any:
        """Call the class's function; for an async one, the coroutine that does."""
        if self.declared.is_async:
            return self._run_async(ctx, ctx.call)
        return contextvars.copy_context().run(self._run, ctx)

    def _run(self, ctx: Context) -> Any:
        enter(ctx, ctx.call)
        with self.turn:
            returned = settled(self._function(ctx)(**self._arguments(self.values, self._hidden(ctx))))
        return understand(returned, self.schema().outputs, ctx)

    async def _run_async(self, ctx: Context, number: int) -> Any:
        enter(ctx, number)
        try:
            returned = await self._function(ctx)(**self._arguments(self.values, self._hidden(ctx)))
        except (SystemExit, KeyboardInterrupt) as error:  # would end the event loop, and with it what others wait for
            raise ProgramEnd(f"it ends the program ({type(error).__name__}: {error})") from error
        return understand(returned, self.schema().outputs, ctx)

    def _function(self, ctx: Context) -> Callable[..., Any]:
        """Of the node's object: as a method, or a class's or static one."""
        found: Callable[..., Any] = getattr(self.instances.of(ctx.node_id), self.declared.function)
        return found

    # -- arguments

    def _hidden(self, ctx: Context | None) -> dict[str, Any]:
        """Hidden inputs; without a context, before the node runs, those that tell of the workflow are empty."""
        given: dict[str, Callable[[], Any]] = {"UNIQUE_ID": lambda: self.node_id, "PROMPT": dict}
        if ctx is not None:
            given = {
                "UNIQUE_ID": lambda: ctx.node_id,
                "DYNPROMPT": lambda: DynamicPrompt(ctx),
                "PROMPT": lambda: shells(ctx.prompt),
                "EXTRA_PNGINFO": lambda: shells(ctx.extra_pnginfo) or None,
            }
        return {name: given[marker]() if marker in given else None for name, marker in self._kept().markers.items()}

    def _arguments(self, values: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, Any]:
        """What a function of the class is called with."""
        if self.declared.takes_lists:
            hidden = {name: [value] for name, value in hidden.items()}
        return {**{name: _written(value) for name, value in values.items()}, **hidden}

    # -- what the class declares, kept for a moment

    @classmethod
    def _kept(cls) -> Kept:
        kept: Kept | None = cls.__dict__.get("_last")
        if kept is None or time.monotonic() >= kept.until:
            until = time.monotonic() + cls.fresh_s
            try:
                types = cls.declared.input_types()
                kept = Kept(until, cls.declared.schema(types), hidden_markers(types))
            except Exception as error:  # the pack's own code; it is told where the class is used
                kept = Kept(until, cls.declared.schema_without_inputs(), {}, error)
            cls._last = kept  # type: ignore[attr-defined]
        return kept


@dataclass(frozen=True, slots=True)
class Kept:
    """What a class declared at some moment."""

    until: float  # when to ask again, by time.monotonic()
    schema: Schema
    markers: Mapping[str, str]
    error: Exception | None = None  # of INPUT_TYPES; it is raised where the class's problems are asked for


def _written(value: Any) -> Any:
    """A value as V1 functions take it: links in API form."""
    if isinstance(value, Link):
        return [value.node, value.output]
    if type(value) is list and any(isinstance(each, Link) for each in value):
        return [_written(each) for each in value]
    return value
