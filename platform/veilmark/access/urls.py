from django.urls import path

from veilmark.access import views

app_name = "access"
urlpatterns = [
    path("catalogue/", views.catalogue, name="catalogue"),
    path("agreement/", views.agreement_page, name="agreement"),
    path("requests/", views.request_list, name="requests"),
    path("requests/new/<uuid:release_pk>/", views.request_form, name="request"),
    path("requests/<uuid:pk>/", views.request_detail, name="request_detail"),
    path("requests/<uuid:pk>/decide/", views.request_decision, name="decide"),
    path("grants/<uuid:pk>/", views.grant_detail, name="grant"),
    path("grants/<uuid:pk>/prepare/", views.grant_preparation, name="prepare"),
    path("grants/<uuid:pk>/renew/", views.grant_renewal, name="renew"),
    path("leaks/", views.leaks, name="leaks"),
    path("grants/<uuid:pk>/revoke/", views.grant_revocation, name="revoke"),
]
