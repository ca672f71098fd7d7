"""One node of a Document to a Spec, or the Problems that stand in the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graph.document import BadLink, Document, DocumentNode, Link
from graph.model import Spec
from graph.node import LinkedInput, Node
from graph.paths import Paths
from graph.problems import Problem, some
from graph.schema import Input, Schema
from graph.values import Refusal, convert, refuse_choice, show
from graph.wire import ANY, COMBO, matches, plain

MAX_SUGGESTIONS = 50  # looking for similar names costs milliseconds each; nobody reads more of them


class Kind(NamedTuple):
    """A class that the document names; its schema is asked for once."""

    node: type[Node[Any]]
    schema: Schema


@dataclass
class Inspector:
    """Looks at the nodes of a document one by one, and keeps what it found."""

    document: Document
    paths: Paths
    kinds: dict[str, Kind] = field(default_factory=dict)  # by class_type, without those that there are not
    problems: dict[str, list[Problem]] = field(default_factory=dict)  # by node id
    specs: dict[str, Spec] = field(default_factory=dict)  # of the nodes without problems of their own
    converted: dict[str, dict[str, Any]] = field(default_factory=dict)  # inputs whose value has another type now
    _choices: dict[tuple[str, str], Sequence[Any]] = field(default_factory=dict)  # by class_type and input
    _givers: dict[str, list[str]] = field(default_factory=dict)  # by wire type: some nodes with such an output
    _suggestions: int = 0

    def inspect(self, node_id: str) -> list[str]:
        """Check a node and convert its literals; the nodes that it takes values from."""
        node = self.document.nodes[node_id]
        kind = self.kinds.get(node.class_type)
        if kind is None:  # reported already
            links = (value.node for value in node.inputs.values() if isinstance(value, Link))
            return [giver for giver in links if giver in self.document.nodes]
        given = node.inputs
        inputs: dict[str, Any] = {}
        sources: list[str] = []
        for name, item in kind.schema.inputs.items():
            value = given.get(name)
            if value is None and (not item.required or name not in given):
                if item.required:
                    self.add(node_id, "required_input_missing", f"is missing; {_how_to_give(item)}", name)
            elif type(value) is Link:
                inputs[name] = value
                if self._check_link(node_id, kind, item, value):
                    sources.append(value.node)
            elif type(value) is BadLink:
                hint = 'write ["node id", output number], or {"__value__": […]} for a list as a value'
                self.add(node_id, "bad_linked_input", f"is {show(value.value)}, which is no link; {hint}", name)
            else:
                inputs[name] = self._literal(node_id, node.class_type, item, value)
        if len(inputs) < len(given):
            self._take_undeclared(node_id, node, kind, inputs, sources)
        if node_id not in self.problems:
            self.specs[node_id] = Spec(kind.node, inputs, node.is_changed)
            if kind.node.check is not Node.check:
                self._check_by_itself(node_id, kind.node, inputs)
        return sources

    def may_suggest(self) -> bool:
        """Whether to look for what a wrong name may have meant."""
        self._suggestions += 1
        return self._suggestions <= MAX_SUGGESTIONS

    def add(
        self, node_id: str, kind: str, what: str, name: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Note a Problem of a node, or of an input of it; `what` goes on from its name."""
        class_type = self.document.nodes[node_id].class_type
        subject = f" the input {name!r}" if name else ""
        sentence = f"{class_type} (node {node_id}):{subject} {what}."
        problem = Problem(kind, sentence, node_id, class_type, name or None, extra or {})
        self.problems.setdefault(node_id, []).append(problem)

    def _take_undeclared(
        self, node_id: str, node: DocumentNode, kind: Kind, inputs: dict[str, Any], sources: list[str]
    ) -> None:
        schema = kind.schema
        for name, value in node.inputs.items():
            if name in schema.inputs:
                continue
            if schema.variadic:
                if isinstance(value, Link):
                    inputs[name] = value
                    if self._check_link(node_id, kind, Input(name, ANY), value):
                        sources.append(value.node)
                    continue
                value = value.value if isinstance(value, BadLink) else value
                if schema.undeclared is None:
                    inputs[name] = value
                elif (item := self._undeclared(node_id, schema.undeclared, name)) is not None:
                    inputs[name] = self._literal(node_id, node.class_type, item, value)
            elif isinstance(value, Link) and name not in schema.hidden:
                hint = f"remove the link; its inputs are: {some(list(schema.inputs), 20)}"
                self.add(node_id, "bad_linked_input", f"is linked, but there is no such input; {hint}", name)

    def _undeclared(self, node_id: str, ask: Callable[[str], Input | None], name: str) -> Input | None:
        """What a variadic class takes under that name."""
        try:
            return ask(name)
        except Exception as error:  # the class's own code
            self.add(node_id, "exception_during_validation", _own_fault(error), name)
            return None

    def _check_link(self, node_id: str, kind: Kind, item: Input, link: Link) -> bool:
        """Whether its source is there, so that it must be looked at as well."""
        giver = self.document.nodes.get(link.node)
        if giver is None:
            what = f"is linked to node {link.node}, which does not exist; {self._where_to_link(item)}"
            self.add(node_id, "bad_linked_input", what, item.name)
            return False
        source = self.kinds.get(giver.class_type)
        if source is None:
            return True  # its class is unknown, which is reported there
        outputs = source.schema.outputs
        if not 0 <= link.output < len(outputs):
            there = [f"{number} {plain(output.type)}" for number, output in enumerate(outputs)]
            what = f"is linked to {_output(link, giver)}, which does not exist; its outputs are: {some(there)}"
            self.add(node_id, "bad_linked_input", what, item.name)
        elif not kind.schema.checks_links and not matches(received := outputs[link.output].type, item.type):
            what = f"takes {plain(item.type)}, but {_output(link, giver)} gives {plain(received)}"
            extra = {"received_type": received, "linked_node": [link.node, link.output]}
            self.add(node_id, "return_type_mismatch", f"{what}; {self._where_to_link(item)}", item.name, extra)
        return True

    def _literal(self, node_id: str, class_type: str, item: Input, given: Any) -> Any:
        """The value as the node gets it. What is wrong with it is noted."""
        value = given
        if not item.literal:
            what = f"takes {plain(item.type)} from another node, not the value {show(given)}; link an output to it"
            value = Refusal("invalid_input_type", what, {"received_value": given})
        elif plain(item.type) != COMBO:
            value = convert(item, given)
        elif not item.open:
            choices = self._choices_of(node_id, class_type, item)
            if choices is not None and given not in choices:
                value = refuse_choice(item, given, choices if self.may_suggest() else ())
        if type(value) is not type(given):
            if isinstance(value, Refusal):
                self.add(node_id, value.kind, value.sentence, item.name, value.extra)
            else:
                self.converted.setdefault(node_id, {})[item.name] = value
        return value

    def _choices_of(self, node_id: str, class_type: str, item: Input) -> Sequence[Any] | None:
        """What an input offers; None if the node's class fails to say so."""
        key = (class_type, item.name)
        if key not in self._choices:
            try:
                self._choices[key] = item.choices_now(self.paths)
            except Exception as error:  # the node's own code
                self.add(node_id, "exception_during_validation", _own_fault(error), item.name)
                return None
        return self._choices[key]

    def _check_by_itself(self, node_id: str, cls: type[Node[Any]], inputs: Mapping[str, Any]) -> None:
        literals = {name: value for name, value in inputs.items() if not isinstance(value, Link)}
        linked = {name: self._received(value) for name, value in inputs.items() if isinstance(value, Link)}
        try:
            for name, sentence in cls.peek(literals, linked, node_id).check(self.paths):
                self.add(node_id, "custom_validation_failed", f"will not do: {sentence.rstrip('.')}", name)
        except LinkedInput:
            pass  # known only when the graph runs
        except Exception as error:  # the node's own code
            self.add(node_id, "exception_during_validation", _own_fault(error))

    def _received(self, link: Link) -> Any:
        """The type that a link gives, as far as it is known."""
        source = self.kinds.get(self.document.nodes[link.node].class_type)
        return ANY if source is None else source.schema.outputs[link.output].type

    def _where_to_link(self, item: Input) -> str:
        wanted = plain(item.type)
        if wanted not in self._givers:
            found: list[str] = []
            for node_id, node in self.document.nodes.items():
                kind = self.kinds.get(node.class_type)
                if kind is not None and any(matches(output.type, item.type) for output in kind.schema.outputs):
                    found.append(f"node {node_id} ({node.class_type})")
                if len(found) == 4:
                    break
            self._givers[wanted] = found
        return f"link it to an output of type {wanted} (there are: {some(self._givers[wanted])})"


def _output(link: Link, giver: DocumentNode) -> str:
    return f"output {link.output} of node {link.node} ({giver.class_type})"


def _own_fault(error: Exception) -> str:
    return f"cannot be checked: {type(error).__name__}: {error}; that is a fault of the node class"


def _how_to_give(item: Input) -> str:
    if not item.literal:
        return f"link an output of type {plain(item.type)} to it"
    usual = f", usually {show(item.options['default'])}" if item.options.get("default") not in (None, "") else ""
    return f"give it a value ({plain(item.type)}{usual})"
