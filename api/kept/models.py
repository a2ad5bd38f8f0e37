"""What /v1 keeps for those who come back for it."""

from django.db import models

from accounts.models import Project, User


class StoredResponse(models.Model):
    """A request to ``/v1/responses`` whose answer can be had again, and be gone on from, until it expires.

    The answer is kept where that of an Idempotency-Key is: written with its charge, once.
    """

    run = models.CharField(primary_key=True, max_length=32)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    # The id of the ``IdempotencyKey`` that has the answer.
    claim = models.UUIDField()
    # The body, decoded and written again.
    request = models.BinaryField()
    # The runs of the responses before it, oldest first.
    ancestors = models.JSONField(default=list)
    is_cancelled = models.BooleanField(default=False)
    # How it failed, if nothing of it was to be had: a ``core.errors.Failure``.
    failure = models.BinaryField(null=True)

    def __str__(self) -> str:
        return f"resp_{self.run}"
