"""Forms of the admin panel for the catalogue."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone

from core.text import validate_name
from inference.catalog.aliases import MAX_TARGETS, read_targets, written
from inference.catalog.registration import checked_base_url, checked_upstream_model, microcredits_per_mtok
from inference.models import FEATURES, LAST_START, MODALITIES, Alias, Endpoint, Model, Price

# A new version starts when every process has heard of it, which takes a second: no run is charged by another version
# than the list of prices says.
PRICE_LEAD = timedelta(seconds=2)
# For so long a retired model is answered for by its replacement, unless another day is given.
REPLACED_FOR = timedelta(days=14)


class ModelForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A model, with its lists as boxes to tick."""

    modalities = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, initial=["text"])
    features = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, required=False)

    class Meta:
        model = Model
        exclude = ["created_at"]  # noqa: DJ006 - the panel names the fields
        field_classes = {"hub_url": partial(forms.URLField, assume_scheme="https")}

    def clean_name(self) -> str:
        """Take a name that is seen as it is."""
        name: str = self.cleaned_data["name"]
        validate_name(name)
        return name

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, usual in (("modalities", MODALITIES), ("features", FEATURES)):
            field = self.fields.get(name)
            if isinstance(field, forms.MultipleChoiceField):
                kept = getattr(self.instance, name) or []
                # What the Hub called something else is kept as it is.
                field.choices = [(each, each) for each in dict.fromkeys([*usual, *kept])]

    def clean(self) -> dict[str, Any]:
        """Give callers of a model that is retired now two weeks to name its replacement."""
        cleaned = super().clean() or self.cleaned_data
        is_retired_now = "lifecycle" in self.changed_data and cleaned.get("lifecycle") == Model.Lifecycle.RETIRED
        if is_retired_now and cleaned.get("replacement") and "replaced_until" not in self.changed_data:
            cleaned["replaced_until"] = timezone.now().date() + REPLACED_FOR
        return cleaned


class AliasForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """An alias, with a line for each of its targets."""

    targets = forms.CharField(
        max_length=(MAX_TARGETS + 1) * 220,
        widget=forms.Textarea(attrs={"rows": 6, "cols": 60}),
        help_text="One model a line. Those with a weight, such as owner/name=90, share the requests; "
        "those without one are asked in their order where the others are down or full.",
    )

    class Meta:
        model = Alias
        fields = ["name", "targets"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.targets:
            self.initial["targets"] = "\n".join(written(self.instance.targets))

    def clean_targets(self) -> list[dict[str, Any]]:
        """Read a target from each line."""
        return read_targets(self.cleaned_data["targets"].split())


class PriceForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A new version of a price, in dollars per million tokens."""

    starts_at = forms.DateTimeField(
        label="Starts at (UTC)",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: at once. A price that has started is never changed.",
    )
    input_dollars = forms.CharField(label="Input", max_length=20, help_text="Dollars per million tokens, such as 0.22.")
    output_dollars = forms.CharField(label="Output", max_length=20)
    cached_input_dollars = forms.CharField(
        label="Cached input", max_length=20, required=False, help_text="Empty: the same as input."
    )

    class Meta:
        model = Price
        fields = ["model", "starts_at"]

    def clean_starts_at(self) -> datetime:
        """Refuse a version that would have applied before anyone knew it: runs were charged by the one before."""
        soonest = timezone.now() + PRICE_LEAD
        starts_at: datetime = self.cleaned_data["starts_at"] or soonest
        if starts_at < soonest:
            raise ValidationError("A price starts in the future: what has run was charged by the price before it.")
        if starts_at >= LAST_START:
            raise ValidationError("No price is planned so far ahead.")
        return starts_at

    def clean_input_dollars(self) -> int:
        """Read micro-credits."""
        return microcredits_per_mtok(self.cleaned_data["input_dollars"])

    def clean_output_dollars(self) -> int:
        """Read micro-credits."""
        return microcredits_per_mtok(self.cleaned_data["output_dollars"])

    def clean_cached_input_dollars(self) -> int | None:
        """Read micro-credits, if there are any."""
        written = self.cleaned_data["cached_input_dollars"]
        return microcredits_per_mtok(written) if written else None

    def clean(self) -> dict[str, Any]:
        """Put the prices into the version."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            price, cached = self.instance, cleaned["cached_input_dollars"]
            price.input_microcredits_per_mtok = cleaned["input_dollars"]
            price.output_microcredits_per_mtok = cleaned["output_dollars"]
            price.cached_input_microcredits_per_mtok = cleaned["input_dollars"] if cached is None else cached
        return cleaned


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """An endpoint, whose credential is written and never shown."""

    # Not the panel's own field for addresses: it would make the address a link that leads away from here.
    base_url = forms.CharField(
        label="Address",
        max_length=200,
        widget=forms.TextInput(attrs={"size": 60, "inputmode": "url"}),
        help_text="Without /v1, such as http://10.0.0.5:8080.",
    )
    credential = forms.CharField(
        max_length=500,
        required=False,
        # Anything else cannot be sent in a header.
        validators=[RegexValidator(r"\A[!-~]*\Z", "A credential is printable ASCII without spaces.")],
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Sent to the engine as a Bearer token. Never shown; empty keeps the one there is, "
        "unless the address or the kind changes: another server must not be handed it.",
    )
    forget_credential = forms.BooleanField(required=False, help_text="Send no credential any more.")

    class Meta:
        model = Endpoint
        fields = ["model", "kind", "base_url", "credential", "upstream_model", "concurrency", "is_enabled"]
        field_classes = {"base_url": forms.CharField}

    def clean_base_url(self) -> str:
        """Take a plain address, without /v1."""
        return checked_base_url(self.cleaned_data["base_url"])

    def clean_upstream_model(self) -> str:
        """Take a name that is seen as it is."""
        return checked_upstream_model(self.cleaned_data["upstream_model"])

    def clean(self) -> dict[str, Any]:
        """Keep the credential where none was written and the server is the same."""
        cleaned = super().clean() or self.cleaned_data
        is_same_server = not {"base_url", "kind"} & set(self.changed_data)
        if cleaned.get("forget_credential"):
            cleaned["credential"] = ""
        elif not cleaned.get("credential") and self.instance.pk and is_same_server:
            cleaned["credential"] = self.initial.get("credential", "")
        return cleaned
