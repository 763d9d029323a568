from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    name = "veilmark.releases"
    label = "releases"
