from rest_framework.routers import SimpleRouter

from veilmark.audit_runs.api import AuditRunViewSet

router = SimpleRouter()
router.register("audit-runs", AuditRunViewSet, basename="api_audit_runs")
urlpatterns = router.urls
