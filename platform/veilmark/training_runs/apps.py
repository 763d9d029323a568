from django.apps import AppConfig


class TrainingRunsConfig(AppConfig):
    name = "veilmark.training_runs"
    label = "training_runs"
