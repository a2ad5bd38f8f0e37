"""What the README and the examples tell people to type works as printed, on a real site with the embedded model."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import Site

ROOT = Path(__file__).resolve().parent.parent
PRINTED_URL = "http://127.0.0.1:8000"


def blocks(document: str, language: str) -> list[str]:
    """Return the code blocks of a document, in order."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of the documents' own."""
    # With the whole context, a model that does not find its end takes minutes.
    with Site(tmp_path_factory.mktemp("documents"), EMBEDDED_CONTEXT_TOKENS="512") as running:
        yield running


def run(site: Site, *command: str) -> str:
    """Run a command as a reader would, and return what it printed."""
    environment = {
        "PARLEY_API_KEY": site.key,
        "PARLEY_URL": f"{site.url}/v1",
        "PARLEY_PROJECT": site.project,
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(2))
def test_the_curl_lines_of_the_readme_work(number: int, site: Site) -> None:
    commands = [block for block in blocks("README.md", "sh") if "curl " in block]
    assert len(commands) == 2
    # The first block also shows where the key goes; here it is in the environment already.
    command = re.sub(r"^export .*$", "", commands[number], flags=re.MULTILINE)
    printed = run(site, "sh", "-c", command.replace(PRINTED_URL, site.url))
    assert ('"content":"' if number == 0 else '"context_length":') in printed


@pytest.mark.parametrize(
    ("document", "number"),
    [("README.md", 0), *(("docs/examples.md", number) for number in range(7))],
)
def test_the_python_of_the_documents_works(document: str, number: int, site: Site) -> None:
    code = blocks(document, "python")[number]
    assert run(site, sys.executable, "-c", code.replace(PRINTED_URL, site.url)).strip()


def test_the_curl_lines_of_the_examples_work(site: Site) -> None:
    asking = [block for block in blocks("docs/examples.md", "sh") if "curl " in block]
    fitted, receipts, usage, table = [run(site, "sh", "-c", block) for block in asking]
    assert fitted.startswith("HTTP/1.1 200 ")
    assert '"object":"list"' in receipts
    assert '"object":"list"' in usage
    assert table.startswith('"day","model","project","key","requests",')


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
