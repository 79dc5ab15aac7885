"""The URLs of feeds."""

from django.urls import path

from logs.feeds import views

app_name = "feeds"

urlpatterns = [
    path("feeds/<str:token>/badge.svg", views.badge_svg, name="badge"),
    path("feeds/<str:token>/badge.json", views.badge_json, name="badge-json"),
    path("feeds/<str:token>/cc.xml", views.cctray, name="cctray"),
    path("feeds/<str:token>/changes.atom", views.changes, name="changes"),
]
