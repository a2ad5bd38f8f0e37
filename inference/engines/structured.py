"""The schemas in a chat: of its answer, and of its tools' parameters."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from inference.chat import Chat, JsonSchemaFormat, Tool

Schema = dict[str, Any]


def schemas_of(chat: Chat) -> Iterator[tuple[Schema, str]]:
    """Yield each schema with its path in the request."""
    wanted = chat.response_format
    if isinstance(wanted, JsonSchemaFormat) and wanted.json_schema.schema is not None:
        yield wanted.json_schema.schema, "response_format.json_schema.schema"
    for number, tool in enumerate(chat.tools or ()):
        if tool.function.parameters is not None:
            yield tool.function.parameters, f"tools[{number}].function.parameters"


def with_schemas(chat: Chat, change: Callable[[Schema], Schema]) -> Chat:
    """Return a chat with each schema changed."""
    wanted = chat.response_format
    if isinstance(wanted, JsonSchemaFormat) and wanted.json_schema.schema is not None:
        schema = structs.replace(wanted.json_schema, schema=change(wanted.json_schema.schema))
        wanted = structs.replace(wanted, json_schema=schema)
    return structs.replace(
        chat, response_format=wanted, tools=[_with_schema(tool, change) for tool in chat.tools] if chat.tools else None
    )


def _with_schema(tool: Tool, change: Callable[[Schema], Schema]) -> Tool:
    if tool.function.parameters is None:
        return tool
    return structs.replace(tool, function=structs.replace(tool.function, parameters=change(tool.function.parameters)))
