"""The house rules that a machine can hold: who imports whom, no import cycles, short modules, no hidden state."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

HOUSE = Path(__file__).resolve().parents[1]
ROOMS = {  # what each room may import of the others
    "graph": set(),
    "diffusion": set(),
    "nodes": {"graph", "diffusion"},
    "web": {"graph"},
    "compat": {"graph", "nodes", "diffusion"},
    "lab": {"graph", "diffusion", "nodes", "web"},
}
MODULES = sorted(path for room in ROOMS for path in (HOUSE / room).rglob("*.py")) + sorted(HOUSE.glob("*.py"))
TESTS = sorted((HOUSE / "tests").rglob("*.py"))
NAMES = {".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
REGISTRIES = {"diffusion.samplers", "diffusion.schedules"}  # decorators in their plug-ins fill them on import
MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, anywhere in it, and whether that is inside a function."""
    tree = ast.parse(path.read_text())
    inner = {
        node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            base = node.module or ""
            for alias in node.names:
                yield (f"{base}.{alias.name}" if f"{base}.{alias.name}" in NAMES else base), node in inner


@pytest.mark.parametrize("name", NAMES)
def test_a_room_imports_only_what_it_may(name: str) -> None:
    room = name.split(".")[0]
    for imported, _ in imports(NAMES[name]):
        other = imported.split(".")[0]
        if room in ROOMS and other in {*ROOMS, *(path.stem for path in HOUSE.glob("*.py"))}:
            assert other == room or other in ROOMS[room], f"{name} imports {imported}"


def test_only_main_sees_compat() -> None:
    assert {name for name, path in NAMES.items() for imported, _ in imports(path) if imported.startswith("compat")} <= {
        "main", *(name for name in NAMES if name.startswith("compat")),
    }  # fmt: skip


def test_graph_needs_networkx_and_nothing_else() -> None:
    foreign = {
        (name, imported.split(".")[0])
        for name, path in NAMES.items()
        if name.split(".")[0] == "graph"
        for imported, _ in imports(path)
        if imported.split(".")[0] not in {*sys.stdlib_module_names, "graph", "networkx"}
    }
    assert foreign == set()


def test_diffusion_knows_no_graphs_and_no_servers() -> None:
    used = {
        imported.split(".")[0] for name in NAMES if name.startswith("diffusion") for imported, _ in imports(NAMES[name])
    }
    assert used.isdisjoint({"networkx", "aiohttp", "PIL", "graph", "nodes"})


def test_there_are_no_import_cycles() -> None:
    edges = [(name, imported) for name, path in NAMES.items() for imported, _ in imports(path) if imported in NAMES]
    knots = nx.strongly_connected_components(nx.DiGraph(edges))
    assert [sorted(knot) for knot in knots if len(knot) > 1] == []


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {str(path.relative_to(HOUSE)): len(path.read_text().splitlines()) for path in MODULES + TESTS}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


@pytest.mark.parametrize("name", sorted(NAMES.keys() - REGISTRIES))
def test_a_module_keeps_no_state(name: str) -> None:
    """Containers at module level are constants: named in capitals, and never changed in place by any function.

    That is what can be seen in the source: an object behind a call, or a container under another name, is not found.
    """
    tree = ast.parse(NAMES[name].read_text())
    held: set[str] = set()
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        held |= names
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_container(node.value):
            assert [each for each in names if not each.isupper() and not each.startswith("__")] == [], name
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            assert changed_by(function, held) == [], f"{name}, line {function.lineno}"


def is_container(value: ast.expr | None) -> bool:
    makers = {"list", "dict", "set", "defaultdict", "OrderedDict", "Counter", "deque", "WeakValueDictionary"}
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in makers
    return called or isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def changed_by(function: ast.AST, held: set[str]) -> list[str]:
    """Names of the module that a function rebinds or changes in place; its own names of that kind do not count."""
    inside = list(ast.walk(function))
    own = {node.arg for node in inside if isinstance(node, ast.arg)}
    own |= {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    found = [each for node in inside if isinstance(node, ast.Global) for each in node.names]
    for node in inside:
        target: ast.expr | None = None
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            target = node.func.value
        if isinstance(target, ast.Name) and target.id in held - own:
            found.append(target.id)
    return found
