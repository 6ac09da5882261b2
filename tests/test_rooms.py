"""The rooms of the package: imports go one way, and what is in a file can be read on a few screens."""

import ast
from pathlib import Path

import a3cjax

PACKAGE = Path(a3cjax.__file__).parent
# From the bottom up; those of one line do not import each other, except that environments are made of problems.
ROOMS = (
    ("_core",),
    ("_xla",),
    ("problems", "schedules"),
    ("environments", "optax", "remedies"),
    ("networks",),
    ("learners",),
    ("engine",),
    ("testing", "sweeps"),
    ("studies",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60


def modules():
    """Every module's name and syntax tree, but for the package's own front door."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("a3cjax", "a3cjax.__main__"):
            found[name] = ast.parse(path.read_text())
    return found


MODULES = modules()


# By the package's front door: from its public names to the rooms that they come from.
FRONT = {name: f"a3cjax.{room}" for room, names in a3cjax._FOLDERS.items() for name in (room, *names)}


def imports(tree):
    """The package's modules that a module imports anywhere, for its types and inside its functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "write imports out, from a3cjax on"
            for name in node.names:
                longer = f"{node.module}.{name.name}"
                shorter = FRONT.get(name.name, "a3cjax") if node.module == "a3cjax" else str(node.module)
                yield longer if longer in MODULES else shorter
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "a3cjax":
            yield FRONT.get(node.attr, "a3cjax")


def test_no_import_runs_upward():
    for name, tree in MODULES.items():
        room = name.split(".")[1]
        for other in imports(tree):
            if other in MODULES:
                there = other.split(".")[1]
                assert there == room or LEVEL[there] < LEVEL[room], f"{name} imports {other}"


def test_no_modules_import_each_other():
    needs = {name: {other for other in imports(tree) if other in MODULES} for name, tree in MODULES.items()}

    def reached(name):
        found, new = set(), set(needs[name])
        while new:
            found |= new
            new = set().union(*(needs[one] for one in new)) - found
        return found

    for name in MODULES:
        assert name not in reached(name), f"{name} is imported by what it imports"


def test_files_and_functions_are_short():
    """A function's docstring does not count."""
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= MOST_LINES, path.name
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                lines = (node.end_lineno or 0) - first.lineno + 1
                assert lines <= MOST_LINES_OF_A_FUNCTION, f"{name}.{node.name}: {lines} lines"
