"""LiteLLM: whole, streamed, with tools and a second turn; its router goes on where credits end."""

import litellm
from litellm import Router
from scenario import ASK_WEATHER, KEY, LONG, MODEL, POOR_KEY, ROOT, URL, WEATHER, caught, report

litellm.suppress_debug_info = True
given = {"model": f"openai/{MODEL}", "api_base": URL, "api_key": KEY}
user = [{"role": "user", "content": "hello"}]

chat = litellm.completion(messages=user, **given)
chunks = list(litellm.completion(messages=user, stream=True, **given))
messages = [{"role": "user", "content": ASK_WEATHER}]
turns = []
for turn in range(30):
    called = litellm.completion(messages=messages, tools=[WEATHER], **given).choices[0].message
    messages.append(called.model_dump())
    call = called.tool_calls[0]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": f"rain {turn}"})
    answered = litellm.completion(messages=messages, tools=[WEATHER], **given).choices[0].message
    messages += [answered.model_dump(), {"role": "user", "content": ASK_WEATHER}]
    turns.append(answered.content)

router = Router(
    model_list=[
        {"model_name": "poor", "litellm_params": given | {"api_key": POOR_KEY}},
        {"model_name": "rich", "litellm_params": given},
    ],
    fallbacks=[{"poor": ["rich"]}],
    num_retries=0,
)


def routed():
    """Ask by way of a model whose credits have ended."""
    return router.completion(model="poor", messages=user).choices[0].message.content


try:
    gone_on = routed()
except Exception as error:  # noqa: BLE001
    gone_on = type(error).__name__

anthropic = {"model": f"anthropic/{MODEL}", "api_base": ROOT, "api_key": KEY}
report(
    chat=chat.choices[0].message.content,
    streamed="".join(chunk.choices[0].delta.content or "" for chunk in chunks),
    turns=turns,
    anthropic=litellm.completion(messages=user, **anthropic).choices[0].message.content,
    responses=litellm.responses(input="hello", **given).output[0].content[0].text,
    overflow=caught(lambda: litellm.completion(messages=[{"role": "user", "content": LONG}], **given)),
    quota=caught(lambda: litellm.completion(messages=user, **(given | {"api_key": POOR_KEY}), max_retries=0)),
    gone_on=gone_on,
)
