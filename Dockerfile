# The service as an image: docker build -t execd . && docker run --init -p 127.0.0.1:44772:44772 -v execd:/var/lib/execd execd
# Started so, it is bound to every address of the container and therefore wants a token; it prints the one it makes. Its
# sandboxes have the walls that the container allows it to make: deploy/README.md says how to have the stronger ones.

FROM python:3.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/execd
# The pinned packages first: this layer is made again only when a pin changes.
WORKDIR /src
COPY requirements/serving.txt requirements/build.txt requirements/
RUN python -m pip install --quiet -r requirements/build.txt \
    && /opt/execd/bin/python -m pip install --quiet -r requirements/serving.txt
COPY pyproject.toml LICENSE ./
COPY kernels kernels
COPY execd execd
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/execd/bin/python -m pip install --quiet --no-deps dist/*.whl

FROM python:3.13-slim-bookworm
# bubblewrap makes the sandboxes where the container may make namespaces, and slirp4netns their network full.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends bubblewrap slirp4netns \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 execd \
    && useradd --uid 1000 --gid execd --create-home execd \
    && install -d -o execd -g execd -m 0700 /var/lib/execd
COPY --from=build /opt/execd /opt/execd
ENV PATH=/opt/execd/bin:$PATH PYTHONUNBUFFERED=1 EXECD_DATA_DIR=/var/lib/execd
USER 1000:1000
WORKDIR /home/execd
VOLUME /var/lib/execd
EXPOSE 44772
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/execd/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:44772/ping', timeout=4)"]
ENTRYPOINT ["execd"]
CMD ["serve", "--host", "0.0.0.0"]
