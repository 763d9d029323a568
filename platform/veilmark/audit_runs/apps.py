from django.apps import AppConfig


class AuditRunsConfig(AppConfig):
    name = "veilmark.audit_runs"
    label = "audit_runs"
