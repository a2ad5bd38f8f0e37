"""``manage.py bootstrap``: made once, printed alike for ever, never made again behind an operator's back."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts import keys
from accounts.errors import AuthenticationFailed
from accounts.models import ApiKey, Team, User
from config import demo
from credits.models import Account, Entry
from inference.models import Endpoint, Model, Price

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str]) -> demo.Demo:
    call_command("bootstrap", "--json")
    made: demo.Demo = json.loads(capsys.readouterr().out)
    return made


def test_it_prints_one_object_of_which_everything_works(capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(capsys)
    assert list(made) == ["url", "project", "api_key", "model", "admin"]
    assert list(made["admin"]) == ["email", "password"]
    caller = keys.authenticate(made["api_key"], made["project"])
    assert f"{caller.team}/{caller.project}" == made["project"] == "demo/inference"
    admin = User.objects.get(email=made["admin"]["email"])
    assert admin.check_password(made["admin"]["password"])
    assert admin.is_superuser
    assert Account.objects.get(team__slug="demo").balance_nano == 10_000_000_000
    model = Model.objects.get(id=made["model"])
    assert model.parameters_total == 134_515_008
    assert Price.objects.get(model=model).output_microcredits_per_mtok == 40_000
    assert not Endpoint.objects.exists()


def test_its_file_is_for_the_owner_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys)
    assert stat.S_IMODE((folder / "bootstrap.json").stat().st_mode) == 0o600
    assert not (folder / "bootstrap.draft").exists()


def test_a_second_time_changes_nothing_and_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(capsys)
    assert printed(capsys) == made
    assert (User.objects.count(), Team.objects.count(), ApiKey.objects.count(), Entry.objects.count()) == (1, 1, 1, 1)


def test_what_an_operator_took_away_stays_away(capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(capsys)
    ApiKey.objects.get().revoke()
    Price.objects.all().delete()
    Model.objects.all().delete()
    User.objects.update(email="someone@example.org", is_active=False)
    assert printed(capsys) == made
    with pytest.raises(AuthenticationFailed):
        keys.authenticate(made["api_key"], None)
    assert not Model.objects.exists()
    assert User.objects.count() == 1


def test_lost_secrets_are_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys)
    (folder / "bootstrap.json").unlink()
    with pytest.raises(CommandError, match=r"bootstrap\.json is not in DATA_DIR"):
        call_command("bootstrap", "--json")
    call_command("bootstrap")
    assert "create_key" in capsys.readouterr().out
    assert ApiKey.objects.count() == 1


def test_a_death_between_commit_and_file_loses_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(capsys)
    (folder / "bootstrap.json").rename(folder / "bootstrap.draft")
    assert printed(capsys) == made


def test_an_empty_database_is_filled_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = {"project": "demo/inference", "api_key": "parley_old", "model": "m", "admin": {"email": "", "password": ""}}
    (folder / "bootstrap.json").write_text(json.dumps(stale))
    keys.authenticate(printed(capsys)["api_key"], None)


def test_people_who_were_there_before_stay(owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys)
    assert {user.email for user in User.objects.all()} == {owner.email, demo.EMAIL}


def test_two_at_once_print_the_same(tmp_path: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path)}
    environment.pop("DATABASE_URL", None)
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
    both = [
        subprocess.Popen([*manage, "bootstrap", "--json"], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    first, second = (process.communicate(timeout=60)[0] for process in both)
    assert json.loads(first) == json.loads(second)
