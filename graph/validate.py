"""Document to Graph, or every Problem that stands in the way, found at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from graph.document import BadLink, Document, Link
from graph.model import Graph, Spec
from graph.node import LinkedInput, Node
from graph.paths import Paths
from graph.problems import Problem, some
from graph.registry import Registry
from graph.schema import Input, Schema
from graph.values import Refusal, convert, refuse_choice, show
from graph.wire import matches

MAX_SUGGESTIONS = 50  # looking for similar names costs milliseconds each; nobody reads more of them


@dataclass(frozen=True)
class Examined:
    """What validation found: the graph of the targets that can run, None if none can, and what is wrong with others."""

    graph: Graph | None
    problems: tuple[Problem, ...]


def validate(
    document: Document, registry: Registry, paths: Paths, *, targets: Sequence[str] | None = None
) -> Graph | list[Problem]:
    """The graph, if all of it can run, else every Problem. `targets` are nodes to run instead of all output nodes."""
    examined = examine(document, registry, paths, targets=targets)
    if examined.problems or examined.graph is None:
        return list(examined.problems)
    return examined.graph


def examine(document: Document, registry: Registry, paths: Paths, *, targets: Sequence[str] | None = None) -> Examined:
    """As validate(), for callers that run the targets without problems although others have some."""
    return _Examination(document, registry, paths).run(targets)


@dataclass
class _Examination:
    document: Document
    registry: Registry
    paths: Paths
    schemas: dict[str, Schema] = field(default_factory=dict)  # by class_type
    problems: dict[str, list[Problem]] = field(default_factory=dict)  # by node id
    specs: dict[str, Spec] = field(default_factory=dict)
    wires: nx.DiGraph[str] = field(default_factory=nx.DiGraph)  # edges lead from a node to those that take its values
    choices: dict[tuple[str, str], Sequence[Any]] = field(default_factory=dict)  # by class_type and input
    givers: dict[str, list[str]] = field(default_factory=dict)  # by wire type: some nodes with such an output
    suggestions: int = 0

    def run(self, wanted: Sequence[str] | None) -> Examined:
        general: list[Problem] = []
        self._look_up_classes()
        classes_known = not self.problems
        targets, missing = self._targets(wanted)
        general += missing
        if not targets and classes_known and not missing:
            general.append(self._no_outputs())
        for node_id in self._reach(targets):
            self._check(node_id)
        cycles = self._cycles()
        bad = set(self.problems)
        for cycle in cycles:
            bad.update(cycle)
            self._add(cycle[0], "dependency_cycle", self._describe_cycle(cycle))
        bad = self._downstream(bad)
        order = {node_id: number for number, node_id in enumerate(self.document.nodes)}
        found = [
            problem for node_id in sorted(self.problems, key=order.__getitem__) for problem in self.problems[node_id]
        ]
        good = tuple(node_id for node_id in targets if node_id not in bad)
        graph = self._graph(good) if good and classes_known else None
        return Examined(graph, (*general, *found))

    # -- the whole document

    def _look_up_classes(self) -> None:
        for node_id, node in self.document.nodes.items():
            if node.class_type in self.schemas:
                continue
            if node.class_type in self.registry:
                self.schemas[node.class_type] = self.registry[node.class_type].schema()
                continue
            near = self.registry.nearest(node.class_type) if self._may_suggest() else []
            hint = f"did you mean {' or '.join(near)}?" if near else "check the name, or add the pack that has it."
            sentence = f"Node {node_id}: there is no node class {show(node.class_type)}; {hint}"
            problem = Problem("invalid_prompt", sentence, node_id, node.class_type)
            self.problems.setdefault(node_id, []).append(problem)

    def _targets(self, wanted: Sequence[str] | None) -> tuple[list[str], list[Problem]]:
        if wanted is not None:
            sentence = "There is no node {0} to run; name a node of this workflow."
            missing = [name for name in dict.fromkeys(wanted) if name not in self.document.nodes]
            known = [name for name in dict.fromkeys(wanted) if name in self.document.nodes]
            return known, [Problem("prompt_no_outputs", sentence.format(name), name) for name in missing]
        nodes = self.document.nodes.items()
        return [name for name, node in nodes if (schema := self.schemas.get(node.class_type)) and schema.effect], []

    def _no_outputs(self) -> Problem:
        effects = [name for name, cls in self.registry.items() if cls.schema().effect]
        sentence = f"The workflow has no output: nothing would come of it; add an output node ({some(effects)})."
        return Problem("prompt_no_outputs", sentence)

    def _reach(self, targets: Iterable[str]) -> list[str]:
        """All nodes that the targets need, themselves included; fills `wires`."""
        stack = list(targets)
        reached = dict.fromkeys(stack)
        while stack:
            node_id = stack.pop()
            node = self.document.nodes[node_id]
            schema = self.schemas.get(node.class_type)
            self.wires.add_node(node_id)
            for name, value in node.inputs.items():
                if not isinstance(value, Link) or value.node not in self.document.nodes:
                    continue
                if schema is not None and name not in schema.inputs and not schema.variadic:
                    continue
                self.wires.add_edge(value.node, node_id)
                if value.node not in reached:
                    reached[value.node] = None
                    stack.append(value.node)
        return list(reached)

    def _cycles(self) -> list[list[str]]:
        knots = [knot for knot in nx.strongly_connected_components(self.wires) if len(knot) > 1]
        cycles: list[list[str]] = []
        for knot in knots:
            inside = nx.DiGraph(
                (node_id, taker)
                for node_id in self.document.nodes
                if node_id in knot
                for taker in self.wires.successors(node_id)
                if taker in knot
            )
            cycles.append([node_id for node_id, _ in nx.find_cycle(inside)])
        return cycles + [[node_id] for node_id in nx.nodes_with_selfloops(self.wires)]

    def _describe_cycle(self, cycle: Sequence[str]) -> str:
        if len(cycle) == 1:
            return "takes its own output, so that it would wait for itself; remove that link"
        way = " → ".join([*cycle[:8], "…"] if len(cycle) > 8 else [*cycle, cycle[0]])
        return f"waits for itself: nodes {way} form a circle of {len(cycle)}; remove one of these links"

    def _downstream(self, nodes: set[str]) -> set[str]:
        found = set(nodes)
        stack = [node_id for node_id in nodes if node_id in self.wires]
        while stack:
            fresh = [taker for taker in self.wires.successors(stack.pop()) if taker not in found]
            found.update(fresh)
            stack += fresh
        return found

    def _graph(self, targets: tuple[str, ...]) -> Graph:
        needed = set(targets)
        stack = list(targets)
        while stack:
            fresh = [giver for giver in self.wires.predecessors(stack.pop()) if giver not in needed]
            needed.update(fresh)
            stack += fresh
        specs = {node_id: self.specs[node_id] for node_id in self.document.nodes if node_id in needed}
        return Graph(specs, targets, self._prompt(), self.document.extra_pnginfo)

    def _prompt(self) -> dict[str, Any]:
        """The document's API form with the values that conversion changed."""
        prompt = dict(self.document.prompt)
        for node_id, spec in self.specs.items():
            given = self.document.nodes[node_id].inputs
            changed = {name: value for name, value in spec.inputs.items() if type(value) is not type(given[name])}
            if changed:
                prompt[node_id] = {**prompt[node_id], "inputs": {**prompt[node_id]["inputs"], **changed}}
        return prompt

    # -- one node

    def _check(self, node_id: str) -> None:
        node = self.document.nodes[node_id]
        schema = self.schemas.get(node.class_type)
        if schema is None:
            return  # reported already
        before = len(self.problems.get(node_id, ()))
        inputs: dict[str, Any] = {}
        for item in schema.inputs.values():
            given = node.inputs.get(item.name)
            if item.name not in node.inputs or (given is None and not item.required):
                if item.required:
                    self._add(node_id, "required_input_missing", f"is missing; {_how_to_give(item)}", item.name)
            elif isinstance(given, BadLink):
                hint = 'write ["node id", output number], or {"__value__": […]} for a list as a value'
                self._add(node_id, "bad_linked_input", f"is {show(given.value)}, which is no link; {hint}", item.name)
            elif isinstance(given, Link):
                inputs[item.name] = given
                self._check_link(node_id, item, given)
            else:
                inputs[item.name] = self._check_literal(node_id, item, given)
        for name, given in node.inputs.items():
            if isinstance(given, Link) and name not in schema.inputs:
                if schema.variadic:
                    inputs[name] = given
                    self._check_link(node_id, Input(name, "*"), given)
                else:
                    hint = f"remove the link; its inputs are: {some(list(schema.inputs), 20)}"
                    self._add(node_id, "bad_linked_input", f"is linked, but there is no such input; {hint}", name)
        if len(self.problems.get(node_id, ())) == before:
            cls = self.registry[node.class_type]
            self.specs[node_id] = Spec(cls, inputs, node.is_changed)
            if cls.check is not Node.check:
                self._check_by_itself(node_id, cls, inputs)

    def _check_link(self, node_id: str, item: Input, link: Link) -> None:
        giver = self.document.nodes.get(link.node)
        if giver is None:
            hint = f"link it to an output of type {item.type} (there are: {some(self._givers(item.type))})"
            self._add(
                node_id, "bad_linked_input", f"is linked to node {link.node}, which does not exist; {hint}", item.name
            )
            return
        schema = self.schemas.get(giver.class_type)
        if schema is None:
            return  # its class is unknown, which is reported there
        source = f"output {link.output} of node {link.node} ({giver.class_type})"
        if not 0 <= link.output < len(schema.outputs):
            there = [f"{number} {output.type}" for number, output in enumerate(schema.outputs)]
            self._add(
                node_id, "bad_linked_input",
                f"is linked to {source}, which does not exist; its outputs are: {some(there)}", item.name,
            )  # fmt: skip
        elif not matches(received := schema.outputs[link.output].type, item.type):
            hint = f"link it to an output of type {item.type} (there are: {some(self._givers(item.type))})"
            self._add(
                node_id, "return_type_mismatch", f"takes {item.type}, but {source} gives {received}; {hint}", item.name,
                {"received_type": received, "linked_node": [link.node, link.output]},
            )  # fmt: skip

    def _check_literal(self, node_id: str, item: Input, given: Any) -> Any:
        value = given
        if not item.literal:
            sentence = f"takes {item.type} from another node, not the value {show(given)}; link an output to it"
            value = Refusal("invalid_input_type", sentence, {"received_value": given})
        elif item.type != "COMBO":
            value = convert(item, given)
        elif not item.open:
            key = (self.document.nodes[node_id].class_type, item.name)
            choices = self.choices.get(key)
            if choices is None:
                choices = self.choices[key] = item.choices_now(self.paths)
            if given not in choices:
                value = refuse_choice(item, given, choices if self._may_suggest() else ())
        if isinstance(value, Refusal):
            self._add(node_id, value.kind, value.sentence, item.name, value.extra)
        return value

    def _check_by_itself(self, node_id: str, cls: type[Node[Any]], inputs: Mapping[str, Any]) -> None:
        literals = {name: value for name, value in inputs.items() if not isinstance(value, Link)}
        try:
            for name, sentence in cls.peek(literals, inputs.keys() - literals.keys()).check(self.paths):
                self._add(node_id, "custom_validation_failed", f"will not do: {sentence.rstrip('.')}", name)
        except LinkedInput:
            pass  # known only when the graph runs
        except Exception as error:  # the node's own code
            sentence = f"cannot be checked: {type(error).__name__}: {error}; that is a fault of the node class"
            self._add(node_id, "exception_during_validation", sentence)

    def _givers(self, wanted: str) -> list[str]:
        """Some nodes with an output of that type, to suggest."""
        if wanted not in self.givers:
            found: list[str] = []
            for node_id, node in self.document.nodes.items():
                schema = self.schemas.get(node.class_type)
                if schema is not None and any(matches(output.type, wanted) for output in schema.outputs):
                    found.append(f"node {node_id} ({node.class_type})")
                if len(found) == 4:
                    break
            self.givers[wanted] = found
        return self.givers[wanted]

    def _may_suggest(self) -> bool:
        self.suggestions += 1
        return self.suggestions <= MAX_SUGGESTIONS

    def _add(
        self, node_id: str, kind: str, what: str, name: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        class_type = self.document.nodes[node_id].class_type
        subject = f" the input {name!r}" if name is not None else ""
        problem = Problem(
            kind, f"{class_type} (node {node_id}):{subject} {what}.", node_id, class_type, name, extra or {}
        )
        self.problems.setdefault(node_id, []).append(problem)


def _how_to_give(item: Input) -> str:
    if not item.literal:
        return f"link an output of type {item.type} to it"
    usual = f", usually {show(item.options['default'])}" if item.options.get("default") not in (None, "") else ""
    return f"give it a value ({item.type}{usual})"
