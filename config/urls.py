"""Where each address is answered."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("console.urls")),
    path("admin/", admin.site.urls),
    path("v1/", include("api.urls")),
    path("", include("playground.urls")),
]

handler404 = "playground.pages.views.not_found"
