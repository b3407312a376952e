"""The web role's URLs."""

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.front_page),
    path("health/", views.health),
    path("api/me/", views.me),
]
