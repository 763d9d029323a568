from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "veilmark.ledger"
    label = "ledger"
