import shutil
from pathlib import Path

from core.locks import identity


def test_a_folder_keeps_its_identity_and_a_copy_has_another(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    folder.mkdir()
    first = identity(folder)
    assert identity(folder) == first
    shutil.copytree(folder, copy)
    assert identity(copy) != first


def test_another_folder_in_its_place_is_another_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    first = identity(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    assert identity(folder) != first
