"""huggingface_hub's client: chats, whole and streamed, with tools and a schema."""

from huggingface_hub import InferenceClient
from scenario import ASK_WEATHER, KEY, LONG, MODEL, PERSON, POOR_KEY, ROOT, WEATHER, report

client = InferenceClient(base_url=ROOT, api_key=KEY)
poor = InferenceClient(base_url=ROOT, api_key=POOR_KEY)
user = [{"role": "user", "content": "hello"}]

chat = client.chat_completion(user, model=MODEL)
streamed = "".join(
    chunk.choices[0].delta.content or ""
    for chunk in client.chat_completion(user, model=MODEL, stream=True)
    if chunk.choices
)
messages = [{"role": "user", "content": ASK_WEATHER}]
called = client.chat_completion(messages, model=MODEL, tools=[WEATHER], tool_choice="auto").choices[0].message
messages += [called, {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "rain"}]
answered = client.chat_completion(messages, model=MODEL, tools=[WEATHER])
own = client.chat_completion(user, model=MODEL, response_format={"type": "json_object", "value": PERSON})
openais = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
schema = client.chat_completion(user, model=MODEL, response_format=openais)


def status(call):
    """Return the status that a call fails with."""
    try:
        call()
    except Exception as error:  # noqa: BLE001
        return error.response.status_code, "context_length_exceeded" in error.response.text
    return None


report(
    chat=chat.choices[0].message.content,
    streamed=streamed,
    arguments=called.tool_calls[0].function.arguments,
    answered=answered.choices[0].message.content,
    own=own.choices[0].message.content,
    schema=schema.choices[0].message.content,
    overflow=status(lambda: client.chat_completion([{"role": "user", "content": LONG}], model=MODEL)),
    quota=status(lambda: poor.chat_completion(user, model=MODEL)),
)
