"""Tools in words that OpenAI retired, or that only its newest models know, as the functions that engines have."""

import re
from hashlib import sha256
from typing import Any, Final

import msgspec

from web.chat.origins import Origins

# What a custom tool's one text is called where it is a function.
INPUT: Final = "input"
# How long the name of a function may be, and what is not in it.
MAX_NAME: Final = 64
_UNNAMEABLE: Final = re.compile(r"[^a-zA-Z0-9_-]")
_INPUT_SCHEMA = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}


def short_name(name: str) -> str:
    """Return a name that every engine takes for a function; the same one for the same name, always."""
    fitting = _UNNAMEABLE.sub("_", name)
    if len(fitting) <= MAX_NAME:
        return fitting
    return f"{fitting[: MAX_NAME - 9]}_{sha256(name.encode()).hexdigest()[:8]}"


def input_of(arguments: str) -> str:
    """Return the text that a custom tool was called with; arguments that are none are passed as they came."""
    try:
        called = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    text = called.get(INPUT) if isinstance(called, dict) else None
    return text if isinstance(text, str) else arguments


def arguments_of(text: str) -> str:
    """Return the arguments by which a custom tool's text is known to engines."""
    return msgspec.json.encode({INPUT: text}).decode()


def custom_function(name: Any, description: Any, wanted: Any) -> dict[str, Any]:
    """Return a custom tool as a function of one text; a grammar becomes a part of its description."""
    definition = _grammar(wanted)
    if definition:
        description = f"{description or ''}\n\nThe input follows this grammar:\n{definition}".strip()
    return {"name": name, "description": description, "parameters": _INPUT_SCHEMA}


def has_grammar(wanted: Any) -> bool:
    """Whether a custom tool's format asks for more than text."""
    return bool(_grammar(wanted))


def _grammar(wanted: Any) -> str:
    """Return the definition of a grammar, in the shape of either of OpenAI's APIs."""
    if not isinstance(wanted, dict) or wanted.get("type") != "grammar":
        return ""
    inner = wanted.get("grammar")
    definition = (inner if isinstance(inner, dict) else wanted).get("definition")
    return definition if isinstance(definition, str) else ""


def modernize(fields: dict[str, Any], original: Origins) -> bool:
    """Turn ``functions`` and ``function_call`` into tools and a choice; return whether there were any."""
    functions, call = fields.get("functions"), fields.get("function_call")
    if not isinstance(functions, list) or fields.get("tools") is not None:
        return False
    fields["tools"] = [{"type": "function", "function": function} for function in functions]
    del fields["functions"]
    for place in range(len(functions)):
        original.note(f"tools[{place}].function", f"functions[{place}]")
    original.note("tools", "functions")
    if fields.get("tool_choice") is None and functions:
        fields["tool_choice"] = {"type": "function", "function": call} if isinstance(call, dict) else call
        original.note("tool_choice.function", "function_call")
        original.note("tool_choice", "function_call")
    fields.pop("function_call", None)
    return True


def modernize_turns(messages: list[Any]) -> None:
    """Turn calls and results in the old words into tool calls, each result answering the last call of its name."""
    called: dict[str, str] = {}
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        call = message.get("function_call")
        if isinstance(call, dict) and not message.get("tool_calls"):
            del message["function_call"]
            called[str(call.get("name"))] = f"call_{number}"
            message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": call}]
        elif message.get("role") == "function":
            name = str(message.get("name"))
            message["role"] = "tool"
            message.setdefault("tool_call_id", called.get(name, f"call_{number}"))


def tidy_tools(fields: dict[str, Any], ignored: list[str], original: Origins) -> set[str]:
    """Turn custom tools into functions, and functions of the Responses API's shape into chat's; return the custom."""
    custom: set[str] = set()
    given = fields.get("tools")
    for place, tool in enumerate(given) if isinstance(given, list) else ():
        if not isinstance(tool, dict):
            continue
        if tool.get("type") == "custom":
            inner = tool.pop("custom", None)
            inner = inner if isinstance(inner, dict) else tool
            if has_grammar(inner.get("format")):
                ignored.append(f"tools[{place}].custom.format")
            tool["type"] = "function"
            tool["function"] = custom_function(inner.get("name"), inner.get("description"), inner.get("format"))
            original.note(f"tools[{place}].function", f"tools[{place}].custom")
            custom.add(str(inner.get("name")))
        elif tool.get("type") == "function" and "function" not in tool:
            tool["function"] = {name: tool.pop(name) for name in list(tool) if name != "type"}
            original.note(f"tools[{place}].function", f"tools[{place}]")
    return custom


def tidy_choice(fields: dict[str, Any]) -> None:
    """Turn a choice among tools into one that engines know; what may not be called is not told to them."""
    choice = fields.get("tool_choice")
    if choice == "any":
        fields["tool_choice"] = "required"
    if not isinstance(choice, dict):
        return
    kind = choice.get("type")
    inner = choice.get(kind) if isinstance(kind, str) else None
    inner = inner if isinstance(inner, dict) else choice
    if kind in ("function", "custom"):
        fields["tool_choice"] = {"type": "function", "function": {"name": inner.get("name")}}
    elif kind in ("none", "auto", "required"):
        fields["tool_choice"] = kind
    elif kind == "allowed_tools":
        listed, tools = inner.get("tools"), fields.get("tools")
        allowed = {_name(tool) for tool in listed if isinstance(tool, dict)} if isinstance(listed, list) else set()
        if isinstance(tools, list):
            fields["tools"] = [tool for tool in tools if isinstance(tool, dict) and _name(tool) in allowed]
        fields["tool_choice"] = inner.get("mode", "auto")


def _name(tool: dict[str, Any]) -> str:
    """Return the name of a tool in any of its shapes."""
    inner = tool.get("function") or tool.get("custom")
    return str((inner if isinstance(inner, dict) else tool).get("name"))


def tidy_call(call: dict[str, Any]) -> None:
    """Turn a call of a custom tool into one of a function, and arguments that are an object into their text."""
    custom = call.get("custom")
    if call.get("type") == "custom" and isinstance(custom, dict):
        text = custom.get("input")
        del call["custom"]
        call["type"] = "function"
        call["function"] = {
            "name": custom.get("name"),
            "arguments": arguments_of(text if isinstance(text, str) else ""),
        }
        return
    if call.get("type") is None:
        call["type"] = "function"
    function = call.get("function")
    if isinstance(function, dict):
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            function["arguments"] = msgspec.json.encode(arguments).decode()
        elif arguments is None:
            function["arguments"] = "{}"
