# Everything that is compiled or downloaded happens in the first stage; the second gets the finished environment.
FROM python:3.13-slim AS build

WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

# Before the sources, so that a change of code does not install the dependencies anew.
# Wheels only: a source distribution would run its own code here, and there is no compiler for it anyway.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes --only-binary=:all: -r requirements.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary=:all: -r requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY providers ./providers
COPY middleware ./middleware
COPY gateway ./gateway
# Without isolation, or pip would fetch the build backend unlocked.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/venv/bin/pip install --no-deps /dist/*.whl


FROM python:3.13-slim

# By number, so that an orchestrator can see it is not root without reading /etc/passwd.
USER 10001:10001
# Where a .env would be looked for; nothing is ever written here.
WORKDIR /app
COPY --from=build /opt/venv /opt/venv

# The root filesystem may be read-only: no bytecode is written, and nothing else is.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# PORT chooses; 7860 is what some hosting platforms expect.
EXPOSE 8000 7860

# An opener of its own: a proxy in the environment must not be asked about 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["python", "-c", "\
import os, urllib.request as u; \
u.build_opener(u.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/health/live\", timeout=2)"]

ENTRYPOINT ["llm-gateway"]
CMD ["serve", "--host", "0.0.0.0"]
