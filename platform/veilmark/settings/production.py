"""A hospital's installation. It refuses to start without what protects people: nothing here has a default."""

from veilmark.settings import environment
from veilmark.settings.base import *  # noqa: F403 - Django's way to extend settings
from veilmark.settings.base import VEILMARK_VAR
from veilmark.settings.database import database, jobs_url

DEBUG = False
SECRET_KEY = environment.required("VEILMARK_SECRET_KEY", "give a random string of at least 50 characters")
VEILMARK_PASSPHRASE = environment.required("VEILMARK_PASSPHRASE", "give the passphrase that unlocks the keys")
environment.required("VEILMARK_ALLOWED_HOSTS", "list the site's host names, separated by commas")
ALLOWED_HOSTS = environment.words("VEILMARK_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS]

URL = environment.required("VEILMARK_DATABASE_URL", "give postgresql://user:password@host:port/name")
DATABASES = {"default": database(URL, VEILMARK_VAR)}
JOBS_DATABASE_URL = jobs_url(URL, VEILMARK_VAR)
STATIC_ROOT = VEILMARK_VAR / "static"  # filled by `manage.py collectstatic`
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # load balancers ask inside the network, without TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
