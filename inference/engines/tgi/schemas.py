"""Schemas as TGI's compiler of grammars takes them, and how long an answer that follows one can be."""

from typing import Any, Final

from inference.chat import Chat
from inference.engines.structured import Schema
from inference.schemas import is_recursive, mapped, with_definitions_inlined

# TGI generates in steps of so many tokens, and begins a grammar anew with each: what is longer is never valid.
STEP_TOKENS: Final = 1_024
# What of a tool call comes before its first argument, of which TGI sends nothing.
CALL_OPENING_TOKENS: Final = 64

# Keywords that its compiler takes for a type of their own, or that say nothing about another.
_OF_TYPE: Final = {
    "string": ("pattern", "format", "minLength", "maxLength"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
}
# What decides by itself which types there are.
_DECISIVE: Final = ("enum", "const", "anyOf", "oneOf", "allOf")
_OF_ALL: Final = ("title", "description", "default", "examples")


class SchemaRefused(ValueError):
    """The message goes on with the sentence "This model's server follows no schema"."""


def accepted(schema: Schema) -> Schema:
    """Return a schema that means the same in TGI's words. Raises SchemaRefused.

    A recursive one would end the whole server; references in tools lead nowhere there.
    """
    if is_recursive(schema):
        raise SchemaRefused("with a $ref that leads back to itself")
    return mapped(with_definitions_inlined(schema), _with_one_type)  # type: ignore[no-any-return] # a schema's


def token_limit(chat: Chat, max_tokens: int | None) -> int | None:
    """Return the most tokens that an answer is asked for."""
    limit = max_tokens or chat.completion_limit
    if chat.response_format is None:
        return limit
    return min(limit or STEP_TOKENS, STEP_TOKENS)


def _with_one_type(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part whose type is one word."""
    if "not" in part:
        raise SchemaRefused("with `not`")
    types = part.get("type")
    if not isinstance(types, list):
        return part
    others = {keyword: value for keyword, value in part.items() if keyword != "type"}
    if any(keyword in others for keyword in _DECISIVE):
        return others
    if len(types) == 1:
        return others | {"type": types[0]}
    told = {keyword: value for keyword, value in others.items() if keyword in _OF_ALL}
    rest = {keyword: value for keyword, value in others.items() if keyword not in _OF_ALL}
    return told | {"anyOf": [_of_type(rest, each) for each in types]}


def _of_type(part: dict[str, Any], word: Any) -> dict[str, Any]:
    foreign = {keyword for other, keywords in _OF_TYPE.items() if other != word for keyword in keywords}
    return {"type": word} | {keyword: value for keyword, value in part.items() if keyword not in foreign}
