"""Who may call: people, their teams and projects, and the keys that programs hold."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core import changes, clock
from core.text import validate_line

# What ``core.changes`` calls a change of who may call.
TOPIC = "accounts"
# And the end of a login: a session that is gone, a password that is another.
LOGINS_TOPIC = "logins"

# The project that a key without ``OpenAI-Project`` falls back to; made together with its team.
DEFAULT_PROJECT = "inference"

valid_slug = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z",
    "Use 1 to 64 lower-case letters, digits, dots, dashes and underscores, with a letter or digit at both ends.",
)


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user with a normalised e-mail; without a password the user cannot sign in."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an operator who may use the admin panel."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a user by e-mail, whatever its case, for sign-in."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, who signs in with an e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True, validators=[validate_line])
    is_staff = models.BooleanField("operator", default=False, help_text="May sign in to the admin panel.")
    is_active = models.BooleanField(default=True, help_text="An inactive user's login and keys stop at once.")
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    # A login that somebody may have read over a shoulder or in a log: with it the site stays on its own machine.
    has_printed_password = models.BooleanField(default=False, db_default=False, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    objects: ClassVar[UserManager] = UserManager()

    def __str__(self) -> str:
        return self.email

    def set_password(self, raw_password: str | None) -> None:
        """Take another password, which was not printed."""
        super().set_password(raw_password)
        self.has_printed_password = False


class BrowserSession(models.Model):
    """Whose session a browser has, and where it was used last; the session itself is Django's (``accounts.sessions``).

    Without a foreign key: the version before this one deletes sessions and knows of nothing beside them.
    """

    session_key = models.CharField(max_length=40, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="browser_sessions")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField()
    network = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.user} since {self.created_at:%Y-%m-%d %H:%M}"


class SecondFactor(models.Model):
    """What a person shares with an authenticator app (``accounts.second_factor``)."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor", primary_key=True)
    secret = models.CharField(max_length=64, editable=False)
    # The half minute, counted from 1970, of the last code that was used: none is right twice.
    last_step = models.BigIntegerField(editable=False)
    recovery_digests = models.JSONField(default=list, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"second factor of {self.user}"


class TeamManager(models.Manager["Team"]):
    """Creates teams whole."""

    def create_with_owner(self, slug: str, owner: User) -> "Team":
        """Create a team with its owner and its default project, in one transaction. Raises ValidationError."""
        from django.db import transaction

        with transaction.atomic():
            team = self.model(slug=slug)
            team.full_clean()
            team.save()
            team.memberships.create(user=owner, role=Membership.Role.OWNER)
            team.projects.create(slug=DEFAULT_PROJECT)
        return team


class Team(models.Model):
    """The unit that owns projects, keys and credits."""

    slug = models.CharField(max_length=64, unique=True, validators=[valid_slug])
    is_enabled = models.BooleanField(
        "inference enabled", default=True, help_text="Off: every call is refused with 403."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    objects: ClassVar[TeamManager] = TeamManager()

    def __str__(self) -> str:
        return self.slug

    def role_of(self, user: User) -> str | None:
        """Return a member's role; None for a stranger. An operator counts as an owner of every team."""
        if user.is_superuser:
            return Membership.Role.OWNER
        return self.memberships.filter(user=user).values_list("role", flat=True).first()


class Membership(models.Model):
    """A person's place in a team."""

    class Role(models.TextChoices):
        """What a member may do, from most to least."""

        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"
        VIEWER = "viewer"

    # The roles that may spend credits: a viewer only looks.
    CALLING_ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER)
    # The roles that may hand out keys to others and see all of the team's spending.
    MANAGING_ROLES = (Role.OWNER, Role.ADMIN)

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "team"], name="one_membership_per_user_and_team"),
            models.CheckConstraint(
                condition=Q(role__in=["owner", "admin", "member", "viewer"]), name="membership_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team} ({self.role})"


class Invitation(models.Model):
    """An address whose owner may come into a team (``accounts.invitations``)."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Membership.Role.choices)
    inviter = models.ForeignKey(User, on_delete=models.CASCADE, related_name="invitations")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "email"], condition=Q(accepted_at=None), name="one_open_invitation_per_team_and_email"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.team}"


class Project(models.Model):
    """Where calls, keys and spending are grouped; named ``team/project``."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="projects")
    slug = models.CharField(max_length=64, validators=[valid_slug])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "slug"], name="one_project_per_slug_and_team")]

    def __str__(self) -> str:
        return f"{self.team.slug}/{self.slug}"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Finds keys."""

    def live(self) -> "ApiKeyQuerySet":
        """Keep the keys that are neither revoked nor expired."""
        return self.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=clock.now()))


class ApiKey(models.Model):
    """A secret that a program holds; it speaks for its issuer, in one project or in the whole team.

    Made with ``accounts.keys.create``: only the SHA-256 of the secret is kept.
    """

    id = models.CharField(primary_key=True, max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    name = models.CharField(max_length=120, validators=[validate_line])
    issuer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="api_keys")
    project = models.ForeignKey(
        Project,
        on_delete=models.PROTECT,
        related_name="api_keys",
        null=True,
        blank=True,
        help_text="Empty: whole team.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"parley_{self.id}… ({self.name})"

    def revoke(self) -> None:
        """End this key's power; doing it twice keeps the first time."""
        ApiKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
        self.refresh_from_db(fields=["revoked_at"])
        changes.touch(TOPIC)


class Change(models.Model):
    """How often the rows behind a topic were changed; triggers count, on SQLite only (see ``core.changes``)."""

    topic = models.CharField(primary_key=True, max_length=64)
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.topic} at {self.version}"
