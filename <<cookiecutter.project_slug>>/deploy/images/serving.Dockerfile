# The server and one model, nothing that trains: no scikit-learn, pandas or DVC.
#   docker buildx build --file deploy/images/serving.Dockerfile --tag serving .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --publish 127.0.0.1:8080:8080 serving
# The same inputs make the same digest, with one time for every file and no record of the build beside it:
#   SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) docker buildx build ... --provenance false \
#     --output type=image,name=...,push=true,rewrite-timestamp=true,oci-mediatypes=true,compression=zstd
# Another base, or uv from another registry: --build-arg BASE=... --build-arg UV=...
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
# The image's own Python and its certificates, so that a base with a company's authority just works.
ENV UV_PYTHON=/usr/local/bin/python \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/app/.venv \
    UV_LINK_MODE=copy \
    UV_SYSTEM_CERTS=1
WORKDIR /app
COPY pyproject.toml uv.lock ./
COPY mlops/pyproject.toml mlops/
# s3, gs or azure, for a prediction log in such a store
ARG LOG_STORE
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-install-workspace --package mlops-template-engine ${LOG_STORE:+--extra log-$LOG_STORE}
# What no request reaches: tests, types and sources of C extensions; onnxruntime's converters and its
# C library, a second copy of what its Python module holds.
RUN find .venv/lib \( -name tests -o -name '*.pyi' -o -name '*.pyx' -o -name '*.px[di]' -o -name '*.[ah]' \
        -o -path '*/numpy/f2py' -o -path '*/onnxruntime/backend' -o -path '*/onnxruntime/datasets' \
        -o -path '*/onnxruntime/quantization' -o -path '*/onnxruntime/tools' \
        -o -path '*/onnxruntime/transformers' -o -name 'libonnxruntime.so.*' \
    \) -prune -exec rm -r {} +
COPY mlops/src/mlops/__init__.py mlops/src/mlops/errors.py mlops/src/mlops/inference.py mlops/src/mlops/printable.py mlops/src/mlops/project.py src/mlops/
COPY mlops/src/mlops/data/__init__.py mlops/src/mlops/data/reading.py src/mlops/data/
COPY mlops/src/mlops/scoring/__init__.py mlops/src/mlops/scoring/explaining.py mlops/src/mlops/scoring/reasons.py src/mlops/scoring/
COPY mlops/src/mlops/serving src/mlops/serving
# Yours: what is done before and after the model.
COPY src/<<cookiecutter.package_name>>/__init__.py src/<<cookiecutter.package_name>>/hooks.py src/<<cookiecutter.package_name>>/
# Bytecode that is never compared with its source, whose time and place differ from build to build. With a
# seed of its own each time, what Python hashes, and so what it writes, could differ, too.
RUN PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash .venv/lib src
COPY models/model.onnx models/
ARG MODEL_SHA256
RUN [ -z "$MODEL_SHA256" ] || [ "$(sha256sum models/model.onnx)" = "$MODEL_SHA256  models/model.onnx" ] \
    || { echo "models/model.onnx does not have the hash $MODEL_SHA256"; exit 1; }
# Where a volume for the prediction log goes: it takes this folder's owner.
RUN mkdir /log

FROM ${BASE}
WORKDIR /app
COPY --from=build --chown=10001:10001 /log /log
COPY --from=build /app/.venv .venv
COPY --from=build /app/src src
COPY --from=build /app/models models
ARG RELEASE
ARG REVISION
ARG MODEL_SHA256
LABEL org.opencontainers.image.title="<<cookiecutter.project_slug>>" \
      org.opencontainers.image.source="https://github.com/<<cookiecutter.github_owner>>/<<cookiecutter.project_slug>>" \
      org.opencontainers.image.licenses="<<cookiecutter.__spdx_license>>" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${RELEASE}" \
      mlops.model.sha256="${MODEL_SHA256}"
# onnxruntime sends telemetry to its maker unless it is told not to.
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MLOPS_MODEL=/app/models/model.onnx \
    MLOPS_PACKAGE=<<cookiecutter.package_name>> \
    MLOPS_HOST=0.0.0.0 \
    MLOPS_PORT=8080 \
    MLOPS_RELEASE=${RELEASE}
USER 10001:10001
EXPOSE 8080
# http.client, for it asks no proxy.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, http.client as h; c = h.HTTPConnection('127.0.0.1', int(os.environ['MLOPS_PORT']), timeout=2); c.request('GET', '/v2/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "mlops.serving"]
