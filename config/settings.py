"""Every setting, read once from the environment; a value that cannot be right stops the start.

Names without a comment are Django's own. All written files live under ``DATA_DIR``.
"""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, validate

from core.environment import (
    PRIVATE,
    caches,
    check_database,
    check_embedded,
    check_mail,
    cors_origins,
    data_dir,
    default_sender,
    engine_networks,
    public_url,
    redis_url,
    secret_key,
)

env = Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_dir(env.str("DATA_DIR", "") or str(BASE_DIR / "var"))

_positive = validate.Range(min=1)
_level = validate.Regexp(
    r"(?i)\A(debug|info|warn(ing)?|error|critical)\Z", error="DEBUG, INFO, WARNING, ERROR or CRITICAL"
)

HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000, validate=validate.Range(min=0, max=65535))
# Web processes on that port, of one ``serve``.
WORKERS = env.int("WORKERS", 1, validate=validate.Range(min=1, max=64))
# Where people and programs reach this site; used in printed addresses and in links inside error bodies.
PUBLIC_URL = public_url(env.str("PUBLIC_URL", "")) or f"http://{HOST}:{PORT}"
IS_HTTPS = PUBLIC_URL.startswith("https://")
_public_host = urlsplit(PUBLIC_URL).hostname or HOST

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "") or secret_key(DATA_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", HOST, _public_host])

INSTALLED_APPS = [
    # Gives `runserver` its server. It loads all of Twisted, which nobody else should wait for.
    *(["daphne"] if "runserver" in sys.argv[1:2] else []),
    "console.apps.OperatorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "accounts",
    "credits",
    "inference",
    "playground",
    "console",
    "api.kept.apps.ApiConfig",
    "proofs",
    "config",
]

MIDDLEWARE = [
    "config.security.PagePolicy",
    "django.middleware.security.SecurityMiddleware",
    "config.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.security.PageHosts",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "web.sessions.SessionUse",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Settlements that wait for the database, beside it: what keeps it from writing may keep nothing else from it.
JOURNAL_DIR = DATA_DIR / "journal"

# --- Database -------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'parley.sqlite3'}")}
check_database(DATABASES["default"])
# How long ``migrate``, ``bootstrap`` and ``serve`` wait for a server that is still starting.
DATABASE_WAIT_SECONDS = env.float("DATABASE_WAIT_SECONDS", 30, validate=validate.Range(min=0, max=3600))
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # A write transaction takes its lock at BEGIN, so two writers wait for each other instead of failing.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
        # Without it, INSERT OR REPLACE would delete an entry behind its trigger's back.
        "PRAGMA recursive_triggers=ON;",
    }
    # A file, not memory: the ledger's writer has a connection of its own and must see the same rows.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # Under ASGI a kept connection per thread exhausts PostgreSQL; the pool bounds them for the whole process.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    _options.setdefault("connect_timeout", 5)
    _options["pool"] = {
        "min_size": 1,
        "max_size": env.int("DATABASE_POOL_SIZE", 20, validate=_positive),
        # Whoever asks while the database is away hears of it before his client gives up.
        "timeout": 5,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Where several machines are one site: limits and answers under way are then known to all of them.
REDIS_URL = redis_url(env.str("REDIS_URL", ""))
# How long a question to it may take, in seconds; then each machine counts for itself until it answers again.
REDIS_SECONDS = env.float("REDIS_SECONDS", 0.5, validate=validate.Range(min=0.01, max=10))
CACHES = caches(REDIS_URL, REDIS_SECONDS)

# --- Identity -------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/login"
# Whether an invitation into a team also makes an account for somebody who has none.
SIGN_UP_BY_INVITATION = env.bool("SIGN_UP_BY_INVITATION", True)
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "playground.pages.views.not_from_here"
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "accounts.sessions"
# How long a sign-in lasts at most; and how long it lasts without being used, 0 for no such end.
SESSION_COOKIE_AGE = env.int("SESSION_SECONDS", 1_209_600, validate=validate.Range(min=60, max=31_536_000))
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", 0, validate=validate.Range(min=0, max=31_536_000))

# --- What browsers may do; all of it follows from PUBLIC_URL --------------------------------------------------------

# The servers speak plain HTTP, so an https address means that a reverse proxy ends TLS in front of them. It must set
# X-Forwarded-Proto itself, and append to X-Forwarded-For.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 1 if IS_HTTPS else 0, validate=validate.Range(min=0, max=8))
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS and TRUSTED_PROXIES else None
SECURE_SSL_REDIRECT = SECURE_PROXY_SSL_HEADER is not None
# A program is told nothing by a redirect that its library follows in clear text.
SECURE_REDIRECT_EXEMPT = [r"^v1/"]
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 31_536_000, validate=validate.Range(min=0)) if IS_HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if IS_HTTPS else []
X_FRAME_OPTIONS = "DENY"
# Subdomains and browsers' preload lists are for the owner of the domain to decide, not for one site on it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
if not IS_HTTPS and _public_host in ("localhost", "127.0.0.1", "::1"):
    # On this machine alone there is no TLS and nobody in between. Any other http address keeps these warnings.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W008", "security.W012", "security.W016"]

REST_FRAMEWORK = {
    # A browser session is never accepted on /v1: the Bearer key is the only way in.
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.negotiation.WhateverIsAccepted",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "api.errors.handle_exception",
    "UNAUTHENTICATED_USER": None,
}

# With what status invalid requests are refused: 400 as at OpenAI, or 422 as at W&B Inference.
VALIDATION_STATUS = env.int("VALIDATION_STATUS", 400, validate=validate.OneOf([400, 422]))
# And with what those that credits do not cover: 402, which no client tries again, or 429, on which routers fail over.
QUOTA_STATUS = env.int("QUOTA_STATUS", 402, validate=validate.OneOf([402, 429]))
# Origins whose pages may call /v1 from a browser, separated by commas, such as https://chat.example.org; or *.
CORS_ORIGINS = cors_origins(env.list("CORS_ORIGINS", []))

# --- Pages ----------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "console.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True
# What was built has its hash in its name, and never changes: browsers keep it for a year without asking.
WHITENOISE_IMMUTABLE_FILE_TEST = r"/static/build/assets/.+-[\w-]{8}\.\w+$"

# --- E-mail ---------------------------------------------------------------------------------------------------------

# Without a mail server, messages are written into files: a fresh installation works, and nothing is lost.
EMAIL_HOST = env.str("EMAIL_HOST", "")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'filebased'}.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR / "mail"
EMAIL_PORT = env.int("EMAIL_PORT", 25, validate=validate.Range(min=1, max=65535))
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
# STARTTLS, usually on port 587; or TLS from the first byte, usually on port 465.
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", False)
# For each step of the conversation with the mail server.
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT", 10, validate=validate.Range(min=0.1, max=60))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default_sender(_public_host), validate=validate.Email())
check_mail(EMAIL_HOST, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, is_tls=EMAIL_USE_TLS, is_ssl=EMAIL_USE_SSL)

# --- Limits: sizes in bytes, times in seconds -----------------------------------------------------------------------

# The largest request body, HTTP and chunked alike; TGI's own limit is 2,000,000.
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 2_000_000, validate=_positive)
MAX_MESSAGES = env.int("MAX_MESSAGES", 2_048, validate=_positive)
# From asking the engine to its first token; a cold prompt on a CPU takes its time.
FIRST_TOKEN_SECONDS = env.float("FIRST_TOKEN_SECONDS", 60, validate=_positive)
BETWEEN_TOKENS_SECONDS = env.float("BETWEEN_TOKENS_SECONDS", 30, validate=_positive)
RUN_SECONDS = env.float("RUN_SECONDS", 600, validate=_positive)
# Requests that wait for a place at an engine: how many, and for how long.
QUEUE_LENGTH = env.int("QUEUE_LENGTH", 256, validate=_positive)
QUEUE_SECONDS = env.float("QUEUE_SECONDS", 30, validate=_positive)
# Requests in flight for one project, and for one user in all projects, where operators set no other limit in the admin.
PROJECT_CONCURRENCY = env.int("PROJECT_CONCURRENCY", 128, validate=_positive)
USER_CONCURRENCY = env.int("USER_CONCURRENCY", PROJECT_CONCURRENCY, validate=_positive)
# A request whose cost the balance covers waits this long for other requests' holds to end before it is refused.
HOLD_WAIT_SECONDS = env.float("HOLD_WAIT_SECONDS", 30, validate=_positive)
# A hold outlives its run's deadline by this much; then it expires without anyone's help.
HOLD_GRACE_SECONDS = env.float("HOLD_GRACE_SECONDS", 60, validate=_positive)
# A limit on the answer up to this many tokens is set aside whole; without one, or above it, the hold covers a first
# slice and grows while tokens flow, but begins only where an answer of at least so many tokens can be paid.
HOLD_WHOLE_TOKENS = env.int("HOLD_WHOLE_TOKENS", 4_096, validate=_positive)
SLICE_TOKENS = env.int("SLICE_TOKENS", 1_024, validate=_positive)
MINIMUM_ANSWER_TOKENS = env.int("MINIMUM_ANSWER_TOKENS", 32, validate=_positive)
# An answer that cannot go on for other requests' holds waits this long for them to end before it is cut short.
SLICE_WAIT_SECONDS = env.float("SLICE_WAIT_SECONDS", 5, validate=_positive)
# A reader that falls this far behind, or takes nothing for this long, is cut.
READER_BYTES = env.int("READER_BYTES", 1_048_576, validate=_positive)
READER_SECONDS = env.float("READER_SECONDS", 30, validate=_positive)
# The largest answer that is kept for one run.
ANSWER_BYTES = env.int("ANSWER_BYTES", 8_388_608, validate=_positive)
# From the first byte of a request to the end of its headers; then to the last byte of its body.
REQUEST_HEAD_SECONDS = env.float("REQUEST_HEAD_SECONDS", 20, validate=_positive)
REQUEST_BODY_SECONDS = env.float("REQUEST_BODY_SECONDS", 120, validate=_positive)
# Between two requests on one connection.
KEEP_ALIVE_SECONDS = env.int("KEEP_ALIVE_SECONDS", 75, validate=_positive)
# Connections from one address, an IPv6 network of 64 bits counting as one; 0: any number. Behind a reverse proxy all of
# them are the proxy's, whose own limits count clients.
CONNECTIONS_PER_ADDRESS = env.int(
    "CONNECTIONS_PER_ADDRESS", 0 if TRUSTED_PROXIES else 1_024, validate=validate.Range(min=0)
)
# A connection that we close, and whose client takes nothing or sends on, is cut after this.
LINGER_SECONDS = env.float("LINGER_SECONDS", 10, validate=_positive)
# What a server that ends gives to the answers under way.
SHUTDOWN_SECONDS = env.float("SHUTDOWN_SECONDS", 5, validate=validate.Range(min=0))
# How long a run that asked to be resumable lives without a subscriber.
RECONNECT_GRACE_SECONDS = env.float("RECONNECT_GRACE_SECONDS", 10, validate=validate.Range(min=0))
# How long the answer to a request with an Idempotency-Key can be had again.
IDEMPOTENCY_KEEP_SECONDS = env.float("IDEMPOTENCY_KEEP_SECONDS", 86_400, validate=_positive)
# How long a response that is stored can be had again, and be gone on from.
RESPONSE_KEEP_SECONDS = env.float("RESPONSE_KEEP_SECONDS", 2_592_000, validate=_positive)
# A killed process loses the Idempotency-Keys that it was answering after this; one that lives renews them in time.
IDEMPOTENCY_LEASE_SECONDS = env.float("IDEMPOTENCY_LEASE_SECONDS", 30, validate=_positive)

# --- Operating ------------------------------------------------------------------------------------------------------

# Who may read /metrics: whoever sends this as a Bearer token; without it, only clients on this machine.
METRICS_TOKEN = env.str("METRICS_TOKEN", "", validate=validate.Regexp(r"\A(\S{16,})?\Z", error="16 characters or more"))

# --- Model cards ----------------------------------------------------------------------------------------------------

# Where ``add_model`` reads about a model, and whether it must not; the names are huggingface_hub's own.
HF_ENDPOINT = env.str("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
HF_HUB_OFFLINE = env.bool("HF_HUB_OFFLINE", False)
# With a token that may manage Inference Endpoints, operators pause and resume them in the admin.
HF_TOKEN = env.str("HF_TOKEN", "", validate=validate.Regexp(r"\A[!-~]*\Z", error="printable ASCII without spaces"))

# --- Engines --------------------------------------------------------------------------------------------------------

# Where the models' servers may be, separated by commas: networks, and names of servers that may be anywhere in public,
# such as router.huggingface.co. Link-local addresses are never called.
ENGINE_NETWORKS, ENGINE_HOSTS = engine_networks(env.list("ENGINE_NETWORKS", list(PRIVATE)))

# --- The embedded engine --------------------------------------------------------------------------------------------

EMBEDDED_ENGINE = env.bool("EMBEDDED_ENGINE", True)
if EMBEDDED_ENGINE:
    check_embedded(ENGINE_NETWORKS)
# Parallel answers, and the context of each in tokens.
EMBEDDED_SLOTS = env.int("EMBEDDED_SLOTS", 4, validate=_positive)
EMBEDDED_CONTEXT_TOKENS = env.int("EMBEDDED_CONTEXT_TOKENS", 4_096, validate=_positive)
# What requests may take beyond the model and its contexts.
EMBEDDED_MEMORY_BYTES = env.int("EMBEDDED_MEMORY_BYTES", 1_073_741_824, validate=validate.Range(min=268_435_456))

DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "config.log_format.TextFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
        "json": {"()": "config.log_format.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "config.log_format.JoiningHandler",
            "formatter": env.str("LOG_FORMAT", "text", validate=validate.OneOf(["text", "json"])),
        }
    },
    "filters": {"refused_host": {"()": "config.log_format.RefusedHost"}},
    "loggers": {
        # Every request has a line of its own (web.request_log); Django's is for what breaks down.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"filters": ["refused_host"]},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO", validate=_level).upper()},
}

env.seal()
