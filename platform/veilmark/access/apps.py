from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "veilmark.access"
    label = "access"
