"""Presets: settings that the people of a project share. Every search starts at the projects that one belongs to."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Max
from msgspec import Meta, Struct

from accounts.models import Membership, User
from core.text import one_line
from inference.errors import InvalidRequest
from playground import access, limits
from playground.conversations import forms
from playground.errors import NotAllowed, NotFound, TooMuch
from playground.models import Preset, PresetVersion


class NewPreset(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings to save under a name; where there is a preset of that name, as its next version."""

    project: forms.ProjectPath
    name: Annotated[str, Meta(min_length=1, max_length=limits.MAX_PRESET_NAME_CHARACTERS)]
    model: forms.ModelId
    description: Annotated[str, Meta(max_length=limits.MAX_PRESET_DESCRIPTION_CHARACTERS)] = ""
    system_prompt: forms.SystemPrompt = ""
    parameters: dict[str, Any] = {}


read_preset = msgspec.json.Decoder(NewPreset)


def listed(user: User, path: str) -> list[dict[str, Any]]:
    """Return a project's presets by name, without their settings. Raises NotFound."""
    project = access.project_of(user, path)
    role = access.role_in(user, project)
    presets = project.presets.annotate(latest=Max("versions__number")).order_by("name")
    return [
        {
            "id": str(preset.pk),
            "name": preset.name,
            "description": preset.description,
            "version": preset.latest,
            "may_remove": _may_remove(user, role, preset),
        }
        for preset in presets
    ]


def version_of(user: User, pk: UUID, number: int) -> dict[str, Any]:
    """Return the settings of one version of a preset. Raises NotFound."""
    version = PresetVersion.objects.filter(preset=_find(user, pk), number=number).first()
    if version is None:
        raise NotFound
    return {"model": version.model, "system_prompt": version.system_prompt, "parameters": version.parameters}


@transaction.atomic
def save(user: User, form: NewPreset) -> Preset:
    """Save settings under a name. Raises NotFound, NotAllowed for a viewer, InvalidRequest, TooMuch."""
    project = access.project_of(user, form.project)
    if access.role_in(user, project) not in Membership.CALLING_ROLES:
        raise NotAllowed
    name = one_line(form.name)
    if not name:
        raise InvalidRequest("A preset needs a name.", param="name")
    parameters = forms.checked_parameters(form.parameters)
    preset, is_new = Preset.objects.get_or_create(project=project, name=name, defaults={"author": user})
    if is_new and project.presets.count() > limits.MAX_PRESETS_PER_PROJECT:
        raise TooMuch(f"A project has {limits.MAX_PRESETS_PER_PROJECT} presets at most. Remove one first.")
    # Two who save at once make two versions, one after the other.
    preset = Preset.objects.select_for_update().get(pk=preset.pk)
    number = (preset.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    if number > limits.MAX_PRESET_VERSIONS:
        raise TooMuch(f"A preset has {limits.MAX_PRESET_VERSIONS} versions at most. Save it under another name.")
    preset.versions.create(
        number=number,
        model=forms.storable(form.model),
        system_prompt=forms.storable(form.system_prompt),
        parameters=parameters,
    )
    preset.description = one_line(form.description)
    preset.save(update_fields=["description"])
    return preset


def remove(user: User, pk: UUID) -> None:
    """Remove a preset with all of its versions. Raises NotFound, NotAllowed."""
    preset = _find(user, pk)
    if not _may_remove(user, access.role_in(user, preset.project), preset):
        raise NotAllowed("A preset is removed by whoever made it, or by an owner or admin of the team.")
    preset.delete()


def _find(user: User, pk: UUID) -> Preset:
    preset = Preset.objects.filter(pk=pk, project__in=access.projects_of(user).order_by()).first()
    if preset is None:
        raise NotFound
    return preset


def _may_remove(user: User, role: str, preset: Preset) -> bool:
    is_own = preset.author_id == user.pk and role in Membership.CALLING_ROLES
    return is_own or role in Membership.MANAGING_ROLES
