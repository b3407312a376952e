"""The worker of platforms where a worker takes no requests."""

import signal
import threading

from django.core.management.base import BaseCommand

from shop.tasks import ship_orders


class Command(BaseCommand):
    """Ship open orders every few seconds until told to stop."""

    help = "Ship open orders until SIGTERM."

    def add_arguments(self, parser):
        parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS")

    def handle(self, *args, every, **options):
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        self.stdout.write("worker ready")
        while not stop.is_set():
            if shipped := ship_orders():
                self.stdout.write(f"shipped {shipped} orders")
            stop.wait(every)
