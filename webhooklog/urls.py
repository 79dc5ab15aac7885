"""The URLs of the site."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("logs.api.urls")),
    path("", include("logs.feeds.urls")),
    path("", include("logs.http.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "logs.http.errors.bad_request"
handler404 = "logs.http.errors.not_found"
handler500 = "logs.http.errors.server_error"
