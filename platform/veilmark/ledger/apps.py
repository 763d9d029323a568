from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "veilmark.ledger"
    label = "ledger"

    def ready(self) -> None:
        from veilmark.ledger import signals  # noqa: F401, PLC0415 - connects the receivers once models are loaded
