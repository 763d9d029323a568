from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "veilmark.accounts"
    label = "accounts"
