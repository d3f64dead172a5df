"""What a long-running process asks of its configuration before it starts."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def has_secret_key() -> bool:
    """Whether a key is set. Django itself raises when an empty one is read."""
    try:
        return bool(settings.SECRET_KEY)
    except ImproperlyConfigured:
        return False


def require_secret_key() -> None:
    """Raise unless a secret key is set: sessions, invites and tokens are signed with it."""
    if not has_secret_key():
        raise ImproperlyConfigured(
            f"No secret key. Set SECRET_KEY, or run `make run`, which writes {settings.DATA_DIR / 'secret_key'}."
        )
