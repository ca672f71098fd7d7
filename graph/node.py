"""Node: a stage of a workflow as a frozen dataclass of its inputs, whose run() computes its output."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Generic,
    Protocol,
    Self,
    TypeVar,
    dataclass_transform,
    runtime_checkable,
)

from graph.context import Context
from graph.given import Again, Blocked, Expansion
from graph.paths import Paths
from graph.schema import Lane, Schema, derive_inputs, derive_outputs, describe
from graph.widgets import Choice, Float, Int, Text, Toggle, Wire

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Unfinished(Enum):
    """The type of what a Stepper's step gives while more steps remain."""

    UNFINISHED = 0


UNFINISHED: Final = Unfinished.UNFINISHED


class Stepper(Protocol[T_co]):
    """A node's work in steps. Between two steps its lane may serve others, or end the run."""

    def start(self, ctx: Context) -> None:
        """Prepare; called once, before the first step."""

    def step(self) -> T_co | Unfinished:
        """Do one step; the node's result, or UNFINISHED while more remain."""

    def close(self) -> None:
        """Let go of everything; called exactly once, after the last step, an error or a cancelled run."""


@runtime_checkable
class SharedStepper(Stepper[T_co], Protocol[T_co]):
    """A Stepper that can take its step together with others, of other nodes and runs, at less than the cost of each."""

    @property
    def company(self) -> Hashable | None:
        """Those of equal company can step together; None: this one steps alone. Asked before each step."""

    @property
    def most(self) -> int:
        """How many may step together with this one, itself included, as far as memory is concerned."""

    @classmethod
    def step_together(cls, members: Sequence[Self]) -> Sequence[T_co | Unfinished | BaseException]:
        """One step of each: its result, UNFINISHED, or the error that it alone has. Raises nothing."""


@dataclass(frozen=True, slots=True)
class Out:
    """Output number `output` of a node that has no id yet: a Link to be."""

    node: Any  # a Node
    output: int


class LinkedInput(AttributeError):
    """check() or fingerprint() read an input that another node will give only when the graph runs."""


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    eq_default=False,
    field_specifiers=(Text, Int, Float, Toggle, Choice, Wire),
)
class Node(Generic[T]):
    """Base of all nodes; `class CLIPTextEncode(Node[Conditioning], category="conditioning")`.

    A subclass declares its inputs as fields, in wire order, and either run() or stepper(). Class keywords: category,
    display (shown name), name (wire name, if it is no identifier), output (an output node, run for its effect), hidden
    (what of prompt, extra_pnginfo, unique_id its run reads from ctx), deprecated, experimental. The docstring is its
    description. A node's fields, and the values in them, are never changed.
    """

    lane: ClassVar[Lane] = "cpu"  # where it runs: "device" computes with a model, "io" waits for files
    ends_loop: ClassVar[str] = ""  # of a class that ends a loop: the input that is linked to the loop's start
    pure: ClassVar[bool] = True  # equal inputs give equal outputs; False for what depends on chance or the clock
    _traits: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(
        cls,
        *,
        category: str = "",
        display: str | None = None,
        name: str | None = None,
        output: bool = False,
        hidden: tuple[str, ...] = (),
        deprecated: bool = False,
        experimental: bool = False,
    ) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(frozen=True, eq=False, kw_only=True)(cls)
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]  # it just became a dataclass
            if item.name in vars(Node):
                raise TypeError(f"{cls.__name__}.{item.name}: an input may not be called so, since every node has that")
            if item.name in cls.__dict__:
                delattr(cls, item.name)  # else a linked input would read as its default, see peek()
        name = name or cls.__name__
        cls._traits = {
            "name": name,
            "display": display or name,
            "category": category,
            "effect": output,
            "hidden": hidden,
            "deprecated": deprecated,
            "experimental": experimental,
        }

    def run(self, ctx: Context) -> T | Expansion | Again | Blocked | Coroutine[Any, Any, T | Expansion | Blocked]:
        """Compute the output: one value, a NamedTuple of several, or None. By default, all steps of stepper().

        An `async def` runs in a lane of its own, where many can wait at the same time.
        """
        stepper = self.stepper()
        if stepper is None:
            raise NotImplementedError(f"{type(self).__name__} has neither run() nor stepper()")
        try:
            stepper.start(ctx)
            while (result := stepper.step()) is UNFINISHED:
                ctx.check_cancelled()
            return result
        finally:
            stepper.close()

    def stepper(self) -> Stepper[T] | None:
        """The same work in steps, for a node that runs long; None for one that runs in one go."""
        return None

    def needs(self) -> Iterable[str]:
        """Which of the lazy inputs it needs, given the values that are there; the others are None.

        Asked again when those have come, until it names no new one.
        """
        return ()

    @property
    def out(self) -> T:
        """In a workflow that is written in Python, see graph.build: what inputs of other nodes are given as a link.

        Typed as the result that run() will give, and of its form: where that has fields, each is a link by itself.
        """
        outs = [Out(self, number) for number in range(len(self.schema().outputs))]
        result: Any
        if len(outs) > 1:
            result = _result_type(type(self))._make(outs)
        else:
            result = outs[0] if outs else None
        return result  # type: ignore[no-any-return]

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        """What is wrong with the literal inputs beyond their types and ranges: (input name, sentence).

        A linked input is not there: reading it raises LinkedInput, and the check then counts as passed.
        """
        return ()

    def fingerprint(self, paths: Paths) -> str | None:
        """What the result depends on besides the inputs, such as the digest of a named file; "" for nothing.

        None: nobody can tell, and the result is never reused.

        A linked input is not there: reading it raises LinkedInput, and the result is then never reused.
        """
        return ""

    @classmethod
    def schema(cls) -> Schema:
        """This class as data; derived once. A class whose inputs are no dataclass fields overrides it and build()."""
        found: Schema | None = cls.__dict__.get("_schema")
        if found is None:
            found = Schema(
                inputs=derive_inputs(cls), outputs=derive_outputs(cls, _result_type(cls)), description=describe(cls),
                module=getattr(cls, "RELATIVE_PYTHON_MODULE", cls.__module__),  # where a pack's class comes from
                lane="async" if inspect.iscoroutinefunction(cls.run) else cls.lane, pure=cls.pure,
                ends_loop=cls.ends_loop, **cls._traits,
            )  # fmt: skip
            cls._schema = found  # type: ignore[attr-defined]  # no ClassVar: a subclass must not see its parent's
        return found

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        """The instance that runs, from the real values of all inputs that are given."""
        return cls(**values)

    @classmethod
    def ask(cls, values: Mapping[str, Any], node_id: str) -> Iterable[str]:
        """needs() of the instance with these values, for classes that want to know which node it is."""
        return cls.build(values).needs()

    @classmethod
    def peek(cls, literals: Mapping[str, Any], linked: Collection[str], node_id: str = "") -> Self:
        """The instance that check() and fingerprint() see: literals and defaults, without the linked inputs."""
        node = object.__new__(cls)
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]
            if item.name not in linked and item.default is not dataclasses.MISSING:
                vars(node)[item.name] = item.default
        vars(node).update(literals)
        return node

    if not TYPE_CHECKING:  # a type checker would take it to mean that every name is an attribute

        def __getattr__(self, name: str) -> Any:
            if name in type(self).schema().inputs:
                raise LinkedInput(f"{type(self).__name__}.{name} is linked: it has no value before the graph runs")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def is_concrete(cls: type[Node[Any]]) -> bool:
    """Whether the class can run, in difference to a shared base."""
    return cls.run is not Node.run or cls.stepper is not Node.stepper


def _result_type(cls: type[Node[Any]]) -> Any:
    for base in cls.__mro__:
        for generic in getattr(base, "__orig_bases__", ()):
            if getattr(generic, "__origin__", None) is Node:
                return generic.__args__[0]
    raise TypeError(f"{cls.__name__} does not say what it gives; write Node[Type] or Node[None]")
