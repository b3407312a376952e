"""Settings, all from the environment.

DJANGO_SECRET_KEY  required to serve
DATABASE_URL       sqlite:////absolute/path, or DATABASE_PATH with the path alone
ALLOWED_HOSTS      comma separated
SHOP_VERSION       shown on the front page and by /health/
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def database_path() -> str:
    """Return the path of the SQLite database the environment names."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        return os.environ.get("DATABASE_PATH", str(BASE_DIR / "db.sqlite3"))
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise ImproperlyConfigured(f"DATABASE_URL: this shop speaks sqlite, not {parts.scheme!r}")
    return unquote(parts.path[1:])


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,.run.app,.herokuapp.com").split(",")
VERSION = os.environ.get("SHOP_VERSION") or os.environ.get("HEROKU_SLUG_COMMIT", "")[:7] or "dev"

INSTALLED_APPS = ["shop"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database_path(), "OPTIONS": {"timeout": 10}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
