"""Classes that give a graph to run in their place."""

from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder, is_link


class Twice:
    """Adds its input to itself, by two nodes in its place; its second output is the node that its input came from."""

    RETURN_TYPES = ("INT", "INT")
    FUNCTION = "expand"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"value": ("INT", {"rawLink": True})},
            "optional": {"show": ("BOOLEAN", {"default": False}), "display": ("STRING", {"default": ""})},
        }

    def expand(self, value, show=False, display=""):
        graph = GraphBuilder()
        first = graph.node("ToyAdd", a=value, b=0, upload="undeclared")
        second = graph.node("ToyAdd", a=first.out(0), b=first.out(0))
        if show:
            graph.node("ToyShow", value=second.out(0))
        if display:
            second.set_override_display_id(display)
        return {"result": (second.out(0), value), "expand": graph.finalize()}


class Nest:
    """Expands to itself, one level less."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "expand"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "depth": ("INT",)}}

    def expand(self, value, depth):
        if depth == 0:
            return (value,)
        graph = GraphBuilder()
        inner = graph.node("ToyNest", value=value + 1, depth=depth - 1)
        return {"result": (inner.out(0),), "expand": graph.finalize()}


class Mixed:
    """Of the numbers that it is given one by one, expands those that are odd."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "expand"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    def expand(self, value):
        if value % 2 == 0:
            return (value,)
        graph = GraphBuilder()
        return {"result": (graph.node("ToyAdd", a=value, b=100).out(0),), "expand": graph.finalize()}


class Fibonacci:
    """Recursive."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "expand"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT",)}}

    def expand(self, n):
        if n < 2:
            return (n,)
        graph = GraphBuilder()
        one, two = graph.node("ToyFibonacci", n=n - 1), graph.node("ToyFibonacci", n=n - 2)
        return {"result": (graph.node("ToyAdd", a=one.out(0), b=two.out(0)).out(0),), "expand": graph.finalize()}


class Endless:
    """Never ends."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "expand"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def expand(self):
        graph = GraphBuilder()
        return {"result": (graph.node("ToyEndless").out(0),), "expand": graph.finalize()}


class Bad:
    """Expands to a graph that cannot run."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "expand"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": (["class", "none", "link", "double", "circle"],)}}

    def expand(self, how):
        graph = {
            "class": {"bad.1": {"class_type": "ToyNowhere", "inputs": {}}},
            "none": {"bad.1": {"inputs": {}}},
            "link": {"bad.1": {"class_type": "ToyAdd", "inputs": {"a": ["nowhere", 0]}}},
            "double": {"bad": {"class_type": "ToyAdd", "inputs": {"a": 1}}},
            "circle": {
                "bad.1": {"class_type": "ToyAdd", "inputs": {"a": ["bad.2", 0]}},
                "bad.2": {"class_type": "ToyAdd", "inputs": {"a": ["bad.1", 0]}},
            },
        }[how]
        return {"result": ([next(iter(graph)), 0],), "expand": graph}


class WhileOpen:
    """The start of a loop."""

    RETURN_TYPES = ("FLOW", "*", "*")
    FUNCTION = "begin"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {},
            "optional": {"condition": ("BOOLEAN", {"default": True}), "value0": ("*",), "value1": ("*",)},
        }

    def begin(self, condition=True, value0=None, value1=None):
        return ("flow", *((value0, value1) if condition else (ExecutionBlocker(None), ExecutionBlocker(None))))


class WhileClose:
    """The end of a loop: as long as the condition holds, what lies between it and the start is run once more."""

    RETURN_TYPES = ("*", "*")
    FUNCTION = "go_on"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"flow": ("FLOW", {"rawLink": True}), "condition": ("BOOLEAN", {"forceInput": True})},
            "optional": {"value0": ("*",), "value1": ("*",)},
            "hidden": {"dynprompt": "DYNPROMPT", "id": "UNIQUE_ID"},
        }

    def go_on(self, flow, condition, dynprompt, id, value0=None, value1=None):
        if not condition:
            return (value0, value1)
        start = flow[0]
        inside = self.between(dynprompt, start, id)
        graph = GraphBuilder()
        for node_id in inside:
            graph.node(dynprompt.get_node(node_id)["class_type"], "again" if node_id == id else node_id)
        for node_id in inside:
            copy = graph.lookup_node("again" if node_id == id else node_id)
            for name, value in dynprompt.get_node(node_id)["inputs"].items():
                is_inside = is_link(value) and value[0] in inside
                copy.set_input(name, graph.lookup_node(value[0]).out(value[1]) if is_inside else value)
        begin = graph.lookup_node(start)
        begin.set_input("value0", value0)
        begin.set_input("value1", value1)
        again = graph.lookup_node("again")
        return {"result": (again.out(0), again.out(1)), "expand": graph.finalize()}

    @staticmethod
    def between(dynprompt, start, end):
        """The nodes on the ways from the start to the end, both included."""
        found = {start, end}
        seen = {}

        def leads(node_id):
            if node_id == start:
                return True
            if node_id not in seen:
                seen[node_id] = False
                links = [value for value in dynprompt.get_node(node_id)["inputs"].values() if is_link(value)]
                ways = [leads(link[0]) for link in links]
                seen[node_id] = any(ways)
                if seen[node_id]:
                    found.add(node_id)
            return seen[node_id]

        leads(end)
        return found


class Less:
    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "less"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT",), "b": ("INT",)}}

    def less(self, a, b):
        return (a < b,)


CLASSES = {
    "ToyTwice": Twice,
    "ToyNest": Nest,
    "ToyMixed": Mixed,
    "ToyFibonacci": Fibonacci,
    "ToyEndless": Endless,
    "ToyBad": Bad,
    "ToyWhileOpen": WhileOpen,
    "ToyWhileClose": WhileClose,
    "ToyLess": Less,
}
