from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person, or a simulated one, or the unnamed author of imported labels (no password, inactive)."""

    display_name = models.CharField(max_length=120, blank=True)
    simulated = models.BooleanField(default=False)
    # WCAG 2.1.4: a person may turn single-key shortcuts off.
    single_key_shortcuts = models.BooleanField(default=True)

    @property
    def name(self) -> str:
        return self.display_name or self.username

    @property
    def short_name(self) -> str:
        """First name and initial, as the top bar shows it."""
        first, _, rest = self.name.partition(" ")
        return f"{first} {rest[0]}." if rest else first
