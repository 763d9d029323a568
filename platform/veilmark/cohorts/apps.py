from django.apps import AppConfig


class CohortsConfig(AppConfig):
    name = "veilmark.cohorts"
    label = "cohorts"
