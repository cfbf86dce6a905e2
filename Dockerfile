# The images of api, form and MLflow server: see docs/deployment.md. Dependabot moves the digests.
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS base

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --no-create-home --home-dir /tmp --uid 10001 server
WORKDIR /app

COPY requirements-serving.txt requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements-serving.txt \
    && grep '==' requirements.txt > pins.txt


# What the registry keeps: a folder of this store is a bucket.
FROM versity/versitygw:v1.8.0@sha256:30292fc2eeacc67a36993b01f7a7a5e3361a19cced0e80c1d71cfa2a4b0a2499 AS store

RUN mkdir -p /data/mlflow && chown -R 10001 /data
USER 10001
EXPOSE 7070
HEALTHCHECK --interval=10s --timeout=3s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:7070/health"]
CMD ["--health", "/health", "posix", "/data"]


FROM base AS mlflow

RUN pip install --no-cache-dir --constraint pins.txt boto3 mlflow psycopg2-binary==2.9.13
USER 10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/health', timeout=2)"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--workers", "1"]


FROM base AS form

RUN pip install --no-cache-dir --constraint pins.txt jinja2 pandas pyarrow python-multipart requests
COPY pyproject.toml README.md LICENSE* ./
COPY src src
RUN pip install --no-cache-dir --no-deps .
USER 10001
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/template.csv', timeout=2)"]
CMD ["laptop-pricing", "form", "--host", "0.0.0.0", "--api", "http://api:8000"]


# The last one is what docker build makes: the REST API with the model in models/.
FROM base AS api

RUN mkdir quotes && chown server quotes
COPY pyproject.toml README.md LICENSE* models.sig* ./
COPY src src
RUN pip install --no-cache-dir --no-deps .
COPY models models

USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["laptop-pricing", "serve", "--host", "0.0.0.0", "--model", "models", "--quotes", "quotes"]
