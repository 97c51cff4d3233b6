#!/usr/bin/env python3
"""
run.py - measures the figures of docs/PERFORMANCE.md.

Prints one JSON line per figure on standard output, progress on standard error, and keeps the newest
line of each figure in results.jsonl of its working directory. Listens and connects on loopback
addresses only; ends the processes it started and no others. Exit status: 0 if everything was
measured, whether targets are met or not (with --check: only if they are), else 1. What the machine
cannot do (kernel TLS) is told and does not count.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import carriers  # noqa: E402
import channels  # noqa: E402
import connect  # noqa: E402
import document  # noqa: E402
import figures  # noqa: E402
import gateway  # noqa: E402
import hotspots  # noqa: E402
import machine  # noqa: E402
import presence  # noqa: E402
from programs import TOP, Failure, Kafka, Unavailable  # noqa: E402

FIGURES = {**figures.FIGURES, **connect.FIGURES, **carriers.FIGURES, **channels.FIGURES,
           **presence.FIGURES, **gateway.FIGURES}


class Context:
    """What all figures share: options, the machine, what was started."""

    def __init__(self, options):
        self.options = options
        self.machine = machine.describe()
        self.reactors = options.reactors or self.machine["cores"]
        self.load_workers = max(2, self.machine["cores"])
        self.repeats = options.repeats or (2 if options.quick else 5)
        self.kafka_port = options.kafka_port
        self.started = []
        self.no_kafka = ""
        self._kafka = None
        self._numbers = 0
        os.makedirs(options.work, exist_ok=True)
        self.work = tempfile.mkdtemp(prefix="run-", dir=options.work)

    def size(self, full, quick):
        return quick if self.options.quick else full

    def program(self, name):
        return os.path.join(self.options.build, name)

    def unique(self, name):
        self._numbers += 1
        return f"{name}-{os.getpid()}-{self._numbers}"

    def log_path(self, name):
        return os.path.join(self.work, self.unique(name) + ".log")

    def progress(self, text):
        print(text, file=sys.stderr, flush=True)

    def kafka(self):
        """The one Apache Kafka of this run, or None with the reason in no_kafka."""
        if self._kafka is None and not self.no_kafka:
            self.progress("starting Apache Kafka")
            try:
                self._kafka = Kafka(self)
            except Failure as failure:
                self.no_kafka = str(failure)
        return self._kafka

    def stop(self, keep_kafka):
        """Ends what is still running, the newest first."""
        for program in reversed(self.started):
            if not (keep_kafka and program is self._kafka):
                program.stop()
        self.started = [self._kafka] if keep_kafka and self._kafka else []


def told(ctx, failure):
    """The failure, and which programs had ended by themselves: often its cause."""
    ends = [f"{one.name} ended with status {one.process.returncode}, see {one.log}"
            for one in ctx.started if getattr(one, "was_lost", False)]
    return "; ".join([str(failure), *ends])


def measure(ctx, name):
    try:
        yield from FIGURES[name](ctx)
    except Unavailable as reason:
        ctx.progress(f"{name}: {reason}")
        yield {"name": name, "skipped": str(reason), "is_unavailable": True, "met": None,
               "machine": ctx.machine}
    except (Failure, OSError, ValueError, ArithmeticError, http.client.HTTPException,
            subprocess.SubprocessError) as failure:
        reason = told(ctx, failure)
        ctx.progress(f"{name}: {reason}")
        yield {"name": name, "skipped": reason, "met": None, "machine": ctx.machine}
    finally:
        ctx.stop(keep_kafka=True)


def load_results(path):
    """The lines kept from earlier runs, by name."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return {line["name"]: line for line in map(json.loads, file)}


def keep_result(path, kept, line):
    kept.pop(line["name"], None)
    kept[line["name"]] = line
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in kept.values())


def parse():
    parser = argparse.ArgumentParser(description="measures the figures of docs/PERFORMANCE.md")
    parser.add_argument("--only", action="append", choices=FIGURES, metavar="NAME",
                        help="only this figure (may be repeated): " + ", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true",
                        help="fewer clients, events and repeats: does it run, not what is it worth")
    parser.add_argument("--repeats", type=int, help="of gateway and reference each (5)")
    parser.add_argument("--reactors", type=int, help="of the gateway, and threads of the reference")
    parser.add_argument("--build", default=os.path.join(TOP, "build", "release"), metavar="DIR")
    parser.add_argument("--work", default=os.path.join(TOP, "build", "bench"), metavar="DIR",
                        help="logs, topics and results.jsonl")
    parser.add_argument("--kafka-port", type=int, default=29192, help="of the broker for this run")
    parser.add_argument("--write-docs", action="store_true",
                        help="write the newest result of each figure into docs/PERFORMANCE.md; "
                             "with --from-kept without measuring")
    parser.add_argument("--from-kept", action="store_true", help="measure nothing")
    parser.add_argument("--profile", action="store_true",
                        help="only profile, and write the table into docs/PERFORMANCE.md")
    parser.add_argument("--check", action="store_true", help="fail if a target is not met")
    return parser.parse_args()


def run_figures(ctx, path):
    """Measures and prints; returns the lines of this run."""
    kept, lines = load_results(path), []
    for name in [] if ctx.options.from_kept else ctx.options.only or FIGURES:
        for line in measure(ctx, name):
            print(json.dumps(line), flush=True)
            lines.append(line)
            keep_result(path, kept, line)
    if ctx.options.write_docs and kept:
        document.write_results(list(kept.values()))
    return lines


def main():
    options = parse()
    # As an interrupt: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ctx = Context(options)
    try:
        if options.profile:
            document.write_profile(hotspots.profile(ctx))
            return 0
        name = "results-quick.jsonl" if options.quick else "results.jsonl"
        lines = run_figures(ctx, os.path.join(options.work, name))
    finally:
        ctx.stop(keep_kafka=False)
    if any("skipped" in line and not line.get("is_unavailable") for line in lines):
        return 1
    return 1 if options.check and any(line["met"] is False for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
