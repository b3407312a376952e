"""The worker role's URLs: tasks arrive as requests."""

from django.urls import path

from shop import tasks, views

urlpatterns = [
    path("health/", views.health),
    path("tasks/ship-orders/", tasks.ship_orders_task),
]
