from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    name = "veilmark.dashboards"
    label = "dashboards"
