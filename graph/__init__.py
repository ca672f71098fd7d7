"""The workflow engine: documents in, outputs out.

Read in this order: document, model, node, registry, read, validate, plan, fingerprint; work, board, accounts,
execution, engine, library for a run; jobs, store, queue for what outlives the process. The parts in one piece; `run`
does the same in one call, and `build` writes documents in Python:

>>> import asyncio, tempfile
>>> from pathlib import Path
>>> class Add(Node[int]):
...     a: int = Int(default=0)
...     b: int = Int(default=0)
...     def run(self, ctx: Context) -> int:
...         return self.a + self.b
>>> paths = Paths(Path(tempfile.mkdtemp()))
>>> document = read(b'{"1": {"class_type": "Add", "inputs": {"a": 1, "b": 2}}}')
>>> graph = validate(document, Registry(Add), paths, targets=["1"])
>>> with Lanes() as lanes:
...     engine = Engine(lanes, MemoryCache(limit_bytes=10**6, codec=WeightlessValues()), paths)
...     asyncio.run(engine.run(plan(graph))).outputs
{'1': (3,)}
"""

from graph.build import BuildError, build, expansion, use
from graph.cache import Cache, Entry, ValueCodec, WeightlessValues
from graph.cache.memory import MemoryCache
from graph.context import Cancelled, Context
from graph.document import Document, Link
from graph.engine import Engine
from graph.explain import conclude, explain
from graph.explanation import Change, Explanation
from graph.given import Blocked, Expansion, Many
from graph.lanes import Lanes
from graph.library import Session, Surroundings, run
from graph.model import Graph, Plan, Spec, Task
from graph.node import UNFINISHED, LinkedInput, Node, Stepper, Unfinished
from graph.notes import Notes
from graph.paths import PathError, Paths
from graph.plan import plan
from graph.problems import DocumentError, Problem
from graph.read import read
from graph.registry import Registry
from graph.result import Failure, Limits, Result
from graph.validate import validate
from graph.widgets import Choice, Float, Int, ModelNames, Text, Toggle, Wire
from graph.wire import Lazy, Socket

__all__ = [
    "UNFINISHED", "Blocked", "BuildError", "Cache", "Cancelled", "Change", "Choice", "Context", "Document",
    "DocumentError", "Engine", "Entry", "Expansion", "Explanation", "Failure", "Float", "Graph", "Int", "Lanes",
    "Lazy", "Limits", "Link", "LinkedInput", "Many", "MemoryCache", "ModelNames", "Node", "Notes", "PathError",
    "Paths", "Plan", "Problem", "Registry", "Result", "Session", "Socket", "Spec", "Stepper", "Surroundings", "Task",
    "Text", "Toggle", "Unfinished", "ValueCodec", "WeightlessValues", "Wire", "build", "conclude", "expansion",
    "explain", "plan", "read", "run", "use", "validate",
]  # fmt: skip
