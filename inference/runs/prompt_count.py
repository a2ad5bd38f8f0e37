"""How many tokens a prompt has, asked without generating anything."""

from accounts.caller import Caller
from inference.billing import prompt
from inference.catalog import snapshots
from inference.chat import Chat
from inference.concurrency import admission
from inference.engines import engine_for
from inference.errors import EngineError, EngineRefused, InferenceDisabled
from inference.transport import client


async def count_prompt(caller: Caller, chat: Chat) -> int:
    """Return the tokens of a chat's prompt as an engine counts them; where none can, about as many as there are.

    Raises what a run of the chat would be refused with, but for its length.
    """
    if not caller.team_enabled:
        raise InferenceDisabled
    async with admission.place(caller):
        model = await snapshots.find(chat.model)
        model.rates()
        model.check(chat)
        for endpoint in model.endpoints:
            engine = engine_for(endpoint, client.shared())
            engine.check(chat)
            try:
                counted = await engine.count_prompt(chat)
            except EngineRefused:
                break
            except EngineError:
                continue
            if counted:
                return counted
    return prompt.estimate(chat, model.overhead.image)
