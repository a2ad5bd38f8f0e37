"""What people keep in the playground: conversations, private to their author; presets, shared in their project."""

import uuid
from typing import ClassVar, TypeVar

from django.db import models
from django.db.models import Q

from accounts.models import Project, User
from playground.limits import (
    MAX_MODEL_CHARACTERS,
    MAX_PRESET_DESCRIPTION_CHARACTERS,
    MAX_PRESET_NAME_CHARACTERS,
    MAX_TAB_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    MAX_TOOL_CALL_ID_CHARACTERS,
)

# What ``core.changes`` calls a change of what a page shows of a conversation.
TOPIC = "conversations"


Row_co = TypeVar("Row_co", bound=models.Model, covariant=True)


class NotDeleted(models.Manager[Row_co]):
    """Finds what is not deleted; what is can be brought back for a while."""

    def get_queryset(self) -> models.QuerySet[Row_co]:
        """Leave out what is deleted."""
        return super().get_queryset().filter(deleted_at=None)


class Conversation(models.Model):
    """A chat with one model and the settings for its next answer. Found through its author: ``user.conversations``.

    Its messages are a tree: asking again, or another way, begins a branch beside the one that is there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="conversations")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="conversations")
    # An id, not a reference: a conversation outlives the model that it was held with.
    model = models.CharField(max_length=MAX_MODEL_CHARACTERS)
    title = models.CharField(max_length=MAX_TITLE_CHARACTERS, blank=True)
    system_prompt = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, blank=True, help_text="Sampling parameters under OpenAI's names.")
    # What was typed last, in whichever tab; each tab's own is a ``Draft``.
    draft = models.TextField(blank=True)
    # The last message of the branch that is shown; none: the last that was made.
    head = models.ForeignKey("Message", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    version = models.PositiveIntegerField(
        default=1, db_default=1, help_text="Counts the changes of what a page shows, the draft aside."
    )
    # Conversations that stand side by side share a group, each with its place in it; the first one is listed.
    group = models.UUIDField(null=True, blank=True, db_index=True)
    column = models.PositiveSmallIntegerField(default=0, db_default=0)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[NotDeleted["Conversation"]] = NotDeleted()
    with_deleted: ClassVar[models.Manager["Conversation"]] = models.Manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "project", "-updated_at"], name="conversations_by_recency"),
            models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="deleted_conversations"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)

    def columns(self) -> "list[Conversation]":
        """Return the conversations that stand side by side with this one, in order; itself alone where it is alone."""
        if self.group is None:
            return [] if self.deleted_at else [self]
        found = Conversation.objects.filter(user=self.user_id, group=self.group)
        return list(found.select_related("project__team").order_by("column", "created_at"))


class Message(models.Model):
    """One turn of a conversation."""

    class Role(models.TextChoices):
        """Who speaks."""

        SYSTEM = "system"
        DEVELOPER = "developer"
        USER = "user"
        ASSISTANT = "assistant"
        TOOL = "tool"

    class State(models.TextChoices):
        """How far an answer came. A running one whose run no longer lives counts as stopped."""

        COMPLETE = "complete"
        RUNNING = "running"
        STOPPED = "stopped"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    # Counts the conversation's messages in the order in which they were made, whatever their branch.
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=9, choices=Role.choices)
    content = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    # OpenAI's shapes: what an answer calls, which call a tool's turn answers, how likely each token was.
    tool_calls = models.JSONField(null=True, blank=True)
    tool_call_id = models.CharField(max_length=MAX_TOOL_CALL_ID_CHARACTERS, blank=True, default="", db_default="")
    logprobs = models.JSONField(null=True, blank=True)
    # The ids of the conversation's images that it shows, in order.
    images = models.JSONField(default=list, blank=True, db_default=models.Value([], models.JSONField()))
    state = models.CharField(max_length=8, choices=State.choices, default=State.COMPLETE)
    run = models.CharField(max_length=32, blank=True, db_index=True, help_text="Id of the run that made the answer.")
    # The settings that the answer was asked for with, so that its request can be shown after they changed.
    asked_with = models.JSONField(default=dict, blank=True)
    summary = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # Deleted together means at the same moment, and is brought back together.
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[NotDeleted["Message"]] = NotDeleted()
    with_deleted: ClassVar[models.Manager["Message"]] = models.Manager()

    SETTINGS: ClassVar = ("model", "system_prompt", "parameters")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "position"], name="one_message_per_position"),
            models.UniqueConstraint(fields=["conversation"], condition=Q(state="running"), name="one_answer_at_a_time"),
        ]
        indexes = [models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="deleted_messages")]

    def __str__(self) -> str:
        return f"{self.role} message {self.position} of {self.conversation_id}"


class Draft(models.Model):
    """What is typed but not sent in one tab: two tabs on a conversation never overwrite each other's."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="drafts")
    tab = models.CharField(max_length=MAX_TAB_CHARACTERS)
    text = models.TextField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "tab"], name="one_draft_per_tab")]

    def __str__(self) -> str:
        return f"draft of {self.conversation_id} in tab {self.tab}"


class Image(models.Model):
    """A picture that was put into a conversation, as it is sent to the model."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="pictures")
    media_type = models.CharField(max_length=20)
    content = models.BinaryField()
    name = models.CharField(max_length=MAX_TITLE_CHARACTERS, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name or str(self.id)


class Preset(models.Model):
    """Settings under a name, for everybody in a project. What was saved under it before stays as an older version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="presets")
    name = models.CharField(max_length=MAX_PRESET_NAME_CHARACTERS)
    description = models.CharField(max_length=MAX_PRESET_DESCRIPTION_CHARACTERS, blank=True)
    # Whoever saved it first; the team keeps it when the account goes.
    author = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_preset_per_name")]

    def __str__(self) -> str:
        return self.name


class PresetVersion(models.Model):
    """What was saved under a preset's name at one time; never changed."""

    preset = models.ForeignKey(Preset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    model = models.CharField(max_length=MAX_MODEL_CHARACTERS)
    system_prompt = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["preset", "number"], name="one_preset_version_per_number")]

    def __str__(self) -> str:
        return f"version {self.number} of {self.preset_id}"
