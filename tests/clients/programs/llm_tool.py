"""Simon Willison's ``llm``, as its command: a prompt, a second turn of it, a schema and a tool."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scenario import KEY, MODEL, URL, report

home = Path(tempfile.mkdtemp())
(home / "extra-openai-models.yaml").write_text(
    f"""
- model_id: parley
  model_name: {MODEL}
  api_base: {URL}
  api_key_name: parley
  supports_tools: true
  supports_schema: true
"""
)


def llm(*arguments):
    """Run the command."""
    environment = os.environ | {"LLM_USER_PATH": str(home)}
    command = [sys.executable, "-m", "llm", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return ended.stdout.strip() or ended.stderr.strip()


llm("keys", "set", "parley", "--value", KEY)
tool = 'def get_weather(city: str) -> str:\n    "The weather"\n    return "rain in " + city\n'
report(
    said=llm("-m", "parley", "hello"),
    again=llm("-c", "and now?"),
    whole=llm("-m", "parley", "--no-stream", "hello"),
    schema=llm("-m", "parley", "--schema", "name, age int", "hello"),
    tool=llm("-m", "parley", "--functions", tool, "What does get_weather say?"),
)
