from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "veilmark.core"
    label = "core"
