from rest_framework.routers import SimpleRouter

from veilmark.ledger.api import EventViewSet

router = SimpleRouter()
router.register("ledger/events", EventViewSet, basename="api_ledger_events")
urlpatterns = router.urls
