"""pydantic-ai and openai-agents: an agent with a tool, over chats and over responses, for thirty turns."""

import asyncio

from agents import Agent as OpenAIAgent
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openai import OpenAIResponsesModel as PydanticResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from scenario import ASK_WEATHER, KEY, MODEL, ROOT, URL, report

set_tracing_disabled(True)
TURNS = 30


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def pydantic_turns(model):
    """Have an agent call a tool, again and again, in one conversation."""
    agent = Agent(model, tools=[get_weather])
    history, said = [], []
    for _ in range(TURNS):
        ended = agent.run_sync(ASK_WEATHER, message_history=history)
        history = ended.all_messages()
        said.append(ended.output)
    return said


async def openai_turns(model):
    """Do the same with OpenAI's own agents."""
    agent = OpenAIAgent(name="x", model=model, tools=[function_tool(get_weather)])
    items, said = [], []
    for _ in range(TURNS):
        ended = await Runner.run(agent, [*items, {"role": "user", "content": ASK_WEATHER}])
        items = ended.to_input_list()
        said.append(ended.final_output)
    return said


provider = OpenAIProvider(base_url=URL, api_key=KEY)
client = AsyncOpenAI(base_url=URL, api_key=KEY)


async def openai_agents():
    """Run OpenAI's agents, and stream one of them."""
    streamed = Runner.run_streamed(
        OpenAIAgent(name="x", model=OpenAIResponsesModel(MODEL, client), tools=[function_tool(get_weather)]),
        ASK_WEATHER,
    )
    async for _ in streamed.stream_events():
        pass
    typed = OpenAIAgent(name="x", model=OpenAIResponsesModel(MODEL, client), output_type=Person)
    return {
        "responses": await openai_turns(OpenAIResponsesModel(MODEL, client)),
        "chats": await openai_turns(OpenAIChatCompletionsModel(MODEL, client)),
        "streamed": streamed.final_output,
        "typed": (await Runner.run(typed, "hello")).final_output.model_dump(),
    }


anthropic = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=ROOT, api_key=KEY))
report(
    pydantic_chats=pydantic_turns(OpenAIChatModel(MODEL, provider=provider)),
    pydantic_responses=pydantic_turns(PydanticResponsesModel(MODEL, provider=provider)),
    pydantic_messages=pydantic_turns(anthropic),
    pydantic_typed=Agent(OpenAIChatModel(MODEL, provider=provider), output_type=Person)
    .run_sync("hello")
    .output.model_dump(),
    openai=asyncio.run(openai_agents()),
)
