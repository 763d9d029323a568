from rest_framework.routers import SimpleRouter

from veilmark.cohorts.api import CohortViewSet

router = SimpleRouter()
router.register("cohorts", CohortViewSet, basename="api_cohorts")
urlpatterns = router.urls
