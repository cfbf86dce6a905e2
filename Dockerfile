# The REST API with the model in models/: see docs/api.md.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 10001 server
WORKDIR /home/server

COPY requirements-serving.txt ./
RUN pip install --no-cache-dir --requirement requirements-serving.txt

COPY pyproject.toml README.md LICENSE* ./
COPY src src
RUN pip install --no-cache-dir --no-deps .
COPY models models

USER server
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["laptop-pricing", "serve", "--host", "0.0.0.0", "--model", "models"]
