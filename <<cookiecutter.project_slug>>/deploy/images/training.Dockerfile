# The pipeline with its locked packages: runs `dvc repro` as CI does, wherever there is Docker.
#   docker buildx build --file deploy/images/training.Dockerfile --tag training .
#   docker run training                                    on the data that the image was built with
#   docker run --user "$(id -u)" --volume "$PWD:/project" training   on a checkout, which keeps what comes out
#   docker run --read-only --tmpfs /tmp --volume work:/project training
# On a GPU: --build-arg BASE=... with a CUDA base of any distribution that has glibc and certificates;
# uv fetches the Python that .python-version names where the base has none. More arguments: serving.Dockerfile.
ARG BASE=python
ARG UV=astral

# Stages of their own, which an argument replaces: Dependabot renews FROM lines, not arguments.
FROM <<{
    '3.11': 'python:3.11-slim-trixie@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51',
    '3.12': 'python:3.12-slim-trixie@sha256:f77ac9e44ae96ef2c90b8053ea08c31f8be030f824196b0ae4db6d462c84e51f',
    '3.13': 'python:3.13-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b',
}[cookiecutter.python_version]>> AS python
FROM ghcr.io/astral-sh/uv:0.12.23@sha256:61d393e44e249f2e4b526b6c7ddcecce245946826e608e11c93ad4f5bba55b21 AS astral

FROM ${UV} AS uv

FROM ${BASE} AS build
COPY --from=uv /uv /usr/local/bin/uv
# Outside the project, so that a checkout can be mounted over it.
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_INSTALL_DIR=/opt/python \
    UV_PYTHON_PREFERENCE=system \
    UV_LINK_MODE=copy \
    UV_SYSTEM_CERTS=1
WORKDIR /project
COPY pyproject.toml uv.lock .python-version ./
COPY mlops/pyproject.toml mlops/
RUN --mount=type=cache,target=/root/.cache/uv \
    mkdir -p /opt/python && uv sync --locked --no-dev --no-install-workspace
COPY . .
# No model: it is what comes out. DVC is told that there is no Git here. uv notes the time at which it
# looked at the project, by which the image would be another one each time.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev \
    && rm -rf models /opt/venv/lib/python*/site-packages/*.dist-info/uv_cache.json \
    && sed -i '/uv_cache.json/d' /opt/venv/lib/python*/site-packages/*.dist-info/RECORD \
    && printf '[core]\n    no_scm = true\n' > .dvc/config.local

FROM ${BASE}
COPY --from=build /opt/python /opt/python
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=10001:10001 /project /project
WORKDIR /project
ARG RELEASE
ARG REVISION
LABEL org.opencontainers.image.title="<<cookiecutter.project_slug>>-training" \
      org.opencontainers.image.source="https://github.com/<<cookiecutter.github_owner>>/<<cookiecutter.project_slug>>" \
      org.opencontainers.image.licenses="<<cookiecutter.__spdx_license>>" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${RELEASE}"
# DVC asks who runs it, and keeps records at home and for the machine: here both are the run's.
# What Python compiles is there, too: without it, each stage compiles its libraries anew.
# onnxruntime sends telemetry to its maker unless it is told not to.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPYCACHEPREFIX=/tmp/pycache \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    USER=training \
    HOME=/tmp \
    DVC_SITE_CACHE_DIR=/tmp/dvc
USER 10001:10001
CMD ["dvc", "repro"]
