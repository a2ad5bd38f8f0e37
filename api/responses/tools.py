"""The tools of a response as the functions that engines have, and back."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from inference.errors import InvalidRequest, UnsupportedParameter
from web.chat import tools
from web.chat.origins import Origins

# OpenAI's own tools, which run on its side. A client offers them to whoever has them.
_HOSTED: Final = frozenset(
    [
        *("apply_patch", "code_interpreter", "computer", "computer_use", "computer_use_preview", "file_search"),
        *("image_generation", "local_shell", "mcp", "shell", "tool_search", "web_search"),
    ]
)


class Flattened(Struct):
    """Tools as a chat has them; those in a namespace have its name before their own."""

    functions: list[dict[str, Any]] = []
    # By the name that the engine knows them by.
    custom: set[str] = set()
    namespaces: dict[str, tuple[str, str]] = {}

    def named(self, name: str) -> dict[str, str]:
        """Return a call's name as the client knows it, with its namespace if it has one."""
        if name not in self.namespaces:
            return {"name": name}
        namespace, inner = self.namespaces[name]
        return {"name": inner, "namespace": namespace}


def flat_name(name: Any, namespace: Any = None) -> Any:
    """Return the name by which engines know a function; the same one for the same function, always."""
    if not isinstance(namespace, str) or not namespace:
        return name
    return tools.short_name(f"{namespace.removesuffix('__')}__{name}")


def flatten(given: list[dict[str, Any]], ignored: list[str], original: Origins) -> Flattened:
    """Return the tools that engines can be told of; hosted ones are left out. Raises InvalidRequest."""
    flattened = Flattened()
    for path, namespace, tool in _unnested(given):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind in ("function", "custom"):
            function = _function(flattened, tool, namespace)
            if kind == "custom" and tools.has_grammar(tool.get("format")):
                ignored.append(f"{path}.format")
            original.note(f"tools[{len(flattened.functions)}].function", path)
            flattened.functions.append({"type": "function", "function": function})
        elif isinstance(kind, str) and (kind in _HOSTED or kind.startswith("web_search")):
            ignored.append(path)
        else:
            raise InvalidRequest(f"{path}.type: {kind!r} is no type of a tool.", param=f"{path}.type")
    return flattened


def _unnested(given: list[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Yield each tool with its path, and its namespace where it is in one."""
    for place, tool in enumerate(given):
        inside = tool.get("tools") if tool.get("type") == "namespace" else None
        if isinstance(inside, list):
            for inner_place, inner in enumerate(inside):
                yield f"tools[{place}].tools[{inner_place}]", str(tool.get("name")), inner
        else:
            yield f"tools[{place}]", "", tool


def _function(flattened: Flattened, tool: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return a tool as a function, and take note of what it is called by whom."""
    name = flat_name(tool.get("name"), namespace)
    if namespace:
        flattened.namespaces[str(name)] = (namespace, str(tool.get("name")))
    if tool["type"] == "custom":
        flattened.custom.add(str(name))
        return tools.custom_function(name, tool.get("description"), tool.get("format"))
    return {"name": name} | {each: tool[each] for each in ("description", "parameters", "strict") if each in tool}


def chosen(choice: str | dict[str, Any] | None, flattened: Flattened, fields: dict[str, Any]) -> Any:
    """Return the choice among tools as a chat has it. Raises UnsupportedParameter for a hosted tool."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind in ("function", "custom"):
        name = flat_name(choice.get("name"), choice.get("namespace"))
        return {"type": "function", "function": {"name": name}}
    if kind == "allowed_tools":
        listed = choice.get("tools")
        allowed = {
            flat_name(tool.get("name"), tool.get("namespace"))
            for tool in (listed if isinstance(listed, list) else ())
            if isinstance(tool, dict) and isinstance(tool.get("name"), str)
        }
        fields["tools"] = [tool for tool in flattened.functions if str(tool["function"]["name"]) in allowed]
        return choice.get("mode", "auto") if fields["tools"] else None
    raise UnsupportedParameter("Only functions and custom tools can be chosen.", param="tool_choice")
