"""The parts of the GitHub REST API stand-in.

Written from GitHub's public documentation, from the side of the service: it
knows nothing of the client under test, and it refuses what the documentation
says is refused. Where the documentation is silent the code says so.
"""
