from pathlib import Path

from django.apps import AppConfig
from django.conf import settings

from veilmark.settings.environment import make_folder


class CoreConfig(AppConfig):
    name = "veilmark.core"
    label = "core"

    def ready(self) -> None:
        make_folder(Path(settings.FILE_UPLOAD_TEMP_DIR))  # Django writes large uploads there and does not make it
