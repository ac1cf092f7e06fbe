# syntax=docker/dockerfile:1
#
# One image, started in four ways: migrate, api (the default), worker, dispatcher.
#
#     docker build -t kernel-workorders .
#     docker run --rm kernel-workorders kernel --help
#
# Your handlers are mounted, or added by an image of your own:
#
#     FROM kernel-workorders
#     COPY myhandlers.py /handlers/
#     ENV KERNEL_HANDLERS=myhandlers:handlers
#
# With what they import: deploy/image/Dockerfile.

# The Python the tests run on. A tag moves: deploy/pin-images prints the digest that it has now, and
#
#     docker build --build-arg PYTHON=python:3.11-slim-bookworm@sha256:... -t kernel-workorders .
#
# builds from that. No digest stands here, for it would keep what Debian has mended since.
ARG PYTHON=python:3.11-slim-bookworm

# ---- build: everything that is needed to install and nothing that is needed to run -------------
FROM ${PYTHON} AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/kernel
WORKDIR /src

# Only what was locked, checked by hash, and only wheels: nothing is compiled.
COPY requirements.lock ./
RUN /opt/kernel/bin/pip install --require-hashes --only-binary=:all: -r requirements.lock

# `./run build` tells the version; the history is not here.
ARG VERSION=0.2.0
COPY pyproject.toml README.md LICENSE gunicorn.conf.py ./
COPY kernel ./kernel
COPY migrations ./migrations
RUN SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION /opt/kernel/bin/pip install --no-deps --no-build-isolation . \
    && cp gunicorn.conf.py /opt/kernel/ \
    && /opt/kernel/bin/pip uninstall --yes hatchling hatch-vcs setuptools-scm vcs-versioning setuptools \
    && /opt/kernel/bin/pip list --format=freeze --exclude=pip --exclude=kernel-workorders > /opt/kernel/constraints.txt \
    && /opt/kernel/bin/pip uninstall --yes pip

# ---- the image: Python, the packages, a user without rights ------------------------------------
FROM ${PYTHON}

RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin kernel \
    && mkdir /handlers
COPY --from=build /opt/kernel /opt/kernel

# The root file system may be read-only: nothing is written but to /tmp and /dev/shm.
ENV PATH=/opt/kernel/bin:$PATH \
    PYTHONPATH=/handlers \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KERNEL_BIND=0.0.0.0:8000
WORKDIR /handlers
USER 10001:10001
EXPOSE 8000

# For the API; workers and dispatchers have no port, so whoever starts them turns this off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]

# Exec form: SIGTERM reaches gunicorn itself, which lets requests in flight finish.
CMD ["gunicorn", "-c", "/opt/kernel/gunicorn.conf.py", "kernel:app"]
