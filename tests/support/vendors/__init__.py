"""Stand-ins of upstreams under their real host names, on one address and port.

Each is written from its vendor's documentation, from the side of the service: it enforces the
documented authentication, and refuses what the documentation says is refused. api.github.com is
ghapi's; echo.example.test is nobody's, and does what upstreams and networks do that have gone wrong.
"""
