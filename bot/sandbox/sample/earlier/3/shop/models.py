"""What the shop sells."""

from django.db import models


class Product(models.Model):
    """One thing for sale."""

    name = models.CharField(max_length=80, unique=True)
    price_cents = models.PositiveIntegerField()
    stock = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
