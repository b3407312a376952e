"""The pages of the shop."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from shop.models import Product


def front_page(request: HttpRequest) -> HttpResponse:
    """List the products."""
    return render(request, "shop/front_page.html", {"products": Product.objects.all(), "version": settings.VERSION})
