"""Which models can be called, at what price and where; and what became of each call."""

from datetime import UTC, datetime
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Project, User
from core import clock
from credits.fields import AmountField, whole
from inference.catalog.aliases import check_targets
from inference.chat import READING_FEATURES

# One thousand dollars per million tokens. A price above it is taken for a mistake in the unit.
MAX_PRICE_MICROCREDITS_PER_MTOK = 1_000_000_000
# Outside of these a price's start is a slip of the keyboard.
FIRST_START = datetime(2000, 1, 1, tzinfo=UTC)
LAST_START = datetime(2200, 1, 1, tzinfo=UTC)
# What a model may read, and what it can do, by the names that most of them share.
MODALITIES = ("text", "image", "audio", "video", "embedding")
FEATURES = ("tools", "json_mode", "structured_output", "reasoning", *READING_FEATURES)
# More requests at once than any process could hold are a slip as well.
MAX_CONCURRENCY = 100_000
# What callers may name: a model, or what stands for some.
_NAME = RegexValidator(r"\A[\w.-]+(/[\w.:-]+)*\Z", "Use owner/name.")


class ModelQuerySet(models.QuerySet["Model"]):
    """Finds models."""

    def callable(self) -> "ModelQuerySet":
        """Keep the models that can be called now: not retired, and with a price in force."""
        priced = Price.objects.filter(model=models.OuterRef("pk"), starts_at__lte=clock.latest())
        return self.exclude(lifecycle=Model.Lifecycle.RETIRED).filter(models.Exists(priced)).prefetch_related("prices")


class Model(models.Model):
    """A language model under its Hub-style id, as callers name it."""

    class Lifecycle(models.TextChoices):
        """How long callers may count on the model."""

        EXPERIMENTAL = "experimental"
        AVAILABLE = "available", "generally available"
        DEPRECATED = "deprecated"
        RETIRED = "retired"

    id = models.CharField(primary_key=True, max_length=200, validators=[_NAME])
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    context_tokens = models.PositiveIntegerField(help_text="Prompt and answer together.")
    modalities = models.JSONField(default=list, help_text='What the model reads, such as ["text", "image"].')
    features = models.JSONField(default=list, help_text='Such as ["tools", "json_mode", "structured_output"].')
    parameters_total = models.PositiveBigIntegerField(null=True, blank=True)
    parameters_active = models.PositiveBigIntegerField(null=True, blank=True)
    license = models.CharField(max_length=60, blank=True)
    hub_url = models.URLField(blank=True)
    released_on = models.DateField(null=True, blank=True)
    lifecycle = models.CharField(max_length=12, choices=Lifecycle.choices, default=Lifecycle.AVAILABLE)
    replacement = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True)
    replaced_until = models.DateField(
        null=True,
        blank=True,
        help_text="Up to this day (UTC) the replacement answers for the model once it is retired. "
        "Empty when it is retired: two weeks.",
    )
    # Measured when the model is added; the defaults are for engines that cannot be asked.
    template_tokens = models.PositiveIntegerField(
        default=256, help_text="The most that the chat template adds to a prompt of one message."
    )
    template_system_tokens = models.PositiveIntegerField(
        default=256, help_text="The same for a prompt that has a system message."
    )
    template_tools_tokens = models.PositiveIntegerField(
        default=1_024, help_text="The same for a prompt that has tools."
    )
    image_tokens = models.PositiveIntegerField(
        default=16_384, help_text="The most tokens that the model makes of one image."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelQuerySet.as_manager()

    def __str__(self) -> str:
        return self.id

    def clean(self) -> None:
        """Refuse an id that is an alias already. Raises ValidationError."""
        if Alias.objects.filter(pk=self.id).exists():
            raise ValidationError(f"{self.id} is the name of an alias.")

    @property
    def owner(self) -> str:
        """The organisation in the id, as the Hub writes it."""
        return self.id.partition("/")[0] if "/" in self.id else ""

    @property
    def reads(self) -> list[str]:
        """What it is for, if it does not chat (``inference.chat.Reading``)."""
        return [feature for feature in READING_FEATURES if feature in self.features]

    @property
    def current_price(self) -> "Price | None":
        """The version in force, if there is one; without it the model cannot be called."""
        now = clock.latest()
        started = [price for price in self.prices.all() if price.starts_at <= now]
        return max(started, key=lambda price: price.starts_at, default=None)


class Alias(models.Model):
    """A name that stands for models: those with a weight share its requests, the others follow in their order."""

    name = models.CharField(primary_key=True, max_length=200, validators=[_NAME])
    targets = models.JSONField(help_text='Such as [{"model": "owner/name", "weight": 90}].')
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "aliases"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a name that is a model's, and targets that are none. Raises ValidationError."""
        targets = check_targets(self.targets)
        if Model.objects.filter(pk=self.name).exists():
            raise ValidationError(f"{self.name} is a model.")
        known = set(Model.objects.filter(pk__in=targets).values_list("pk", flat=True))
        for target in targets:
            if target == self.name or Alias.objects.filter(pk=target).exists():
                raise ValidationError(f"{target} is an alias: an alias stands for models only.")
            if target not in known:
                raise ValidationError(f"There is no model {target}.")


class Price(models.Model):
    """What a model costs from a moment on, in micro-credits per million tokens (0.22 dollars = 220,000).

    A price is never edited: a new version starts later.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="prices")
    starts_at = models.DateTimeField(default=timezone.now)
    input_microcredits_per_mtok = AmountField()
    output_microcredits_per_mtok = AmountField()
    cached_input_microcredits_per_mtok = AmountField()

    class Meta:
        get_latest_by = "starts_at"
        constraints = [
            models.UniqueConstraint(fields=["model", "starts_at"], name="one_price_per_model_and_start"),
            models.CheckConstraint(
                condition=Q(starts_at__gte=FIRST_START, starts_at__lt=LAST_START), name="price_start_is_sane"
            ),
            *(
                models.CheckConstraint(
                    condition=whole(field, 0, MAX_PRICE_MICROCREDITS_PER_MTOK),
                    name=f"price_{field.split('_microcredits')[0]}_is_sane",
                )
                for field in (
                    "input_microcredits_per_mtok",
                    "output_microcredits_per_mtok",
                    "cached_input_microcredits_per_mtok",
                )
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} from {self.starts_at:%Y-%m-%d %H:%M} UTC"


class Endpoint(models.Model):
    """A server that runs a model."""

    class Kind(models.TextChoices):
        """Which dialect the server speaks."""

        VLLM = "vllm", "vLLM"
        SGLANG = "sglang", "SGLang"
        TGI = "tgi", "HuggingFace TGI"
        LLAMACPP = "llamacpp", "llama.cpp server"
        OLLAMA = "ollama", "Ollama"
        OPENAI = "openai", "OpenAI-compatible"

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="endpoints")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    base_url = models.URLField(help_text="Without /v1, such as http://10.0.0.5:8080.")
    credential = models.CharField(max_length=500, blank=True, help_text="Sent to the engine as a Bearer token.")
    upstream_model = models.CharField(
        max_length=200, blank=True, help_text="The name the engine knows the model by; empty: the model's id."
    )
    concurrency = models.PositiveIntegerField(default=64, validators=[MinValueValidator(1)])
    is_enabled = models.BooleanField(default=True)
    is_embedded = models.BooleanField(default=False, editable=False)
    # Found out about the server by asking it.
    learned = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(concurrency__gte=1), name="endpoint_concurrency_is_positive"),
            models.UniqueConstraint(fields=["model", "base_url"], name="one_endpoint_per_model_and_url"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.base_url}"


class Run(models.Model):
    """What became of one call: the seed of its receipt. Written once, together with its charge."""

    class Ending(models.TextChoices):
        """Why the run ended, in the playground's words where it has some."""

        STOP = "stop", "finished"
        LENGTH = "length", "token limit reached"
        TOOL_CALLS = "tool_calls", "asked for a tool"
        CONTENT_FILTER = "content_filter", "filtered"
        DISCONNECTED = "disconnected", "caller went away"
        STOPPED = "stopped", "stopped by the user"
        SLOW_READER = "slow_reader", "caller read too slowly"
        TIMEOUT = "timeout", "engine took too long"
        ENGINE_ERROR = "engine_error", "engine failed"
        REVOKED = "revoked", "caller lost access"
        SHUTDOWN = "shutdown", "server shut down"
        OUT_OF_CREDITS = "out_of_credits", "credits ran out"

    class Counting(models.TextChoices):
        """Where the token counts come from."""

        ENGINE = "engine", "the engine's own usage"
        TOKENIZER = "tokenizer", "the engine's tokenizer over the delivered text"
        ESTIMATE = "estimate", "estimated from the text's length"

    # Without an index for each foreign key: every run writes them all, and pages ask by project or by time.

    # The common part of x-request-id (req_…) and of the completion's id (chatcmpl-…).
    id = models.CharField(primary_key=True, max_length=32)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runs", db_index=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="runs", db_index=False)
    key = models.CharField(max_length=12, blank=True, help_text="Id of the API key; empty for the browser.")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="runs", db_index=False)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="runs", db_index=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.SET_NULL, null=True, related_name="runs", db_index=False)
    started_at = models.DateTimeField()
    first_token_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField()
    ending = models.CharField(max_length=16, choices=Ending.choices)
    error = models.CharField(max_length=60, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    generated_tokens = models.PositiveIntegerField(default=0)
    delivered_tokens = models.PositiveIntegerField(default=0)
    counting = models.CharField(max_length=10, choices=Counting.choices, default=Counting.ENGINE)
    held_nano = AmountField(default=0)
    cost_nano = AmountField(default=0)
    streamed = models.BooleanField(default=False)
    clamped_to = models.PositiveIntegerField(null=True, help_text="The limit on the answer that the balance set.")
    limited_by = models.CharField(
        max_length=200,
        blank=True,
        db_default="",
        help_text="Which credits did not cover the rest of the answer, in words.",
    )

    ENGINE_ENDINGS: ClassVar = (Ending.STOP, Ending.LENGTH, Ending.TOOL_CALLS, Ending.CONTENT_FILTER)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=whole("held_nano", 0) & whole("cost_nano", 0), name="run_amounts_are_sane")
        ]
        indexes = [
            models.Index(fields=["project", "-started_at"], name="runs_by_project_and_start"),
            # For the operator's pages: today's numbers, and the latest runs of everybody.
            models.Index(fields=["-started_at"], name="runs_by_start"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.ending})"


class ConcurrencyLimit(models.Model):
    """How many requests a project, or a user, may have in flight; where there is none, the settings decide."""

    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="concurrency_limit"
    )
    user = models.OneToOneField(User, on_delete=models.CASCADE, null=True, blank=True, related_name="concurrency_limit")
    requests = models.PositiveIntegerField(
        "requests at once", validators=[MinValueValidator(1), MaxValueValidator(MAX_CONCURRENCY)]
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(project=None, user__isnull=False) | Q(project__isnull=False, user=None),
                name="concurrency_limit_is_of_one",
            ),
            models.CheckConstraint(
                condition=Q(requests__gte=1, requests__lte=MAX_CONCURRENCY), name="concurrency_limit_is_sane"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.requests} for {self.project or self.user}"


class ServingProcess(models.Model):
    """A web process that may have runs under way; ``inference.runs.leases`` renews it and finds the dead ones."""

    name = models.CharField(primary_key=True, max_length=8, help_text="What the ids of its runs begin with.")
    home = models.CharField(max_length=32, help_text="The identity of its DATA_DIR, which one `serve` at a time has.")
    renewals = models.BigIntegerField(default=0, help_text="Grows while the process lives.")

    class Meta:
        verbose_name_plural = "serving processes"

    def __str__(self) -> str:
        return self.name


class ProcessReport(models.Model):
    """What one of several serving processes knows of the replicas; see ``inference.routing.reports``."""

    id = models.CharField(primary_key=True, max_length=8, help_text="The process's name.")
    written_at = models.DateTimeField()
    body = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.id} at {self.written_at:%H:%M:%S}"


class IdempotencyKey(models.Model):
    """One Idempotency-Key in use: which run answers it and, once that has ended, its answer."""

    id = models.UUIDField(primary_key=True, help_text="From the hash of who calls and the key he sent.")
    request = models.CharField(max_length=64, help_text="Hash of what was asked for.")
    run = models.CharField(max_length=32)
    answer = models.BinaryField(null=True)
    # From then on it is as if it had never been: a run that lives moves it on, a kept answer has its day.
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.id} for run {self.run}"
