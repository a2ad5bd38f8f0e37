"""The resources of /v1; the token streams are in ``api.routing``."""

from django.urls import path, re_path

from api import views

urlpatterns = [
    path("models", views.ModelList.as_view()),
    path("models/<path:model_id>", views.ModelDetail.as_view()),
    re_path(r"", views.Unknown.as_view()),
]
