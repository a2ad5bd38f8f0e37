"""The house's own rules: who may import whom, and that data points downward too."""

import ast
import re
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from django.apps import apps
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parent.parent

# The rooms from the ground up; each may use those below it, and the surfaces never each other.
GROUND = ("core", "accounts", "credits", "inference", "web")
SURFACES = ("api", "playground", "console")
TOP = ("config", "proofs")
MAY_IMPORT = {
    **{room: set(GROUND[:floor]) for floor, room in enumerate(GROUND)},
    **{room: set(GROUND) for room in SURFACES},
    **{room: {*GROUND, *SURFACES} for room in TOP},
}
# Where our surfaces' HTTP may not be spoken of; engines and their transport speak HTTP of their own, to others.
BELOW_WEB = [ROOT / room for room in GROUND[:-1]]
CLIENTS = [ROOT / "inference" / part for part in ("engines", "transport", "embedded", "catalog")]


def modules() -> dict[str, Path]:
    """Return every module of the rooms by its dotted name."""
    found = {}
    for room in MAY_IMPORT:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_modules(path: Path, known: Collection[str]) -> Iterator[str]:
    """Yield the known modules that a file imports, late imports and those for types alone included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            yield from inner & set(known)
            if node.module in known and not inner <= set(known):
                yield node.module


def imports(path: Path) -> Iterator[str]:
    """Yield the top-level name of every import in a file, late imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    upward = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports(path)
        if name in MAY_IMPORT and name not in MAY_IMPORT[room] | {room}
    }
    assert not upward


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {name: set(imported_modules(path, known)) - {name} for name, path in known.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
    assert len(order) == len(known)


def test_nothing_below_the_web_knows_how_an_error_or_a_page_is_sent() -> None:
    spoken = re.compile(r"HTTPStatus|django\.http|rest_framework|set-cookie|retry-after|b\"data: ", re.IGNORECASE)
    below = (path for room in BELOW_WEB for path in room.rglob("*.py"))
    files = [path for path in below if not any(each in path.parents for each in CLIENTS)]
    knowing = {str(path.relative_to(ROOT)) for path in files if spoken.search(path.read_text())}
    # The admin panel's own pages are Django's.
    assert {path for path in knowing if "/admin/" not in path} == set()


def test_no_folder_holds_more_files_than_one_can_take_in() -> None:
    def crowd(folder: Path) -> int:
        return len([path for path in folder.iterdir() if path.suffix == ".py" and path.name != "__init__.py"])

    folders = {path.parent for path in modules().values() if "migrations" not in path.parts}
    assert {str(folder.relative_to(ROOT)) for folder in folders if crowd(folder) > 20} == set()
    assert crowd(ROOT / "inference") <= 10


def test_no_foreign_key_points_upward() -> None:
    upward = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in MAY_IMPORT
        for field in model._meta.get_fields()
        if field.concrete
        and field.related_model
        and field.related_model._meta.app_label in MAY_IMPORT
        and field.related_model._meta.app_label not in MAY_IMPORT[model._meta.app_label] | {model._meta.app_label}
    ]
    assert not upward


def test_no_migration_depends_on_a_room_above() -> None:
    migrations = MigrationLoader(None).disk_migrations
    assert any(app == "credits" for app, _ in migrations)
    upward = [
        f"{app}.{name} depends on {needed}"
        for (app, name), migration in migrations.items()
        if app in MAY_IMPORT
        for needed, _ in migration.dependencies
        if needed in MAY_IMPORT and needed not in MAY_IMPORT[app] | {app}
    ]
    assert not upward


def test_no_room_knows_the_settings_module() -> None:
    rooms = [room for room in MAY_IMPORT if room != "config"]
    knowing = [path for room in rooms for path in (ROOT / room).rglob("*.py") if "config.settings" in path.read_text()]
    assert not knowing
