from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "veilmark.access"
    label = "access"
    daily_jobs = ("access:sweep",)

    def ready(self) -> None:
        from veilmark.access import signals  # noqa: F401, PLC0415 - connects the receiver once models are loaded
