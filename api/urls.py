"""The resources of /v1; the token streams are in ``api.routing``."""

from django.urls import path, re_path

from api.models import ModelDetail, ModelList
from api.not_found import Unknown
from api.openapi.document import OpenApi
from api.receipts import ReceiptDetail, ReceiptList
from api.usage import UsageList

urlpatterns = [
    path("openapi.json", OpenApi.as_view()),
    path("models", ModelList.as_view()),
    path("models/<path:model_id>", ModelDetail.as_view()),
    path("receipts", ReceiptList.as_view()),
    path("receipts/<str:request_id>", ReceiptDetail.as_view()),
    path("usage", UsageList.as_view()),
    re_path(r"", Unknown.as_view()),
]
