"""Addresses for whoever runs the server: everyone may ask, and nobody learns more than that."""

from tests.url_table import Row, everyone

ROWS = [
    Row("healthz", everyone(200), page=False),
    Row("readyz", everyone(200), page=False),
    # Whoever asks from this machine; a token, when one is set.
    Row("metrics", everyone(200), page=False),
]
