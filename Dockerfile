# The gateway, in a Debian with the libraries that it needs and nothing else.
#
#   docker build -t rgate .
#
# builds it from the sources. Where build.dockerfile has been used before,
#
#   docker build --build-arg BUILD_ENVIRONMENT=rgate-build -t rgate .
#
# takes the compiler from there and compiles only what has changed since.
ARG BUILD_ENVIRONMENT=debian:bookworm-slim

FROM ${BUILD_ENVIRONMENT} AS build
WORKDIR /src
COPY . .
RUN tools/image-build

FROM debian:bookworm-slim
COPY packaging/runtime-packages /tmp/
RUN apt-get -q update \
    && sed 's/#.*//' /tmp/runtime-packages | xargs apt-get -q install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* /tmp/runtime-packages \
    && groupadd --gid 10001 rgate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin rgate
COPY --from=build /src/build/image/root/ /

# The routes are those of examples/tasks: mount your own file there, or point the variable to it.
ENV PROXY_CONFIG_FILE=/opt/rgate/proxy/proxy.json
ENV PORT=6060
# The internal port is for whoever shares the container's network: do not publish it.
ENV API_HTTP_HOST=0.0.0.0

WORKDIR /opt/rgate
USER 10001:10001
EXPOSE 6060 4010
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/opt/rgate/healthcheck"]
ENTRYPOINT ["/usr/bin/rgate"]
CMD ["serve"]
