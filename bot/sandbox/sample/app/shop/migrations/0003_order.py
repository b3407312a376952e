import django.db.models.deletion
from django.db import migrations, models


def first_products(apps, schema_editor):
    product = apps.get_model("shop", "Product")
    for name, price_cents, stock in [("Anchor", 4900, 3), ("Compass", 2250, 12), ("Rope, 20 m", 1800, 40)]:
        product.objects.get_or_create(name=name, defaults={"price_cents": price_cents, "stock": stock})


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_product_stock")]
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("quantity", models.PositiveIntegerField(db_default=1, default=1)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("shipped_at", models.DateTimeField(null=True)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="orders", to="shop.product"
                    ),
                ),
            ],
        ),
        migrations.RunPython(first_products, migrations.RunPython.noop),
    ]
