"""What a model's chat template adds to a prompt, found out by having the engine count small ones."""

import msgspec

from inference.chat import Chat, Function, Message, Tool
from inference.engines.base import Engine
from inference.errors import EngineError

_USER = Message(role="user", content="a")
_SYSTEM = Message(role="system", content="a")
_TOOL = Tool(type="function", function=Function(name="a"))


class Template(msgspec.Struct, frozen=True):
    """Tokens that a template adds to a prompt of each shape, under the names of the model's fields; None: unknown."""

    template_tokens: int | None = None
    template_system_tokens: int | None = None
    template_tools_tokens: int | None = None


async def measure(engine: Engine) -> Template:
    """Ask the engine about prompts of one token. A template may refuse system messages or tools, but not all of them.

    Raises EngineError.
    """
    plain = await engine.count_prompt(Chat(model="any", messages=[_USER]))
    if plain is None:
        return Template()
    system = await _count(engine, [_SYSTEM, _USER])
    tools = [await _count(engine, messages, tools=[_TOOL]) for messages in ([_USER], [_SYSTEM, _USER])]
    return Template(
        plain - 1,
        None if system is None else system - 2,
        max((counted - 1 for counted in tools if counted is not None), default=None),
    )


async def _count(engine: Engine, messages: list[Message], tools: list[Tool] | None = None) -> int | None:
    try:
        return await engine.count_prompt(Chat(model="any", messages=messages, tools=tools))
    except EngineError:
        return None
