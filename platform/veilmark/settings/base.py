"""What every installation has in common."""

import os
from datetime import timedelta

from csp.constants import NONE, SELF

from veilmark.settings import environment

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by great_expectations at import: nothing leaves the machine

VEILMARK_VAR = environment.var_folder()
VEILMARK_VERSION = "0.1.0"

# Where the Ed25519 keys lie: in encrypted files, or in a PKCS#11 token (its PIN is read when it is opened).
VEILMARK_KEYS = environment.one_of("VEILMARK_KEYS", "file", "pkcs11")
VEILMARK_PKCS11_MODULE = environment.text("VEILMARK_PKCS11_MODULE")
VEILMARK_PKCS11_TOKEN = environment.text("VEILMARK_PKCS11_TOKEN")

# The name of the two keys that sign releases. A new name makes new keys: publish them in the trust root first.
VEILMARK_SIGNING_KEY = environment.text("VEILMARK_SIGNING_KEY", "release")

# Where an address is given, every release is stamped (RFC 3161), under the roots of that PEM file.
VEILMARK_STAMP_URL = environment.text("VEILMARK_STAMP_URL")
VEILMARK_STAMP_ROOTS = environment.text("VEILMARK_STAMP_ROOTS")

STAGES = [
    "cohorts",
    "training_runs",
    "synthetic_sets",
    "audit_runs",
    "reader_studies",
    "decisions",
    "releases",
    "access",
]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "knox",
    "axes",
    "csp",
    "rules",
    "veilmark.core",
    "veilmark.accounts",
    "veilmark.ledger",
    "veilmark.jobs",
    *(f"veilmark.{stage}" for stage in STAGES),
    "veilmark.dashboards",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "veilmark.core.middleware.IdleSignOutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "veilmark.core.middleware.ErrorPageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "veilmark.urls"
WSGI_APPLICATION = "veilmark.wsgi.application"
ASGI_APPLICATION = "veilmark.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "veilmark.core.navigation.navigation",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
# Uploads too large for memory lie in a folder of this site that is closed to others, until they are read.
FILE_UPLOAD_TEMP_DIR = VEILMARK_VAR / "scratch"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20

# People and sessions. Fifteen idle minutes: automatic sign-out, 45 CFR 164.312(a)(2)(iii) (the length is ours).
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "rules.permissions.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:sign_in"
SESSION_COOKIE_AGE = 15 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
VEILMARK_REAUTHENTICATION_MAX_AGE = timedelta(minutes=5)

# By person, not by address: a hospital's people often share one.
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "veilmark.accounts.lockout.locked_out"
AXES_VERBOSE = False
SILENCED_SYSTEM_CHECKS = ["axes.W006"]  # it asks for the address as well: counting by person alone is stricter

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_PAGINATION_CLASS": "veilmark.core.pagination.Pagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "veilmark.core.api_errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Veilmark",
    "DESCRIPTION": "Synthetic medical image sets: request, download, verify.",
    "VERSION": VEILMARK_VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/",
    "ENUM_NAME_OVERRIDES": {
        "WorkState": "veilmark.jobs.work.WorkState",
        "JobState": "veilmark.jobs.models.Job.State",
        "ReleaseState": "veilmark.releases.states.ReleaseState",
        "RequestState": "veilmark.access.models.RequestState",
    },
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=10), "AUTO_REFRESH": False}

JOBS_APPLICATION_VERSION = "veilmark-1"  # pinned: a worker resumes what another build of the same version began

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
