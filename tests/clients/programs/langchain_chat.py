"""LangChain's ChatOpenAI: whole, streamed, with tools, a schema, a second turn, and how it knows overflow."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from scenario import ASK_WEATHER, KEY, LONG, MODEL, POOR_KEY, URL, caught, report


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


chat = ChatOpenAI(model=MODEL, base_url=URL, api_key=KEY, stream_usage=True)
responses = ChatOpenAI(model=MODEL, base_url=URL, api_key=KEY, use_responses_api=True)
poor = ChatOpenAI(model=MODEL, base_url=URL, api_key=POOR_KEY)


def turns(model):
    """Ask, let a tool be called, and go on twice with what was given back."""
    with_tools = model.bind_tools([get_weather])
    messages = [HumanMessage(ASK_WEATHER)]
    called = with_tools.invoke(messages)
    messages += [called, ToolMessage("rain", tool_call_id=called.tool_calls[0]["id"])]
    answered = with_tools.invoke(messages)
    messages += [answered, HumanMessage("and now?")]
    return called.tool_calls[0]["args"], answered.text, with_tools.invoke(messages).text


report(
    said=chat.invoke("hello").content,
    usage=chat.invoke("hello").usage_metadata,
    streamed="".join(chunk.content for chunk in chat.stream("hello")),
    turns=turns(chat),
    responses_said=responses.invoke("hello").text,
    responses_streamed="".join(chunk.text for chunk in responses.stream("hello")),
    responses_turns=turns(responses),
    schema=chat.with_structured_output(Person).invoke("hello").model_dump(),
    function=chat.with_structured_output(Person, method="function_calling").invoke("hello").model_dump(),
    overflow=caught(lambda: chat.invoke(LONG)),
    responses_overflow=caught(lambda: responses.invoke(LONG)),
    quota=caught(lambda: poor.invoke("hello")),
)
