"""The site under ASGI: `uvicorn --app-dir platform veilmark.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veilmark.settings.embedded")
application = get_asgi_application()
