FROM python:3.12-slim-trixie
ENV PYTHONUNBUFFERED=1 DATA_DIR=/data CONCORD_STATIC_DIR=/app/collected
WORKDIR /app
# pg_dump and pg_restore for `manage.py backup` and `restore`; not older than the server in docker-compose.yml.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends postgresql-client && \
    rm -rf /var/lib/apt/lists/*
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
# The code belongs to root and the process does not: it can write to /data and to nothing else.
RUN useradd --system --uid 10001 concord && \
    SECRET_KEY=build-only DATA_DIR=/tmp/build python manage.py collectstatic --no-input && \
    python -m compileall -q /app && \
    mkdir /data && chown 10001 /data
USER 10001
EXPOSE 8000
CMD ["gunicorn", "-c", "python:config.gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000"]
