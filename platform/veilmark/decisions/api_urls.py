from rest_framework.routers import SimpleRouter

from veilmark.decisions.api import DecisionViewSet

router = SimpleRouter()
router.register("decisions", DecisionViewSet, basename="api_decisions")
urlpatterns = router.urls
