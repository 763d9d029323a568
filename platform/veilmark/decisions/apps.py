from django.apps import AppConfig


class DecisionsConfig(AppConfig):
    name = "veilmark.decisions"
    label = "decisions"
