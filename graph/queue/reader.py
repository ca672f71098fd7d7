"""What a queued job asks for, in terms of the node classes there are: its plan, and the models that it will load."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graph.jobs import JobRequest
from graph.model import Graph, Plan
from graph.paths import Paths
from graph.plan import plan
from graph.problems import DocumentError
from graph.read.api import read_api
from graph.read.convert import Circumstances, is_editor_form, to_prompt
from graph.read.facts import Registered
from graph.registry import Registry
from graph.validate import validate
from graph.widgets import ModelNames


@dataclass(frozen=True, slots=True)
class JobReader:
    """Reads requests with the classes and files there are now."""

    registry: Registry
    paths: Paths

    def plan(self, request: JobRequest) -> Plan:
        """What is to be done. Raises DocumentError with every Problem, such as a class or file that is gone."""
        document = read_api(self.prompt(request), dict(request.extra_pnginfo))
        graph = validate(document, self.registry, self.paths, targets=request.targets)
        if isinstance(graph, Graph):
            return plan(graph)
        raise DocumentError(graph)

    def prompt(self, request: JobRequest) -> dict[str, Any]:
        """Its workflow in API form. What a workflow of the editor leaves to chance is the same for the same job.

        Raises DocumentError if a workflow of the editor cannot be read.
        """
        prompt = dict(request.prompt)
        if not is_editor_form(prompt):
            return prompt
        choose = random.Random(request.id).randrange
        return to_prompt(prompt, Registered(self.registry, self.paths), Circumstances(choose=choose)).prompt

    def models(self, request: JobRequest) -> frozenset[str]:
        """The model files that its inputs name, such as "checkpoints/tiny.safetensors"."""
        try:
            return frozenset(self._models(self.prompt(request)))
        except DocumentError:  # planning it will say why
            return frozenset()

    def _models(self, prompt: Mapping[str, Any]) -> Iterator[str]:
        named: dict[str, dict[str, str]] = {}  # by class_type: the inputs that name models, with the kind
        for node in prompt.values():
            class_type = node.get("class_type") if isinstance(node, Mapping) else None
            if not isinstance(class_type, str) or class_type not in self.registry:
                continue
            if class_type not in named:
                inputs = self.registry[class_type].schema().inputs.values()
                named[class_type] = {
                    item.name: item.choices.kind for item in inputs if isinstance(item.choices, ModelNames)
                }
            given = node.get("inputs")
            for name, kind in named[class_type].items() if isinstance(given, Mapping) else ():
                value = given.get(name)
                if isinstance(value, str):
                    yield f"{kind}/{value}"
