"""The resources of /v1; the token streams are in ``api.routing``."""

from django.urls import path, re_path

from api import views, views_receipts, views_usage

urlpatterns = [
    path("models", views.ModelList.as_view()),
    path("models/<path:model_id>", views.ModelDetail.as_view()),
    path("receipts", views_receipts.ReceiptList.as_view()),
    path("receipts/<str:request_id>", views_receipts.ReceiptDetail.as_view()),
    path("usage", views_usage.UsageList.as_view()),
    re_path(r"", views.Unknown.as_view()),
]
