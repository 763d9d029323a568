"""The embedded default: SQLite, files under `var/`, no server to start."""

SECRET_KEY = "replaced-before-first-use"  # noqa: S105
INSTALLED_APPS: list[str] = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
