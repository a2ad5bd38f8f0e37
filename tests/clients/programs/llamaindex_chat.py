"""LlamaIndex's client for servers that are like OpenAI: whole, streamed, with a tool and a second turn."""

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from scenario import ASK_WEATHER, KEY, LONG, MODEL, POOR_KEY, URL, caught, report


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def at(key):
    """Return a client with a key."""
    return OpenAILike(
        model=MODEL,
        api_base=URL,
        api_key=key,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
        max_retries=0,
    )


llm = at(KEY)
tool = FunctionTool.from_defaults(get_weather)
asked = ChatMessage(role="user", content=ASK_WEATHER)
called = llm.chat_with_tools([tool], chat_history=[asked])
(call,) = llm.get_tool_calls_from_response(called)
result = ChatMessage(role="tool", content="rain", additional_kwargs={"tool_call_id": call.tool_id})
answered = llm.chat_with_tools([tool], chat_history=[asked, called.message, result])
later = [asked, called.message, result, answered.message, ChatMessage(role="user", content="and now?")]
report(
    said=llm.complete("hello").text,
    streamed="".join(piece.delta for piece in llm.stream_complete("hello")),
    arguments=call.tool_kwargs,
    answered=answered.message.content,
    again=llm.chat(later).message.content,
    schema=llm.as_structured_llm(Person).complete("hello").raw.model_dump(),
    overflow=caught(lambda: llm.complete(LONG)),
    quota=caught(lambda: at(POOR_KEY).complete("hello")),
)
