# Stoker's server. `docker build -t stoker .`, then `docker run -p 8000:8000 -v stoker:/var/lib/stoker stoker` is the
# whole stack on one machine; docker-compose.yml runs its parts with PostgreSQL and Valkey.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/stoker
WORKDIR /src
# The pins alone first: a change of the code then installs nothing again.
COPY requirements/build.txt requirements/server.txt requirements/
RUN /opt/stoker/bin/pip install -r requirements/build.txt -r requirements/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY api api/
COPY engine engine/
COPY migrations migrations/
COPY store store/
COPY stokerd stokerd/
COPY worker worker/
RUN /opt/stoker/bin/pip install --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 stoker \
    && useradd --uid 10001 --gid stoker --no-create-home --home-dir /var/lib/stoker --shell /usr/sbin/nologin stoker \
    && install --directory --owner stoker --group stoker /var/lib/stoker /var/lib/stoker/cache
COPY --from=build /opt/stoker /opt/stoker
ENV PATH=/opt/stoker/bin:$PATH \
    HOME=/var/lib/stoker \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STOKER_DATA_DIR=/var/lib/stoker \
    XDG_CACHE_HOME=/var/lib/stoker/cache
USER stoker
WORKDIR /var/lib/stoker
# Kernels for the builder's processor; on another one they are compiled when they are needed. A new volume begins with them.
RUN stokerd warm
VOLUME /var/lib/stoker
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["stokerd"]
CMD ["up", "--host", "0.0.0.0", "--port", "8000"]
