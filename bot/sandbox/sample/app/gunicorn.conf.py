"""How gunicorn serves the shop: one process with a few threads; the platform adds instances."""

import os

bind = f"{os.environ.get('BIND_HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"
workers = 1
threads = 4
control_socket_disable = True  # nothing here talks to it, and several instances may share one home directory
