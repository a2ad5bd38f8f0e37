"""A request as code that a person can paste: curl, Python and JavaScript, each sending exactly that body.

Nothing in the body can end a string, a command or a script element early, and no invisible character hides in it.
"""

import json
import re
import shlex
from typing import Any

from django.conf import settings

KEY_VARIABLE = "PARLEY_API_KEY"
_INDENT = "    "
# Controls, bidirectional marks and other characters that show nothing or rearrange what is shown.
_UNSEEN = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
# What an HTML parser looks for inside a script element.
_ENDS_SCRIPT = re.compile("<(?=[/!]|script)", re.IGNORECASE)


def snippets(body: dict[str, Any], project: str) -> dict[str, str]:
    """Return the request in each language, for ``project`` (``team/project``)."""
    return {"curl": curl(body, project), "python": python(body, project), "javascript": javascript(body, project)}


def base_url() -> str:
    """Return the address that client libraries are given."""
    return f"{settings.PUBLIC_URL}/v1"


def greeting(model: str) -> dict[str, Any]:
    """Return a short request for a first try: a streamed hello."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "stream": True,
    }


def curl(body: dict[str, Any], project: str, secret: str = "") -> str:
    """Return a shell command, which has the secret in it or takes it from the environment.

    The body comes through a here-document, which has no limit on its length.
    """
    key = shlex.quote(f"Authorization: Bearer {secret}") if secret else f'"Authorization: Bearer ${KEY_VARIABLE}"'
    return "\n".join(
        [
            f"curl --no-buffer {shlex.quote(base_url() + '/chat/completions')} \\",
            f"  --header {key} \\",
            f"  --header {shlex.quote(f'OpenAI-Project: {project}')} \\",
            "  --header 'Content-Type: application/json' \\",
            "  --data-binary @- <<'JSON'",
            # A line break inside a string is escaped, so no line of the body can be the closing word.
            _json(body, indent=2),
            "JSON",
        ]
    )


def python(body: dict[str, Any], project: str) -> str:
    """Return a program for the ``openai`` package."""
    arguments = "".join(f"{_INDENT}{name}={_python_literal(value, 1)},\n" for name, value in body.items())
    return f"""\
import os

from openai import OpenAI

client = OpenAI(
    base_url={_python_literal(base_url())},
    api_key=os.environ["{KEY_VARIABLE}"],
    project={_python_literal(project)},
)

stream = client.chat.completions.create(
{arguments})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    if chunk.usage:
        print(f"\\n\\n{{chunk.usage.total_tokens}} tokens")
"""


def javascript(body: dict[str, Any], project: str) -> str:
    """Return an ECMAScript module for the ``openai`` package."""
    return f"""\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: {_script_literal(base_url())},
  apiKey: process.env.{KEY_VARIABLE},
  project: {_script_literal(project)},
}});

const stream = await client.chat.completions.create({_script_literal(body)});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
  if (chunk.usage) console.log(`\\n\\n${{chunk.usage.total_tokens}} tokens`);
}}
"""


def _json(value: object, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _python_literal(value: object, depth: int = 0) -> str:
    """Write a JSON value as Python, one member a line; ``repr`` escapes whatever cannot be seen."""
    inner, outer = _INDENT * (depth + 1), _INDENT * depth
    if isinstance(value, dict) and value:
        members = [f"{inner}{key!r}: {_python_literal(member, depth + 1)},\n" for key, member in value.items()]
        return f"{{\n{''.join(members)}{outer}}}"
    if isinstance(value, list) and value:
        members = [f"{inner}{_python_literal(member, depth + 1)},\n" for member in value]
        return f"[\n{''.join(members)}{outer}]"
    return repr(value)


def _script_literal(value: object, depth: int = 0) -> str:
    """Write a JSON value as JavaScript, one member a line, fit to stand inside a script element too."""
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict) and value:
        members = [
            f"{inner}{_script_key(key)}: {_script_literal(member, depth + 1)},\n" for key, member in value.items()
        ]
        return f"{{\n{''.join(members)}{outer}}}"
    if isinstance(value, list) and value:
        members = [f"{inner}{_script_literal(member, depth + 1)},\n" for member in value]
        return f"[\n{''.join(members)}{outer}]"
    return _ENDS_SCRIPT.sub(r"\\u003c", _json(value))


def _script_key(key: str) -> str:
    if key == "__proto__":
        # Written plainly it would set the object's prototype instead of a member.
        return '["__proto__"]'
    return key if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) else _script_literal(key)
