"""How gunicorn serves the shop: one process with a few threads; the platform adds instances."""

workers = 1
threads = 4
control_socket_disable = True  # nothing here talks to it, and several instances may share one home directory
