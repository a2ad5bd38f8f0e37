"""The GPU bench, against a fake engine and a fake ``nvidia-smi``: its code, not its figures."""

import re
import stat
from pathlib import Path

import pytest

from accounts.models import Team
from bench import gpu
from inference.models import Run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL, asked
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = ["--model", MODEL, "--clients", "2", "--requests", "4", "--rounds", "2", "--tokens", "6"]


@pytest.fixture
def targets(site: Server, tgi: FakeTgi, funded: Team, api_key: str) -> list[str]:
    """What to compare, on the command line."""
    tgi.script.between = 0.005
    return [*SMALL, "--direct", tgi.url, "--site", site.url, "--key", api_key]


def test_both_ways_are_asked_the_same_in_turns_and_compared(
    targets: list[str], tgi: FakeTgi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nwhile :; do printf '75\\n25\\n'; sleep 0.02; done\n")
    smi.chmod(smi.stat().st_mode | stat.S_IXUSR)
    gpu.main([*targets, "--nvidia-smi", str(smi)])
    printed = capsys.readouterr().out
    for name in ("first token, p50, ms", "between pieces, p99, ms", "tokens a second"):
        direct, site, ratio = re.findall(
            rf"^{name}\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)   [\d.]+ to", printed, re.MULTILINE
        )[0]
        assert float(direct) > 0
        assert float(site) > 0
        assert float(ratio) > 0
    assert re.search(r"^GPU idle, %\s+50\.00\s+50\.00\s+1\.000", printed, re.MULTILINE)
    # A warm-up of 2 and two rounds of 4, each way; no prompt twice.
    bodies = [request.json for request in asked(tgi)]
    assert len(bodies) == 20
    assert Run.objects.filter(ending="length", delivered_tokens=6).count() == 10
    assert len({body["messages"][0]["content"] for body in bodies}) == 20


def test_without_nvidia_smi_idle_time_is_not_made_up(targets: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([*targets, "--rounds", "1", "--nvidia-smi", "no-such-nvidia-smi"])
    printed = capsys.readouterr().out
    assert re.search(r"^GPU idle, %\s+-\s+-\s+-$", printed, re.MULTILINE)
    assert "there is no nvidia-smi here" in printed


def test_a_server_that_refuses_ends_the_bench_with_its_words(targets: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"site: http/1\.1 401.*invalid_api_key"):
        gpu.main([*targets, "--key", "wrong"])


def test_a_failure_inside_a_stream_ends_the_bench(targets: list[str], tgi: FakeTgi) -> None:
    tgi.script.fail_after = 2
    with pytest.raises(SystemExit, match="direct: an error inside the stream"):
        gpu.main(targets)
