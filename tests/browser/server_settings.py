"""The project's settings with the tests' password hasher: people of a test's world can log in, and at once."""

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
