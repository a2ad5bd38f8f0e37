"""How many tokens a prompt has, asked without generating anything."""

from accounts.caller import Caller
from inference.billing import prompt
from inference.chat import Chat
from inference.errors import EngineError, EngineRefused, InferenceDisabled
from inference.routing.targets import models_for
from inference.runtime import Runtime


async def count_prompt(runtime: Runtime, caller: Caller, chat: Chat) -> int:
    """Return the tokens of a chat's prompt as an engine counts them; where none can, about as many as there are.

    Raises what a run of the chat would be refused with, but for its length.
    """
    if not caller.team_enabled:
        raise InferenceDisabled
    admitted = await runtime.admission.take(caller)
    try:
        model = (await models_for(runtime, chat.model))[0]
        model.rates()
        model.check(chat)
        for endpoint in model.endpoints:
            engine = runtime.replicas.of(endpoint).engine
            engine.check(chat)
            try:
                counted = await engine.count_prompt(chat)
            except EngineRefused:
                break
            except EngineError:
                continue
            if counted:
                return counted
    finally:
        admitted.give_back()
    return prompt.estimate(chat, model.overhead.image)
