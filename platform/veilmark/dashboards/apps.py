from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    name = "veilmark.dashboards"
    label = "dashboards"

    def ready(self) -> None:
        # Models must be loaded before the roles can be named.
        from veilmark.core.navigation import register  # noqa: PLC0415
        from veilmark.dashboards.navigation import ITEMS  # noqa: PLC0415

        register(*ITEMS)
