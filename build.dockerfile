# The environment that builds the gateway: Debian 12 with what tools/setup installs.
#
#   docker build -f build.dockerfile -t rgate-build .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/src" rgate-build
#
# The second leaves the program, build/image/rgate, in the tree that it is given, and the objects beside it.
FROM debian:bookworm-slim

COPY tools/setup /src/tools/setup
RUN /src/tools/setup build && rm -rf /var/lib/apt/lists/*

WORKDIR /src
CMD ["tools/image-build"]
