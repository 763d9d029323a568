from rest_framework.routers import SimpleRouter

from veilmark.jobs.api import JobViewSet

router = SimpleRouter()
router.register("jobs", JobViewSet, basename="api_jobs")
urlpatterns = router.urls
