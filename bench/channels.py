"""Channels and presence: channels_* and presence_* of docs/PERFORMANCE.md."""

import machine
from figures import (EVENT_BYTES, NO_HEARTBEAT, _kafka_or_embedded, fit,
                     idle_bytes, result, settling)
from programs import Load, produce

SECRET = "a secret that only this benchmark knows of"

# The clients of rg-load send nothing once they have joined.
QUIET = {"JWT_SECRET_KEY": SECRET, "HEARTBEAT_INTERVAL": NO_HEARTBEAT,
         "CHANNEL_IDLE_TIMEOUT": "3600000"}
CHANNELS = ["--channels", SECRET]
RATE = 1500  # messages a second: what broker, gateway and clients can do together on two cores


class _Run:
    """A gateway whose clients get one message each, again and again."""

    def __init__(self, ctx, clients, is_channels):
        self.ctx, self.clients, self.is_channels = ctx, clients, is_channels
        self.gateway, self.target, self.kafka = _kafka_or_embedded(ctx, **QUIET)
        self.load = Load(ctx, self.gateway, clients, "ws",
                         '[{"eventType":"bench.one","oneOf":[{"to":"{n}"}]}]',
                         CHANNELS if is_channels else ())

    def measure(self):
        """CPU microseconds of the gateway per message that its one client got, and the report."""
        self.load.ask("reset")
        before = machine.cpu_seconds(self.gateway.pid)
        produce(self.ctx, self.target, self.clients, EVENT_BYTES, RATE, "--key", "to",
                "--to-count", self.clients, "--properties", "linger.ms=0",
                *(["--addressed"] if self.is_channels else []), event_type="bench.one")
        report = self.load.wait(self.clients, 30)
        used = machine.cpu_seconds(self.gateway.pid) - before
        return used / self.clients * 1e6, report

    def stop(self):
        self.load.stop()
        self.gateway.stop()


def channels(ctx):
    """One message to each of very many users, against one event to each of as many clients."""
    clients, params = fit(ctx, ctx.size(20000, 2000))
    ours, theirs = _Run(ctx, clients, True), _Run(ctx, clients, False)
    params |= {"kind": "ws", "bytes": EVENT_BYTES, "messages_per_client": 1, "per_s": RATE,
               "kafka": ours.kafka, "reference": "one event to one client, event dialect"}
    mine, other = [], []
    try:
        for run in (ours, theirs):
            run.measure()
        for i in range(ctx.repeats):
            ctx.progress(f"channels: {i + 1} of {ctx.repeats}")
            mine.append(ours.measure())
            other.append(theirs.measure())
    finally:
        ours.stop()
        theirs.stop()
    yield result(ctx, "channels_cpu", "us of CPU per message through Kafka to one user",
                 [cpu for cpu, _ in mine], [cpu for cpu, _ in other], 1.3, **params)
    for quantile in ("p50", "p99"):
        yield result(ctx, f"channels_{quantile}", "ms from producing to arrival",
                     [report[f"{quantile}_us"] / 1e3 for _, report in mine],
                     [report[f"{quantile}_us"] / 1e3 for _, report in other], None, **params)


def memory(ctx):
    """What a socket costs that has joined its user's channel and is present there."""
    clients, params = fit(ctx, ctx.size(20000, 2000))
    values = []
    for i in range(ctx.size(3, 1)):
        ctx.progress(f"memory channels: {i + 1}")
        values.append(idle_bytes(ctx, "ws", clients, settling(ctx), QUIET, CHANNELS)[0])
    yield result(ctx, "memory_channels", "bytes of PSS per idle socket, presence included", values,
                 [], None, by="value", settle_s=settling(ctx), **params)


FIGURES = {"channels": channels, "memory_channels": memory}
