# Short names for what CMake, CTest and the scripts in tools/ do. `make help` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 600

.PHONY: all build run test bench fuzz lint format install clean help
.DEFAULT_GOAL := all

all: build

build:
	@tools/setup build
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target rgate

run: build
	@exec build/release/rgate dev

test:
	@tools/test

bench:
	@tools/bench

fuzz:
	@tools/setup test
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run

lint:
	@tools/lint

format:
	@find src tests bench -name node_modules -prune -o -name '*.[ch]' -print | xargs clang-format -i

install: build
	@cmake -DCMAKE_INSTALL_PREFIX=$(PREFIX) build/release >/dev/null
	@DESTDIR=$(DESTDIR) cmake --install build/release

clean:
	@rm -rf build

help:
	@echo 'make                    build build/release/rgate'
	@echo 'make run                build, and run with a Kafka of its own and a demo'
	@echo 'make test               all tests'
	@echo 'make bench              measure the figures of docs/PERFORMANCE.md'
	@echo 'make fuzz               all fuzz targets, FUZZ_SECONDS=$(FUZZ_SECONDS) each'
	@echo 'make lint               style, static analysis, documentation'
	@echo 'make format             let clang-format write the C files'
	@echo 'make install            to DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)'
	@echo 'make clean              remove build/'
