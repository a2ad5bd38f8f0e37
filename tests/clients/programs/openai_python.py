"""The openai package: chat and responses, whole and streamed, with tools and schemas."""

from openai import OpenAI
from pydantic import BaseModel
from scenario import ASK_WEATHER, KEY, LONG, MODEL, POOR_KEY, URL, WEATHER, caught, report


class Person(BaseModel):
    """What is asked for."""

    name: str
    age: int


client = OpenAI(base_url=URL, api_key=KEY)
poor = OpenAI(base_url=URL, api_key=POOR_KEY)
user = {"role": "user", "content": "hello"}

chat = client.chat.completions.create(model=MODEL, messages=[user])
chunks = list(
    client.chat.completions.create(model=MODEL, messages=[user], stream=True, stream_options={"include_usage": True})
)
messages = [{"role": "user", "content": ASK_WEATHER}]
called = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0].message
call = called.tool_calls[0]
messages += [called.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
answered = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
messages += [answered.choices[0].message.model_dump(), {"role": "user", "content": "and now?"}]
third = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
parsed = client.chat.completions.parse(model=MODEL, messages=[user], response_format=Person)
with client.chat.completions.stream(model=MODEL, messages=messages[:1], tools=[WEATHER]) as stream:
    kinds = {event.type for event in stream}
    final = stream.get_final_completion()

tool = {"type": "function", **WEATHER["function"]}
response = client.responses.create(model=MODEL, input="hello", instructions="Be brief.")
with client.responses.stream(model=MODEL, input="hello") as stream:
    events = [event.type for event in stream]
    streamed = stream.get_final_response()
first = client.responses.create(model=MODEL, input=ASK_WEATHER, tools=[tool])
result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "rain"}
by_id = client.responses.create(model=MODEL, previous_response_id=first.id, input=[result], tools=[tool])
again = [{"role": "user", "content": ASK_WEATHER}, *first.output, result]
by_items = client.responses.create(model=MODEL, input=again, tools=[tool], store=False)
person = client.responses.parse(model=MODEL, input="hello", text_format=Person)

report(
    chat=chat.choices[0].message.content,
    streamed="".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
    reasons=[chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason],
    usage=chunks[-1].usage.model_dump(),
    arguments=call.function.arguments,
    answered=answered.choices[0].message.content,
    third=third.choices[0].message.content,
    parsed=parsed.choices[0].message.parsed.model_dump(),
    stream_events=sorted(kinds),
    stream_arguments=final.choices[0].message.tool_calls[0].function.arguments,
    response=response.output_text,
    response_events=events[:4] + events[-1:],
    response_streamed=streamed.output_text,
    response_usage=response.usage.model_dump(),
    by_id=by_id.output_text,
    by_items=by_items.output_text,
    person=person.output_parsed.model_dump(),
    models=[model.id for model in client.models.list()],
    overflow=caught(lambda: client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": LONG}])),
    quota=caught(lambda: poor.chat.completions.create(model=MODEL, messages=[user])),
    invalid=caught(lambda: client.chat.completions.create(model=MODEL, messages=[user], temperature=9)),
)
