"""What the console itself remembers."""

import uuid

from django.db import models


class SpentForm(models.Model):
    """A form that was acted upon, so that sending it again does nothing (see ``console.forms.once``)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    spent_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["spent_at"], name="spent_forms_by_time")]

    def __str__(self) -> str:
        return str(self.id)
