"""The anthropic package: messages, whole and streamed, with tools, counts and models."""

from anthropic import Anthropic
from scenario import ASK_WEATHER, KEY, LONG, MODEL, POOR_KEY, ROOT, WEATHER, caught, report

client = Anthropic(base_url=ROOT, api_key=KEY)
bearer = Anthropic(base_url=ROOT, auth_token=KEY, api_key=None)
poor = Anthropic(base_url=ROOT, api_key=POOR_KEY)
function = WEATHER["function"]
tool = {"name": function["name"], "description": function["description"], "input_schema": function["parameters"]}


def ask(content, asker=client, **more):
    """Ask with a message of the user's."""
    messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
    return asker.messages.create(model=MODEL, max_tokens=1_000, messages=messages, **more)


message = ask("hello", system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}])
with client.messages.stream(model=MODEL, max_tokens=1_000, messages=[{"role": "user", "content": "hello"}]) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
called = ask(ASK_WEATHER, tools=[tool])
turns = [
    {"role": "user", "content": ASK_WEATHER},
    {"role": "assistant", "content": called.content},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called.content[-1].id, "content": "rain"}]},
]
answered = ask(turns, tools=[tool])
with client.messages.stream(
    model=MODEL, max_tokens=1_000, messages=turns[:1], tools=[tool], tool_choice={"type": "any"}
) as stream:
    stream_called = stream.get_final_message()
beta = client.beta.messages.create(
    model=MODEL, max_tokens=1_000, messages=turns[:1], betas=["interleaved-thinking-2025-05-14"]
)
report(
    message=message.content[0].text,
    stop_reason=message.stop_reason,
    usage=message.usage.model_dump(),
    streamed=text,
    stream_usage=final.usage.model_dump(),
    input=called.content[-1].input,
    called_stop_reason=called.stop_reason,
    answered=answered.content[0].text,
    stream_input=stream_called.content[-1].input,
    beta=beta.content[0].text,
    bearer=ask("hello", bearer).content[0].text,
    counted=client.messages.count_tokens(model=MODEL, messages=turns[:1]).input_tokens,
    models=[model.id for model in client.models.list()],
    overflow=caught(lambda: ask(LONG)),
    quota=caught(lambda: ask("hello", poor)),
    invalid=caught(lambda: ask("hello", extra_body={"temperature": 9})),
)
