"""The pages of the shop, and the health check."""

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from shop.models import Product


def front_page(request: HttpRequest) -> HttpResponse:
    """List the products."""
    return render(request, "shop/front_page.html", {"products": Product.objects.all(), "version": settings.VERSION})


def me(request: HttpRequest) -> JsonResponse:
    """Refuse: nobody can sign in yet."""
    return JsonResponse({"detail": "Authentication credentials were not provided."}, status=401)


def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers and no migration is unapplied, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        executor = MigrationExecutor(connection)
        unapplied = [
            f"{migration.app_label}.{migration.name}"
            for migration, _backwards in executor.migration_plan(executor.loader.graph.leaf_nodes())
        ]
    except DatabaseError as error:
        return JsonResponse({"status": "unhealthy", "version": settings.VERSION, "error": str(error)}, status=503)
    if unapplied:
        answer = {"status": "unhealthy", "version": settings.VERSION, "unapplied_migrations": unapplied}
        return JsonResponse(answer, status=503)
    return JsonResponse({"status": "healthy", "version": settings.VERSION})
