"""Django's settings: constants are set here; settings that differ between sites come from the environment."""

from datetime import timedelta

from csp.constants import NONE, SELF

from webhooklog.databases import database_settings
from webhooklog.env import read_environment
from webhooklog.log_format import FORMATTERS

# In lower case, so that it is not a setting and its secrets never appear on an error page.
environment = read_environment()

# Security: closed by default.
SECRET_KEY = environment.secret_key
SECRET_KEY_FALLBACKS = environment.secret_key_fallbacks
DEBUG = environment.debug
ALLOWED_HOSTS = environment.allowed_hosts
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = environment.https_only
SECURE_HSTS_SECONDS = 31_536_000 if environment.https_only else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if environment.https_only else None
# CircleCI does not document whether it follows redirects, so a POST must never get a redirect.
SECURE_REDIRECT_EXEMPT = [rf"^({environment.script_name[1:]}/)?log-circleci-webhook"]
CSRF_FAILURE_VIEW = "logs.http.csrf.csrf_failure"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
# Under a path prefix, other sites share the host. The cookie path keeps the sites' cookies apart.
FORCE_SCRIPT_NAME = environment.script_name or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{environment.script_name}/"
DEFAULT_EXCEPTION_REPORTER_FILTER = "logs.http.debug_page.SecretsFilter"
SILENCED_SYSTEM_CHECKS = [
    # HSTS for subdomains and preload lists affects hosts other than webhooklog's: their owner decides.
    "security.W005",
    "security.W021",
]

# No other origins, nothing inline: payload text that reached a page unescaped could not run.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

# Pages of other origins may only read, only at the URLs for readers, and with credentials that they send themselves:
# never with the session of the user viewing them.
CORS_ALLOWED_ORIGINS = environment.cors_allowed_origins
# Without replay: browsers send a POST regardless of the allowed methods.
CORS_URLS_REGEX = r"^/(fetch-webhooks-logs|deliveries(?!/[0-9]+/replay)|api)(/|\Z)"
CORS_ALLOW_METHODS = ["GET", "HEAD"]
CORS_ALLOW_HEADERS = ["accept", "authorization", "if-modified-since", "if-none-match"]
CORS_EXPOSE_HEADERS = [
    "Content-Disposition",
    "ETag",
    "Link",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Data-Age",
    "X-Request-ID",
]

# Against password guessing: ten failures lock the client's IP address for a quarter of an hour in all processes. The
# lock is checked before a password is hashed, so that guessing neither fills the table of failures nor takes CPU time
# from deliveries.
AUTHENTICATION_BACKENDS = [
    "logs.hashing.FreePlaceBackend",
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# The only hasher: any other would hash without a limit.
PASSWORD_HASHERS = ["logs.hashing.BoundedPasswordHasher"]
AXES_HANDLER = "logs.lockout.QueuedLockoutHandler"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_CLIENT_IP_CALLABLE = "logs.http.client.counted_address"  # Respects TRUSTED_PROXIES.
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # Attempts during a lockout write nothing.
AXES_DISABLE_ACCESS_LOG = True  # Its table would grow with each sign-in and is never pruned.
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # logs.admin has its own page of failed sign-ins.
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_SENSITIVE_PARAMETERS = ["username"]  # Users sometimes type their password there.

# The application's settings, described in docs/configuration.md.
CIRCLECI_WEBHOOK_SECRETS = environment.circleci_webhook_secrets
DEFAULT_BRANCHES = environment.default_branches
DATA_DIR = environment.data_dir
BIND_ADDRESS = environment.bind_address
PORT = environment.port
WEB_THREADS = environment.web_threads
PUBLIC_READ = environment.public_read
TRUSTED_PROXIES = environment.trusted_proxies
MAX_BODY_BYTES = environment.max_body_bytes
DELIVERY_RETENTION_DAYS = environment.delivery_retention_days
DELIVERY_RETENTION_COUNT = environment.delivery_retention_count
EVENT_RETENTION_DAYS = environment.event_retention_days
PRUNE_AT = environment.prune_at
NOTIFICATION_MAX_AGE_MINUTES = environment.notification_max_age_minutes
NOTIFICATION_RETENTION_DAYS = environment.notification_retention_days
NOTIFICATION_ALLOWED_NETWORKS = environment.notification_allowed_networks
NOTIFICATION_PROXY_URL = environment.notification_proxy_url
CHANNEL_PLUGINS = environment.channel_plugins
SITE_URL = environment.site_url
REFUSED_BODY_MAX_BYTES = environment.refused_body_max_bytes
REFUSED_DELIVERIES_MAX = environment.refused_deliveries_max
REFUSED_DELIVERIES_PER_MINUTE = environment.refused_deliveries_per_minute
REPLICA_MAX_LAG_SECONDS = environment.replica_max_lag_seconds
API_REQUESTS_PER_MINUTE = environment.api_requests_per_minute
METRICS_TOKEN = environment.metrics_token
METRICS_MAX_WORKFLOWS = environment.metrics_max_workflows
API_REQUESTS_FILE = DATA_DIR / "requests.sqlite3"

INSTALLED_APPS = [
    "logs",  # First, so that its templates override the admin's.
    "logs.apps.WebhooklogAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "axes",
    "corsheaders",
]

MIDDLEWARE = [
    # First, so that every response has a request ID, including responses to probes.
    "logs.http.request_id.RequestIdMiddleware",
    # Before the others, so that probes need neither an allowed host nor HTTPS.
    "logs.http.probes.HealthMiddleware",
    "logs.http.misdirected.MisdirectedWebhookMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    # Before every middleware that can respond: without CORS headers, other origins' pages could not read errors.
    "corsheaders.middleware.CorsMiddleware",
    "logs.api.errors.DatabaseErrorMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # After the sessions and messages, which it must not process twice.
    *(["logs.http.replica.ReplicaMiddleware"] if environment.database_replica_url else []),
    "logs.lockout.TooManyPasswordsMiddleware",
    # Last, so that no middleware after it replaces the lockout response.
    "axes.middleware.AxesMiddleware",
]

# No form accepts files. Django would write large ones to the temporary folder, which may be full.
FILE_UPLOAD_HANDLERS: list[str] = []

ROOT_URLCONF = "webhooklog.urls"
WSGI_APPLICATION = "webhooklog.wsgi.application"

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

DATABASES = database_settings(environment)
DATABASE_ROUTERS = ["logs.replica.ReplicaRouter"] if environment.database_replica_url else []
DATABASE_URL_READER = "webhooklog.databases.settings_for_url"  # For `manage.py copy_log`.
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

globals().update(environment.email_url)  # EMAIL_BACKEND, EMAIL_HOST, ...
EMAIL_TIMEOUT = 15  # Seconds.
DEFAULT_FROM_EMAIL = environment.email_from

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # Bearer is first: its WWW-Authenticate header, which offers Basic too, turns a 403 response into a 401.
        "logs.api.authentication.BearerAuthentication",
        "logs.api.authentication.CountedBasicAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "EXCEPTION_HANDLER": "logs.api.errors.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "logs.api.schema.generation.OperationSchema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "webhooklog",
    "VERSION": "1",
    "LICENSE": {"name": "MIT License", "identifier": "MIT"},
    "SERVERS": [{"url": environment.script_name or "/", "description": "This site."}],
    "OAS_VERSION": "3.1.1",
    "PREPROCESSING_HOOKS": ["logs.api.schema.generation.without_trailing_slashes"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "logs.api.schema.generation.add_what_is_shared",
    ],
    "ENUM_NAME_OVERRIDES": {"Outcome": "logs.models.Outcome"},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # The values are self-explanatory.
    "SORT_OPERATIONS": False,  # In URL order.
    "SERVE_AUTHENTICATION": [],  # The description is public.
    "SWAGGER_UI_DIST": "SIDECAR",  # Served by this site, so that it works offline.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": 0},
}

KNOX_TOKEN_MODEL = "logs.ApiToken"  # noqa: S105 - a model, not a password
# Knox's migrations would create its own table too, whose foreign key to users keeps PostgreSQL from flushing the users.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {
    "TOKEN_PREFIX": "whl_",  # Scanners for leaked secrets can search for it.
    "TOKEN_TTL": timedelta(days=90),  # The default.
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "webhooklog.formats"

STATIC_URL = f"{environment.script_name}/static/"  # Django would cache a relative URL before it knows the prefix.
STATIC_ROOT = environment.static_root
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = STATIC_ROOT is None

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"chosen": {"()": FORMATTERS[environment.log_format]}},
    "filters": {"request_id": {"()": "logs.http.request_id.RequestIdFilter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen", "filters": ["request_id"]}},
    "root": {"handlers": ["stderr"], "level": environment.log_level},
    # Without Django's own handlers: one line per record, regardless of DEBUG.
    "loggers": {
        "django": {"handlers": [], "level": environment.log_level, "propagate": True},
        # The access log already has each 4xx, and logs.http.errors logs a wrong host without a traceback.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "axes": {"level": "WARNING"},  # At INFO it logs each sign-in four times.
    },
}
