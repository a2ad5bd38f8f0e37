"""How conversations look to a browser."""

from typing import Any

from django.db.models import QuerySet

from core.ids import request_id
from credits.money import plain_dollars
from inference.models import Run
from inference.runs.receipt import Receipt
from playground.conversations import claims
from playground.models import Conversation, Message


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation whole."""
    messages = [message_json(message) for message in conversation.messages.visible()]
    running = [message["run"]["run"] for message in messages if message["state"] == Message.State.RUNNING]
    return {
        "id": str(conversation.id),
        "project": str(conversation.project),
        "model": conversation.model,
        "title": conversation.title,
        "system_prompt": conversation.system_prompt,
        "parameters": conversation.parameters,
        "draft": conversation.draft,
        "messages": messages,
        "running": running[-1] if running else None,
    }


def message_json(message: Message) -> dict[str, Any]:
    """Return one message. A running answer whose run is gone, because the process was, is shown as stopped."""
    state = message.state
    if state == Message.State.RUNNING and not claims.is_held(message.run):
        state = Message.State.STOPPED
    return {
        "id": str(message.id),
        "role": message.role,
        "content": message.content,
        "reasoning": message.reasoning,
        "state": state,
        "run": (message.summary or unfinished_summary(message)) if message.run else None,
        "error": message.error,
    }


def listing(conversations: "QuerySet[Conversation]") -> list[dict[str, Any]]:
    """Return conversations for the history panel."""
    return [
        {"id": str(pk), "title": title, "model": model, "updated_at": updated_at.isoformat()}
        for pk, title, model, updated_at in conversations.values_list("id", "title", "model", "updated_at")
    ]


def unfinished_summary(message: Message) -> dict[str, Any]:
    """Return what is known of a run before its end."""
    model = message.asked_with.get("model", "")
    return _summary(message.run, model)


def run_summary(receipt: Receipt) -> dict[str, Any]:
    """Return what became of a run; times in milliseconds, the cost in plain decimal dollars."""
    first_token, ended = receipt.first_token_seconds, receipt.ended_at
    rate = receipt.tokens_per_second
    return _summary(
        receipt.id,
        receipt.model,
        ending=receipt.ending.value,
        finish_reason=receipt.ending.value if receipt.ending in Run.ENGINE_ENDINGS else None,
        prompt_tokens=receipt.usage.prompt_tokens,
        completion_tokens=receipt.usage.completion_tokens,
        cost_dollars=plain_dollars(receipt.cost_nano),
        first_token_ms=None if first_token is None else round(first_token * 1000),
        duration_ms=None if ended is None else round((ended - receipt.started_at).total_seconds() * 1000),
        tokens_per_second=None if rate is None else round(rate, 1),
        counting=receipt.counting.value,
    )


def _summary(run: str, model: str, **known: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        (
            "ending",
            "finish_reason",
            "prompt_tokens",
            "completion_tokens",
            "cost_dollars",
            "first_token_ms",
            "duration_ms",
            "tokens_per_second",
            "counting",
        )
    )
    return {"run": run, "request_id": request_id(run), "model": model, **empty, **known}
