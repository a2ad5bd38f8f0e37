"""How conversations look to a browser."""

from typing import Any, Final
from uuid import UUID

from core.ids import request_id
from credits.money import plain_dollars
from inference.models import Run
from inference.runs import receipts
from inference.runs.receipt import Receipt
from inference.runs.receipts import RunReceipt
from playground.conversations import branches, claims, drafts
from playground.conversations.branches import Tree, Turn
from playground.conversations.requests import PREFILL
from playground.models import Conversation, Message

# The ending of a run whose process was killed: nothing was charged, and nobody knows more.
LOST: Final = "lost"


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation whole: the branch that is shown, with the ids of the versions of each of its turns."""
    tree = Tree(conversation)
    messages = [message_json(message, tree.versions(message.pk)) for message in branches.shown(conversation, tree)]
    running = [message["run"]["run"] for message in messages if message["state"] == Message.State.RUNNING]
    return {
        "id": str(conversation.id),
        "project": str(conversation.project),
        "model": conversation.model,
        "title": conversation.title,
        "system_prompt": conversation.system_prompt,
        "parameters": conversation.parameters,
        "draft": conversation.draft,
        "drafts": drafts.by_tab(conversation),
        "version": conversation.version,
        "messages": messages,
        "running": running[-1] if running else None,
        "columns": [str(column.pk) for column in conversation.columns()],
    }


def turn_json(turn: Turn) -> dict[str, Any]:
    """Return what a page shows of a turn that has begun."""
    question, answer = turn.question, turn.answer
    return {
        "conversation": str(turn.conversation.pk),
        "title": turn.conversation.title,
        "version": turn.conversation.version,
        "user": message_json(question, turn.versions[question.pk]) if question else None,
        "message": message_json(answer, turn.versions[answer.pk]),
    }


def message_json(message: Message, versions: list[UUID] | None = None) -> dict[str, Any]:
    """Return one message. A running answer whose run is gone, because the process was, is shown as stopped."""
    if message.state == Message.State.RUNNING and not claims.is_held(message.run):
        settle_lost(message)
    return {
        "id": str(message.id),
        "role": message.role,
        "content": message.content,
        "reasoning": message.reasoning,
        "state": message.state,
        "tool_calls": message.tool_calls or [],
        "tool_call_id": message.tool_call_id,
        "logprobs": message.logprobs or [],
        "images": message.images,
        # The words that it goes on from.
        "prefill": message.asked_with.get(PREFILL, ""),
        "run": message.summary or (unfinished_summary(message) if message.run else None),
        "error": message.error,
        "versions": [str(version) for version in versions or [message.pk]],
    }


def settle_lost(answer: Message) -> None:
    """Say of an answer whose run is gone how it ended, as far as anybody knows; not saved."""
    answer.state = Message.State.STOPPED
    receipt = receipts.find(Run.objects.all(), answer.run)
    answer.summary = _receipt_summary(receipt) if receipt else {**unfinished_summary(answer), "ending": LOST}


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
        receipt.model_id,
        ending=receipt.ending,
        finish_reason=receipt.ending if receipt.ending in Run.ENGINE_ENDINGS else None,
        prompt_tokens=receipt.usage.prompt_tokens,
        completion_tokens=receipt.usage.completion_tokens,
        cost_dollars=plain_dollars(receipt.cost_nano),
        first_token_ms=None if first_token is None else round(first_token * 1000),
        duration_ms=None if ended is None else round((ended - receipt.started_at).total_seconds() * 1000),
        tokens_per_second=None if rate is None else round(rate, 1),
        counting=receipt.counting,
    )


def _receipt_summary(receipt: RunReceipt) -> dict[str, Any]:
    """Return what became of a run, from the row that was written with its charge."""
    run, rate, first_token = receipt.run, receipt.tokens_per_second, receipt.first_token_seconds
    return _summary(
        run.pk,
        run.model_id,
        ending=run.ending,
        finish_reason=run.ending if run.ending in Run.ENGINE_ENDINGS else None,
        prompt_tokens=run.prompt_tokens,
        completion_tokens=run.delivered_tokens,
        cost_dollars=plain_dollars(run.cost_nano),
        first_token_ms=None if first_token is None else round(first_token * 1000),
        duration_ms=round((run.ended_at - run.started_at).total_seconds() * 1000),
        tokens_per_second=None if rate is None else round(rate, 1),
        counting=run.counting,
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
