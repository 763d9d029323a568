from django.apps import AppConfig


class SyntheticSetsConfig(AppConfig):
    name = "veilmark.synthetic_sets"
    label = "synthetic_sets"
