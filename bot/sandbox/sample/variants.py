"""Named changes for a feature branch: one good one, and one for each fault a release can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HEAD = Path(__file__).parent / "app"


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who wrote a commit."""

    name: str
    email: str


SAM = Author(name="Sam Okafor", email="sam@example.com")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One change on top of ``main``: path → new text, or ``None`` for a removed file.

    ``failing`` is the share (0 to 1) of front pages that its code answers with 500, ``slower`` the seconds that each of
    them takes more: what a double of the code has to do as well.
    """

    title: str  # of the pull request
    message: str  # of the commit
    author: Author
    files: Mapping[str, str | None]
    failing: float = 0.0
    slower: float = 0.0


def _edit(path: str, old: str, new: str) -> str:
    """Return a file of the head tree with its one ``old`` replaced. Raises ValueError when it is not there once."""
    text = (HEAD / path).read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{path} has {text.count(old)} times {old!r}, wanted once")
    return text.replace(old, new)


def _variant(
    title: str, body: str, files: Mapping[str, str | None], *, failing: float = 0.0, slower: float = 0.0
) -> Variant:
    message = f"{title}\n\n{body}"
    return Variant(title=title, message=message, author=SAM, files=files, failing=failing, slower=slower)


_FEATURED_MIGRATION = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_order")]
    operations = [
        migrations.AddField(
            model_name="product",
            name="featured",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
"""

# The column exists since 0001, so the database itself refuses.
_REPEATED_COLUMN = """\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_order")]
    operations = [
        migrations.RunSQL("ALTER TABLE shop_product ADD COLUMN name varchar(120) NOT NULL DEFAULT ''"),
    ]
"""

_OFFERS = '''\
OFFERS = ["Anchors", "Compasses", "Kettles", "Lanterns", None]  # the fifth is still to be agreed on
_visits = itertools.count()


def front_page(request: HttpRequest) -> HttpResponse:
    """List the products, under the offer of the day."""
    offer = OFFERS[next(_visits) % len(OFFERS)].upper()
    shown = {"products": Product.objects.all(), "version": settings.VERSION, "offer": offer}
    return render(request, "shop/front_page.html", shown)
'''
_FRONT_PAGE = '''\
def front_page(request: HttpRequest) -> HttpResponse:
    """List the products."""
    return render(request, "shop/front_page.html", {"products": Product.objects.all(), "version": settings.VERSION})
'''

_WSGI_DONE = "application = get_wsgi_application()\n"

VARIANTS: Mapping[str, Variant] = {
    "feature": _variant(
        "Mark featured products",
        "The front page shows a star. The new column has a default in the database, so the old code keeps working.",
        {
            "shop/migrations/0004_product_featured.py": _FEATURED_MIGRATION,
            "shop/models.py": _edit(
                "shop/models.py",
                "    stock = models.PositiveIntegerField(default=0, db_default=0)\n",
                "    stock = models.PositiveIntegerField(default=0, db_default=0)\n"
                "    featured = models.BooleanField(default=False, db_default=False)\n",
            ),
            "shop/templates/shop/front_page.html": _edit(
                "shop/templates/shop/front_page.html",
                "<li>{{ product.name }}",
                "<li>{% if product.featured %}★ {% endif %}{{ product.name }}",
            ),
        },
    ),
    "broken_health": _variant(
        "Count products in the health check",
        "An empty shop is not a healthy shop.",
        {
            "shop/views.py": _edit(
                "shop/views.py",
                '            cursor.execute("SELECT 1")\n',
                '            cursor.execute("SELECT 1")\n'
                '        if settings.APP_ROLE == "web":\n            Product.objects.filter(visible=True).count()\n',
            ),
        },
    ),
    "crash_on_boot": _variant(
        "Read the site's address from the environment",
        "Mails will need absolute links.",
        {
            "shop/wsgi.py": _edit("shop/wsgi.py", _WSGI_DONE, 'SITE_URL = os.environ["SITE_URL"]\n\n' + _WSGI_DONE),
        },
    ),
    "crash_abroad": _variant(
        "Ship from the nearest warehouse",
        "Orders should not cross an ocean.",
        {
            "shop/wsgi.py": _edit(
                "shop/wsgi.py",
                _WSGI_DONE,
                'WAREHOUSES = {"us-central1": "Des Moines"}\n'
                'WAREHOUSE = WAREHOUSES[os.environ.get("CLOUD_REGION", "us-central1")]\n\n' + _WSGI_DONE,
            ),
        },
    ),
    "failing_migration": _variant(
        "Allow longer product names",
        "80 characters are not enough for ropes.",
        {"shop/migrations/0004_longer_names.py": _REPEATED_COLUMN},
    ),
    "failing_build": _variant(
        "Show prices in crowns",
        "Visitors asked for it.",
        {
            "shop/views.py": _edit(
                "shop/views.py",
                '    """List the products."""\n',
                '    """List the products."""\n    crowns = (p.price_cents / 100 for p in Product.objects.all(\n',
            ),
        },
    ),
    "worker_broken": _variant(
        "Ship orders from a named queue",
        "Several workers can share the work.",
        {
            "shop/tasks.py": _edit(
                "shop/tasks.py",
                '"""Work done outside a visitor\'s request."""\n',
                '"""Work done outside a visitor\'s request."""\n\nimport os\n',
            ).replace(
                "from shop.models import Order\n",
                'from shop.models import Order\n\nQUEUE = os.environ["TASK_QUEUE"]\n',
            ),
        },
    ),
    "slow_start": _variant(
        "Warm the price cache before serving",
        "The first visitor should not wait.",
        {
            "shop/wsgi.py": _edit(
                "shop/wsgi.py",
                _WSGI_DONE,
                'time.sleep(float(os.environ.get("SHOP_WARM_UP_SECONDS", "8")))\n\n' + _WSGI_DONE,
            ).replace("import os\n", "import os\nimport time\n", 1),
        },
    ),
    "failing_pages": _variant(
        "Show the offer of the day",
        "Each visitor sees another one.",
        {
            "shop/views.py": _edit("shop/views.py", _FRONT_PAGE, _OFFERS).replace(
                "from django.conf import settings\n", "import itertools\n\nfrom django.conf import settings\n", 1
            ),
            "shop/templates/shop/front_page.html": _edit(
                "shop/templates/shop/front_page.html", "<ul>\n", "<p>{{ offer }} at half price, today only</p>\n<ul>\n"
            ),
        },
        failing=0.2,
    ),
    "slow_pages": _variant(
        "Ask the warehouse what is in stock",
        "The numbers on the front page were a day old.",
        {
            "shop/views.py": _edit(
                "shop/views.py",
                '    """List the products."""\n',
                '    """List the products."""\n    time.sleep(0.08)  # until the warehouse has answered\n',
            ).replace("from django.conf import settings\n", "import time\n\nfrom django.conf import settings\n", 1),
        },
        slower=0.08,
    ),
    "overlaid": _variant(
        "Greet visitors in the house's own words",
        "All our sites take them from one place: the repository acme/words.",
        {
            "Dockerfile": _edit(
                "Dockerfile",
                "COPY . .\n",
                "COPY . .\nCOPY --from=shared words/greeting.html shop/templates/shop/\n"
                "ARG TONE=plain\nENV SHOP_TONE=$TONE\n",
            ),
            "shop/templates/shop/front_page.html": _edit(
                "shop/templates/shop/front_page.html",
                "<h1>Shop</h1>\n",
                '<h1>{% include "shop/greeting.html" %}</h1>\n',
            ),
        },
    ),
}
