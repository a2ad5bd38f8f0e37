"""What people keep in the playground: conversations, private to their author within a project."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Project, User
from playground.limits import MAX_MODEL_CHARACTERS, MAX_TITLE_CHARACTERS


class Conversation(models.Model):
    """A chat with one model and the settings for its next answer. Found through its author: ``user.conversations``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="conversations")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="conversations")
    # An id, not a reference: a conversation outlives the model that it was held with.
    model = models.CharField(max_length=MAX_MODEL_CHARACTERS)
    title = models.CharField(max_length=MAX_TITLE_CHARACTERS, blank=True)
    system_prompt = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, blank=True, help_text="Sampling parameters under OpenAI's names.")
    draft = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["user", "project", "-updated_at"], name="conversations_by_recency")]

    def __str__(self) -> str:
        return self.title or str(self.id)


class MessageQuerySet(models.QuerySet["Message"]):
    """Finds messages."""

    def visible(self) -> "MessageQuerySet":
        """Keep the conversation as its author sees it, in order."""
        return self.filter(replaced_by=None).order_by("position")


class Message(models.Model):
    """One turn of a conversation."""

    class Role(models.TextChoices):
        """Who speaks."""

        USER = "user"
        ASSISTANT = "assistant"

    class State(models.TextChoices):
        """How far an answer came. A running one whose run no longer lives counts as stopped."""

        COMPLETE = "complete"
        RUNNING = "running"
        STOPPED = "stopped"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=9, choices=Role.choices)
    content = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.COMPLETE)
    run = models.CharField(max_length=32, blank=True, db_index=True, help_text="Id of the run that made the answer.")
    # The settings that the answer was asked for with, so that its request can be shown after they changed.
    asked_with = models.JSONField(default=dict, blank=True)
    summary = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # The answer that takes this message's place: hidden from then on, deleted once that answer's first token is there,
    # and back again if it is refused before.
    replaced_by = models.UUIDField(null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    SETTINGS: ClassVar = ("model", "system_prompt", "parameters")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "position"], condition=Q(replaced_by=None), name="one_message_per_position"
            )
        ]

    def __str__(self) -> str:
        return f"{self.role} message {self.position} of {self.conversation_id}"
