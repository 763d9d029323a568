from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "veilmark.jobs"
    label = "jobs"
