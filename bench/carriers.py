"""What deliveries and idle clients cost that are not plain HTTP/1.1: TLS, HTTP/2, compression."""

import mmap
import os
import struct
import time

import machine
from figures import (EVENT_BYTES, NO_HEARTBEAT, FanoutRun, fit, idle_bytes, light_rate, result,
                     settling)
from programs import Certificate, Failure, Gateway, Unavailable

STREAMS = 100  # on each HTTP/2 connection: what a server may be expected to allow
KERNEL_TLS = "/proc/net/tls_stat"
DEFLATED_BYTES = 2000  # the default of COMPRESSION_MIN_BYTES is 1024
DEFLATED_CLIENTS = ((1, 1), (100, 20), (10000, 500))  # (all, with --quick)


def _pairs(ctx, name, mine, other, events, rate):
    """Both measured in turns: [(CPU us per delivery, report)] of each."""
    ours, theirs = [], []
    for run in (mine, other):
        run.measure(max(3, events // 10), rate)
    for i in range(ctx.repeats):
        ctx.progress(f"{name}: {i + 1} of {ctx.repeats}")
        ours.append(mine.measure(events, rate))
        theirs.append(other.measure(events, rate))
    return ours, theirs


def _compare(ctx, name, ours, theirs, params, target=None):
    yield result(ctx, f"{name}_cpu", "us of server CPU per delivery",
                 [cpu for cpu, _ in ours], [cpu for cpu, _ in theirs], target, **params)
    for quantile in ("p50", "p99"):
        yield result(ctx, f"{name}_{quantile}", "ms from sending to arrival",
                     [report[f"{quantile}_us"] / 1e3 for _, report in ours],
                     [report[f"{quantile}_us"] / 1e3 for _, report in theirs], None, **params)


def _kernel_tls_streams():
    """Connections whose sending side the kernel encrypts now."""
    if not os.path.exists(KERNEL_TLS):
        return 0
    with open(KERNEL_TLS, encoding="ascii") as file:
        counts = dict(line.split() for line in file)
    return int(counts["TlsCurrTxSw"]) + int(counts["TlsCurrTxDevice"])


def _require_kernel_tls():
    if not os.path.exists(KERNEL_TLS):
        raise Unavailable(f"this kernel has no kernel TLS: there is no {KERNEL_TLS}")


def _check_who_encrypts(in_kernel, by_kernel, clients):
    if in_kernel and by_kernel < clients:
        raise Unavailable(f"the kernel encrypts for {by_kernel} of {clients} connections only")
    if not in_kernel and by_kernel > 0:
        raise Failure(f"the kernel encrypts for {by_kernel} connections")


def fanout_tls(ctx, in_kernel):
    """One event to clients over TLS, against as many over plain HTTP."""
    name = "fanout_ktls" if in_kernel else "fanout_tls"
    if in_kernel:
        _require_kernel_tls()
    clients, params = fit(ctx, ctx.size(10000, 1000))
    rate, events = light_rate(ctx, clients), ctx.size(50, 20)
    params |= {"kind": "mixed", "bytes": EVENT_BYTES, "events": events, "events_per_s": rate,
               "threads": ctx.reactors, "reference": "plain HTTP"}
    env = {} if in_kernel else {"LD_PRELOAD": ctx.program("rg-noktls.so")}
    gateway = Gateway(ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT, **Certificate(ctx).env(), **env)
    before = _kernel_tls_streams()
    secure = FanoutRun(ctx, gateway, clients, "mixed", port=gateway.tls_port(), options=["--tls"])
    _check_who_encrypts(in_kernel, _kernel_tls_streams() - before, clients)
    plain = FanoutRun(ctx, Gateway(ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT), clients, "mixed")
    params["tls"] = secure.load.first["tls"]
    yield from _compare(ctx, name, *_pairs(ctx, name, secure, plain, events, rate), params)


class _Zclock:
    """CPU time of the gateway inside zlib's compression, by rg-zclock.so."""

    def __init__(self, ctx):
        self.library = ctx.program("rg-zclock.so")
        self.path = os.path.join(ctx.work, ctx.unique("zclock"))
        with open(self.path, "wb") as file:
            file.write(bytes(16))
        with open(self.path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 16, access=mmap.ACCESS_READ)

    def env(self):
        return {"LD_PRELOAD": self.library, "RG_ZCLOCK": self.path}

    def look(self):
        """(calls of deflate(), seconds)"""
        calls, ns = struct.unpack("=QQ", self.map[:])
        return calls, ns / 1e9


class _DeflatedRun:
    """So many WebSockets with permessage-deflate, and as many without."""

    def __init__(self, ctx, gateways, zclock, clients):
        self.zclock, self.clients = zclock, clients
        more = {"event_type": f"bench.{clients}", "size": DEFLATED_BYTES}
        self.deflated = FanoutRun(ctx, gateways[0], clients, "ws", options=["--deflate"], **more)
        self.plain = FanoutRun(ctx, gateways[1], clients, "ws", **more)
        self.work, self.calls = [], []  # of zlib, per event
        self.ours, self.theirs = [], []
        self.sent_bytes = 0

    def measure(self, events, rate):
        calls, seconds = self.zclock.look()
        mine = self.deflated.measure(events, rate)
        calls_now, seconds_now = self.zclock.look()
        other = self.plain.measure(events, rate)
        if calls_now == calls:
            raise Failure("nothing was compressed")
        self.work.append((seconds_now - seconds) / events * 1e6)
        self.calls.append((calls_now - calls) / events)
        self.ours.append(mine)
        self.theirs.append(other)
        self.sent_bytes = mine[1]["bytes"] / events / self.clients

    def forget(self):
        for numbers in (self.work, self.calls, self.ours, self.theirs):
            numbers.clear()


def deflate(ctx):
    """permessage-deflate at three numbers of clients, each against as many without it."""
    sizes = [ctx.size(*pair) for pair in DEFLATED_CLIENTS]
    # One rate for all: what the caches still hold is then the same, and so comparable.
    rate, events = light_rate(ctx, max(sizes)), ctx.size(30, 10)
    zclock = _Zclock(ctx)
    env = {"HEARTBEAT_INTERVAL": NO_HEARTBEAT}
    gateways = Gateway(ctx, **env, **zclock.env()), Gateway(ctx, **env)
    runs = [_DeflatedRun(ctx, gateways, zclock, clients) for clients in sizes]
    for run in runs:
        run.measure(3, rate)
        run.forget()
    for i in range(ctx.repeats):
        ctx.progress(f"deflate: {i + 1} of {ctx.repeats}")
        for run in runs:
            run.measure(events, rate)
    before = None
    for (wanted, _), run in zip(DEFLATED_CLIENTS, runs):
        params = {"clients": run.clients, "bytes": DEFLATED_BYTES,
                  "bytes_sent_per_delivery": round(run.sent_bytes), "events": events,
                  "events_per_s": rate}
        yield from _compare(ctx, f"deflate_{wanted}", run.ours, run.theirs,
                            {**params, "reference": "without compression"})
        # A hundred clients are spread over all reactors, of which those that begin at the same
        # moment each compress. From there on it must not become more.
        yield result(ctx, f"deflate_{wanted}_work", "us of CPU in zlib per event", run.work,
                     before.work if before else [], 1.5 if run is runs[-1] else None,
                     by="ratio" if before else "value",
                     deflate_calls_per_event=max(run.calls), **params)
        before = run


def fanout_h2(ctx):
    """One event to 200,000 streams of one process, against HTTP/1.1 clients of the same gateway."""
    streams, others = ctx.size(200000, 5000), fit(ctx, ctx.size(10000, 1000))[0]
    events = ctx.size(10, 5)
    gateway = Gateway(ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT, HTTP_WRITE_TIMEOUT="60000")
    many = FanoutRun(ctx, gateway, streams, "sse", "bench.h2", options=_h2_options(ctx))
    few = FanoutRun(ctx, gateway, others, "sse", "bench.h1")
    ours, theirs = [], []
    for run in (many, few):
        run.measure(3, 1)
    for i in range(ctx.repeats):
        ctx.progress(f"fanout_h2: {i + 1} of {ctx.repeats}")
        ours.append(many.measure(events, 1))
        theirs.append(few.measure(events, 1))
    params = {"streams": streams, "connections": -(-streams // STREAMS), "bytes": EVENT_BYTES,
              "events": events, "events_per_s": 1, "threads": ctx.reactors}
    yield result(ctx, "fanout_h2_cpu", "us of server CPU per delivery", [cpu for cpu, _ in ours],
                 [cpu for cpu, _ in theirs], None, **params,
                 reference=f"{others} SSE clients over HTTP/1.1, same gateway")
    for quantile in ("p50", "p99"):
        yield result(ctx, f"fanout_h2_{quantile}", "ms from sending to arrival",
                     [report[f"{quantile}_us"] / 1e3 for _, report in ours], [], None, by="value",
                     **params)


def _h2_options(ctx):
    # Several connections in the making: each waits for its hundred answers.
    return ["--h2", "--streams", str(STREAMS), "--window", "8"]


def memory_h2(ctx):
    """Memory of the gateway per SSE stream that only waits, connections included."""
    streams = ctx.size(200000, 5000)
    values = []
    for i in range(ctx.size(3, 1)):
        ctx.progress(f"memory_h2_sse: {i + 1}")
        values.append(idle_bytes(ctx, "sse", streams, settling(ctx), options=_h2_options(ctx))[0])
    yield result(ctx, "memory_h2_sse", "bytes of PSS per idle stream", values, [], None,
                 by="value", streams=streams, connections=-(-streams // STREAMS),
                 settle_s=settling(ctx))


def memory_tls(ctx, kind):
    """Memory of the gateway per client over TLS that only waits."""
    clients, params = fit(ctx, ctx.size(20000, 1000))
    values, first = [], {}
    for i in range(ctx.size(3, 1)):
        ctx.progress(f"memory_tls_{kind}: {i + 1}")
        value, first = idle_bytes(ctx, kind, clients, settling(ctx), Certificate(ctx).env(),
                                  ["--tls"], tls=True)
        values.append(value)
    yield result(ctx, f"memory_tls_{kind}", "bytes of PSS per idle client", values, [], 12288,
                 by="value", settle_s=settling(ctx), tls=first["tls"], **params)


FIGURES = {
    "fanout_tls": lambda ctx: fanout_tls(ctx, False),
    "fanout_ktls": lambda ctx: fanout_tls(ctx, True),
    "deflate": deflate,
    "fanout_h2": fanout_h2,
    "memory_tls_sse": lambda ctx: memory_tls(ctx, "sse"),
    "memory_tls_ws": lambda ctx: memory_tls(ctx, "ws"),
    "memory_h2_sse": memory_h2,
}
