"""The house's own rules: who may import whom, and that data points downward too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parent.parent

# What each room may use, besides itself.
MAY_IMPORT = {
    "accounts": set(),
    "credits": {"accounts"},
    "inference": {"accounts", "credits"},
    "api": {"accounts", "credits", "inference"},
    "playground": {"accounts", "credits", "inference"},
    "console": {"accounts", "credits", "inference"},
    "config": {"accounts", "credits", "inference", "api", "playground", "console"},
}


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
