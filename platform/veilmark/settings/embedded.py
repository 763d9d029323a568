"""The default: SQLite, files under `var/`, keys generated at first start, no server to start."""

from veilmark.settings import environment
from veilmark.settings.base import *  # noqa: F403 - Django's way to extend settings
from veilmark.settings.base import VEILMARK_VAR
from veilmark.settings.database import database, jobs_url

DEBUG = environment.flag("VEILMARK_DEBUG")
SECRET_KEY = environment.secret_file(VEILMARK_VAR / "keys" / "secret_key")
VEILMARK_PASSPHRASE = environment.text("VEILMARK_PASSPHRASE")  # empty: generated at first use into var/keys
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *environment.words("VEILMARK_ALLOWED_HOSTS")]

DATABASES = {"default": database(environment.text("VEILMARK_DATABASE_URL"), VEILMARK_VAR)}
JOBS_DATABASE_URL = jobs_url(environment.text("VEILMARK_DATABASE_URL"), VEILMARK_VAR)
WHITENOISE_USE_FINDERS = True  # static files straight from the apps: no collectstatic before the first start
