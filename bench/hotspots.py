"""Where the gateway spends its time: the hottest functions of two workloads."""

import os
import re
import shutil
import signal
import subprocess
import time

from figures import (EVENT_BYTES, NO_HEARTBEAT, FanoutRun, fit, gateway_drop, light_rate, preload)
from programs import Failure, Gateway, Load, produce

ROWS = 15


class Perf:
    """perf record of a process, by the clock: virtual machines often have no cycle counter."""

    def __init__(self, ctx, pid, name):
        self.path = os.path.join(ctx.work, f"perf-{name}.data")
        self.process = subprocess.Popen(
            ["perf", "record", "-q", "-F", "997", "-e", "cpu-clock", "-o", self.path,
             "-p", str(pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def table(self):
        """[(share in per cent, object, function)]: whole objects first, then functions."""
        whole = re.findall(r"^\s*([\d.]+)%\s+(\S+)\s*$", self._report("dso"), re.M)
        single = re.findall(r"^\s*([\d.]+)%\s+(\S+)\s+\[[^\]]\]\s+(\S+)",
                            self._report("dso,sym"), re.M)
        rows = [(float(share), dso, "all together") for share, dso in whole if float(share) >= 1]
        return rows + [(float(share), dso, f"`{symbol}`") for share, dso, symbol in single[:ROWS]]

    def _report(self, columns):
        return subprocess.run(
            ["perf", "report", "-i", self.path, "--stdio", "-q", "--no-children", "-F",
             "overhead," + columns],
            capture_output=True, text=True, timeout=120, check=False).stdout


def _perf_works(ctx):
    if shutil.which("perf") is None:
        return False
    path = os.path.join(ctx.work, "perf-try.data")
    done = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-o", path, "true"],
                          capture_output=True, check=False)
    return done.returncode == 0


def _fanout_with_perf(ctx):
    clients, _ = fit(ctx, ctx.size(20000, 2000))
    rate = light_rate(ctx, clients)
    run = FanoutRun(ctx, Gateway(ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT), clients, "mixed")
    run.measure(5, rate)
    perf = Perf(ctx, run.server.pid, "fanout")
    run.measure(ctx.size(50, 20), rate)
    perf.stop()
    run.stop()
    return f"Fan-out: {clients} clients, {EVENT_BYTES}-byte events, {rate} a second", perf.table()


def _drop_with_perf(ctx):
    kafka = ctx.kafka()
    if kafka is None:
        raise Failure("the profile of dropped events needs Apache Kafka: " + ctx.no_kafka)
    count = ctx.size(1000000, 300000)
    topic = preload(ctx, kafka, count, 1000)
    made = []

    def around(gateway):
        made.append(Perf(ctx, gateway.pid, "drop"))
        time.sleep(0.5)  # until perf has attached itself; the broker is paused
        return made[0]

    gateway_drop(ctx, kafka, topic, count, 0, around)
    return f"Dropped events: {count} of 1,000 bytes, no subscriber", made[0].table()


def _fanout_with_callgrind(ctx):
    """Counts instructions in user space only, fifty times slower, hence few clients."""
    if shutil.which("valgrind") is None:
        raise Failure("neither perf nor valgrind works here")
    out = os.path.join(ctx.work, "callgrind.out")
    gateway = Gateway(ctx, prefix=("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"),
                      HEARTBEAT_INTERVAL=NO_HEARTBEAT)
    load = Load(ctx, gateway, 500, "mixed")
    produce(ctx, gateway, 200, EVENT_BYTES, 20)
    load.wait(500 * 200, 120)
    load.stop()
    gateway.stop()
    done = subprocess.run(["callgrind_annotate", out], capture_output=True, text=True, check=False)
    rows = re.findall(r"\(\s*([\d.]+)%\)\s+\S+?:(\S+)(?:\s+\[(\S+)\])?", done.stdout)
    table = [(float(share), os.path.basename(dso or "rgate"), f"`{name}`")
             for share, name, dso in rows]
    return "Fan-out: 500 clients, instructions outside of the kernel", table[:ROWS]


def profile(ctx):
    """[(title, rows)] of what can be measured here."""
    if not _perf_works(ctx):
        return [_fanout_with_callgrind(ctx)]
    tables = [_fanout_with_perf(ctx)]
    try:
        tables.append(_drop_with_perf(ctx))
    except Failure as failure:
        ctx.progress(str(failure))
    return tables
