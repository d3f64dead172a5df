"""Who may import whom, read from the syntax of every module. The rules stand here as tables."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

APPS = ("labeling", "consistency", "api", "config")
OURS = frozenset({*APPS, "tests", "benchmarks"})

# app → our packages it may import
MAY_IMPORT = {
    "labeling": {"labeling"},
    "consistency": {"labeling", "consistency"},
    "api": {"labeling", "consistency", "api"},
    "config": set(APPS),
}

# Packages that must be usable alone: what they may import beside the standard library and themselves.
# A name allows the package and everything below it.
ALONE = {
    "consistency.statistics": ("numpy", "scipy", "pandas", "sklearn", "statsmodels"),
    "labeling.task_types": ("numpy", "django.forms", "django.core.exceptions"),
}

# Inside an app nothing imports upward. The first prefix that fits a module's path within its app counts;
# what fits none is an act.
LAYERS = ("words", "models", "reads", "acts", "pages")
PLACES = {
    "words": ("vocabulary", "task_types", "statistics", "refusals", "hashing", "signals", "markdown", "verdict"),
    "models": ("models", "db", "migrations"),
    "reads": ("queries", "formats", "access", "selection", "guideline_settings", "project_settings", "wording"),
    "pages": (
        "views", "forms", "serializers", "urls", "templatetags", "tasks", "handlers", "management", "apps", "startup",
        "demo",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """A module's import of `target`, at a line."""

    module: str
    target: str
    line: int


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Every import of the file, those inside functions and under TYPE_CHECKING too, relative ones resolved.

    `from package import name` yields package.name: whether the name is a module makes no difference to the rules.
    """
    module = module_name(path, root)
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            for alias in node.names:
                yield Import(module, ".".join([*base, *filter(None, [node.module, alias.name])]), node.lineno)


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def layer_of(module: str) -> int:
    """The layer of a module inside its app: 0 for words up to 4 for pages."""
    inner = module.split(".", 1)[1] if "." in module else ""
    for layer, prefixes in PLACES.items():
        for prefix in prefixes:
            if is_below(inner, prefix) or (prefix == "urls" and inner.startswith("urls_")):
                return LAYERS.index(layer)
    return LAYERS.index("acts")


def problem_with(found: Import) -> str:
    """Why an import breaks a rule; empty when it breaks none."""
    app, target_app = found.module.split(".")[0], found.target.split(".")[0]
    for package, allowed in ALONE.items():
        if is_below(found.module, package):
            if is_below(found.target, package) or target_app in sys.stdlib_module_names:
                return ""
            if any(is_below(found.target, name) for name in allowed):
                return ""
            return f"{package} must be usable alone"
    if target_app not in OURS:
        return ""
    if target_app not in MAY_IMPORT[app]:
        return f"{app} may not import {target_app}"
    if app == target_app and app != "config" and layer_of(found.target) > layer_of(found.module):
        lower, upper = LAYERS[layer_of(found.module)], LAYERS[layer_of(found.target)]
        return f"{lower} may not import {upper}"
    return ""


def vendor_code(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Places outside labeling/db and settings that ask which database it is, or talk to its driver."""
    module = module_name(path, root)
    if is_below(module, "labeling.db") or is_below(module, "config") or ".migrations" in module:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Attribute) and node.attr == "vendor":
            yield node.lineno, "asks for the database's vendor"
    for found in imports_of(path, root):
        if is_below(found.target, "psycopg") or is_below(found.target, "django.db.backends"):
            yield found.line, f"imports {found.target}"


def violations(root: Path) -> list[str]:
    """Every broken rule below `root`, one line each: file:line, what is imported, and why it may not be."""
    lines = []
    for app in APPS:
        for path in sorted((root / app).rglob("*.py")):
            place = path.relative_to(root)
            for found in imports_of(path, root):
                if why := problem_with(found):
                    lines.append(f"{place}:{found.line} imports {found.target}: {why}")
            for line, what in vendor_code(path, root):
                lines.append(f"{place}:{line} {what}: that belongs to labeling/db")
    return lines
