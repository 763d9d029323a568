from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    name = "veilmark.releases"
    label = "releases"
    daily_jobs = ("releases:keep_roots",)
