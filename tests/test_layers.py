"""Imports point one way: from the commands down to the files, lazy imports included."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "maya_batch"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

#: From the top down; packages of one layer do not know each other.
LAYERS = (
    {"cli"},
    {"bench"},
    {"run"},
    {"report", "epub3"},
    {"book", "importing"},
    {"quality", "engine", "audio"},
    {"checkpoint"},
    {"manifest"},
    {"text"},
    {"messages"},
    {"files"},
    {"errors", "torch_errors", "interrupt", "exit_codes", "interpreter", "wording"},
)
SIDEWAYS = {
    ("maya_batch.engine.batch_budget", "maya_batch.audio.decode_window"),
    ("maya_batch.quality.audio_checks", "maya_batch.audio.stitch"),
    ("maya_batch.quality.code_checks", "maya_batch.engine.api"),
}
#: At the root of the package, the two that Python looks for counted.
MOST_AT_THE_ROOT = 8


def layer(module: str) -> int:
    name = module.split(".")[1]
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> Iterator[str]:
    """The modules of this package that a file imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            known = name if name in MODULES else name.rpartition(".")[0]
            if known in MODULES and known != "maya_batch":
                yield known


def test_imports_point_down() -> None:
    edges = {(module, used) for module, path in MODULES.items() for used in imports(path)}
    edges = {edge for edge in edges if edge[0] not in ("maya_batch", "maya_batch.__main__")}
    assert len(edges) > 300
    across = {edge for edge in edges if edge[0].split(".")[1] != edge[1].split(".")[1]}
    root = LAYERS[-1]
    wrong = {
        (module, used)
        for module, used in across
        if layer(module) >= layer(used) and not {module.split(".")[1], used.split(".")[1]} <= root
    }
    assert wrong == SIDEWAYS


def test_no_module_imports_itself_in_a_circle() -> None:
    """Two modules that need each other are one, or need a third: within packages, too."""
    uses = {module: set(imports(path)) - {module} for module, path in MODULES.items()}
    while leaves := {module for module, used in uses.items() if not used & uses.keys()}:
        uses = {module: used for module, used in uses.items() if module not in leaves}
    assert not uses


def test_the_root_is_small_and_the_readme_names_every_module() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_ROOT
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    tree = readme[readme.index("```\nmaya_batch/") :].split("```")[1]
    named = {line.split()[0].rstrip("/"): line for line in re.sub(r"\n {10,}", " ", tree).splitlines()[2:] if line}
    for path in PACKAGE.rglob("*.py"):
        package = path.parent.name if path.parent != PACKAGE else "errors,"
        if not path.name.startswith("__"):
            assert re.search(rf"\b{path.stem}\b", named[package]), path
