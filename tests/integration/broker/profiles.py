"""Profiles that several tests open: one a provider, with what its stand-in knows."""

GITHUB = """
[profile gh]
secret = github
repositories = octo/hello
permissions = contents:read
ttl = 1h
deliver = env
env = GITHUB_TOKEN
"""

GITLAB = """
[profile gl]
secret = gitlab
repositories = octo/hello
permissions = api:read
ttl = 1h
deliver = env
env = GITLAB_TOKEN
"""

# Nothing is minted of it: a session is handed the value itself.
CLOUDFLARE = """
[profile cf]
secret = cloudflare
deliver = env
env = CLOUDFLARE_API_TOKEN
expose_secret = yes
command = /x
"""
