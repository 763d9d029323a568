"""The site under WSGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veilmark.settings.embedded")
application = get_wsgi_application()
