"""The figures: each function measures and yields result lines (see result())."""

import json
import socket
import statistics
import time
import urllib.parse

import machine
from programs import (BareConsumer, BareFanout, Failure, Gateway, Load, produce, run_json)

NO_HEARTBEAT = "3600000"  # the reference sends none, so the fan-out figures are without
RESERVE = 1000  # descriptors of a server that are not clients
DELIVERIES_A_SECOND_PER_CORE = 22500  # about a third of what a core of 2020 can deliver and receive
EVENT_BYTES = 300


def result(ctx, name, unit, values, references, target, better="lower", by="ratio", **params):
    """
    One result line. values and references are pairs of repeats; ratios are taken per pair, so
    that what disturbs both for a while cancels. by: "ratio", "difference" or "value" says what
    the target bounds; better: whether it is the most ("lower") or the least ("higher").
    """
    if references:
        pairs = list(zip(values, references))
        compared = [v - r if by == "difference" else v / r for v, r in pairs]
    else:
        compared = list(values)
    middle = statistics.median(compared)
    met = None if target is None else (middle <= target if better == "lower" else middle >= target)
    return {
        "name": name, "value": _round(statistics.median(values)), "unit": unit,
        "reference": _round(statistics.median(references)) if references else None,
        by if references else "value_median": _round(middle),
        "min": _round(min(compared)), "max": _round(max(compared)),
        "target": None if target is None else f"{'<=' if better == 'lower' else '>='} {target}",
        "target_of": by, "met": met,
        "params": {"repeats": len(values), **params}, "machine": ctx.machine,
    }


def _round(number):
    return float(f"{number:.5g}")


def fit(ctx, wanted):
    """As many clients as one process may hold, and why not more."""
    most = ctx.machine["descriptor_hard_limit"] - RESERVE
    if wanted <= most:
        return wanted, {"clients": wanted}
    return most, {"clients": most, "clients_wanted": wanted,
                  "limited_by": "descriptors a process may hold"}


def light_rate(ctx, clients):
    capacity = DELIVERIES_A_SECOND_PER_CORE * ctx.machine["cores"]
    return max(1, min(10, capacity // clients))


class FanoutRun:
    """A server with clients that are subscribed to a type, measured again and again."""

    def __init__(self, ctx, server, clients, kind, event_type="bench.all", size=EVENT_BYTES,
                 **more):
        self.ctx, self.server, self.clients = ctx, server, clients
        self.event_type, self.size = event_type, size
        self.load = Load(ctx, server, clients, kind,
                         json.dumps([{"eventType": event_type}]), **more)

    def measure(self, events, rate, target=None, *more):
        """CPU microseconds of the server per delivery, and the report of the clients."""
        total = events * self.clients
        self.load.ask("reset")
        before = machine.cpu_seconds(self.server.pid)
        produce(self.ctx, target or self.server, events, self.size, rate, *more,
                event_type=self.event_type)
        report = self.load.wait(total, 30 + total / 100000)
        used = machine.cpu_seconds(self.server.pid) - before
        return used / total * 1e6, report

    def stop(self):
        self.load.stop()
        self.server.stop()


def fanout(ctx, kind, wanted):
    """Figure 1: one event to everybody, against one write(2) per socket and nothing else."""
    clients, params = fit(ctx, ctx.size(wanted, 2000))
    rate = light_rate(ctx, clients)
    events = ctx.size(50, 20)
    params |= {"kind": kind, "bytes": EVENT_BYTES, "events": events, "events_per_s": rate,
               "threads": ctx.reactors, "trigger": "HTTP"}
    gateway = FanoutRun(ctx, Gateway(ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT), clients, kind)
    bare = FanoutRun(ctx, BareFanout(ctx), clients, kind)
    ours, theirs = [], []
    try:
        for run in (gateway, bare):  # warm: routes, socket buffers, branch predictors
            run.measure(max(3, events // 10), rate)
        for i in range(ctx.repeats):
            ctx.progress(f"fan-out {kind}: {i + 1} of {ctx.repeats}")
            ours.append(gateway.measure(events, rate))
            theirs.append(bare.measure(events, rate))
    finally:
        gateway.stop()
        bare.stop()
    yield result(ctx, f"fanout_{kind}_cpu", "us of server CPU per delivery",
                 [cpu for cpu, _ in ours], [cpu for cpu, _ in theirs], 1.15, **params)
    for quantile in ("p50", "p99"):
        yield result(ctx, f"fanout_{kind}_{quantile}", "ms from sending to arrival",
                     [report[f"{quantile}_us"] / 1e3 for _, report in ours],
                     [report[f"{quantile}_us"] / 1e3 for _, report in theirs], 1.2, **params)


def _kafka_or_embedded(ctx, **env):
    """(gateway, (brokers, topic), kind): one that reads a topic of the best Kafka there is."""
    kafka = ctx.kafka()
    if kafka is None:
        gateway = Gateway(ctx, "dev", KAFKA_SOURCE_TOPICS="bench", **env)
        target = (gateway.bootstrap(), "bench")
        _await_joined(ctx, gateway, target)
        return gateway, target, "embedded"
    target = (kafka.brokers, ctx.unique("bench"))
    produce(ctx, target, 1, EVENT_BYTES, 0, "--create", 4, event_type="bench.none")
    gateway = Gateway(ctx, KAFKA_BROKERS=target[0], KAFKA_SOURCE_TOPICS=target[1],
                      KAFKATOFILTER_KAFKA_GROUP_ID=ctx.unique("rgate"), **env)
    _await_joined(ctx, gateway, target)
    return gateway, target, "Apache"


def _await_joined(ctx, gateway, target):
    """Sends events that nobody wants until the gateway has read one."""
    end = time.monotonic() + 60
    while gateway.consumed() == 0:
        if time.monotonic() > end:
            raise Failure("the gateway did not join its group within 60 s")
        produce(ctx, target, 4, EVENT_BYTES, 0, "--key", "id", event_type="bench.none")
        time.sleep(0.2)


def latency(ctx):
    """Figure 2: from producer through Kafka to one of many clients, against a bare consumer."""
    clients, params = fit(ctx, ctx.size(10000, 2000))
    seconds, rate = ctx.size(10, 4), 1000
    gateway, target, which = _kafka_or_embedded(ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT)
    params |= {"kind": "mixed", "bytes": EVENT_BYTES, "events": seconds * rate,
               "events_per_s": rate, "kafka": which}
    load = Load(ctx, gateway, clients, "mixed",
                '[{"eventType":"bench.one","oneOf":[{"to":"{n}"}]}]')
    bare = BareConsumer(ctx, *target)
    ours, theirs = [], []

    def window(span):
        load.ask("reset")
        bare.ask("reset")
        produce(ctx, target, span * rate, EVENT_BYTES, rate, "--key", "to",
                "--to-count", clients, "--properties", "linger.ms=0", event_type="bench.one")
        report = load.wait(span * rate, 10)
        return report, bare.report()

    try:
        window(2)
        for i in range(ctx.repeats):
            ctx.progress(f"latency: {i + 1} of {ctx.repeats}")
            mine, other = window(seconds)
            ours.append(mine)
            theirs.append(other)
    finally:
        for program in (load, bare, gateway):
            program.stop()
    for quantile, most in (("p50", 1.0), ("p99", 5.0)):
        yield result(ctx, f"latency_{quantile}", "ms from producing to arrival",
                     [r[f"{quantile}_us"] / 1e3 for r in ours],
                     [r[f"{quantile}_us"] / 1e3 for r in theirs], most, by="difference", **params)


def batching(ctx):
    """Figure 3: what a burst costs per delivery, against one event per write."""
    clients, params = fit(ctx, ctx.size(10000, 2000))
    events, burst = ctx.size(50, 20), ctx.size(500, 300)
    gateway, target, which = _kafka_or_embedded(
        ctx, HEARTBEAT_INTERVAL=NO_HEARTBEAT, HTTP_WRITE_TIMEOUT="60000")
    params |= {"kind": "mixed", "bytes": EVENT_BYTES, "events": events, "burst_events": burst,
               "kafka": which}
    run = FanoutRun(ctx, gateway, clients, "mixed")
    single, many = [], []
    try:
        run.measure(5, light_rate(ctx, clients))
        for i in range(ctx.repeats):
            ctx.progress(f"batching: {i + 1} of {ctx.repeats}")
            single.append(run.measure(events, light_rate(ctx, clients))[0])
            many.append(run.measure(burst, 0, target, "--properties", "linger.ms=20")[0])
    finally:
        run.stop()
    yield result(ctx, "batching", "deliveries per CPU second in a burst", [1e6 / us for us in many],
                 [1e6 / us for us in single], 3, better="higher", **params)


def idle_bytes(ctx, kind, clients, settle, env=None, options=(), tls=False):
    """Memory of a fresh gateway per client that only waits."""
    gateway = Gateway(ctx, **(env or {}))
    port = gateway.tls_port() if tls else None

    def load(count):
        return Load(ctx, gateway, count, kind, options=options, port=port)

    load(100).stop()  # what is allocated once, at the first clients
    time.sleep(1)
    before = machine.pss_bytes(gateway.pid)
    waiting = load(clients)
    time.sleep(settle)
    value = (machine.pss_bytes(gateway.pid) - before) / clients
    waiting.stop()
    gateway.stop()
    return value, waiting.first


def settling(ctx):
    return ctx.size(20, 2)  # with 20 s every client also had a heartbeat


def memory(ctx, kind):
    """Figure 4: memory of the gateway per client that only waits."""
    clients, params = fit(ctx, ctx.size(20000, 2000))
    values = []
    for i in range(ctx.size(3, 1)):
        ctx.progress(f"memory {kind}: {i + 1}")
        values.append(idle_bytes(ctx, kind, clients, settling(ctx))[0])
    yield result(ctx, f"memory_{kind}", "bytes of PSS per idle client", values, [], 1024,
                 by="value", settle_s=settling(ctx), **params)


class Holder:
    """A client of the gateway that holds very many constraints."""

    def __init__(self, gateway, first, count):
        self.sock = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
        self.sock.sendall(b"GET /_rig/v1/connection/sse HTTP/1.1\r\nHost: bench\r\n\r\n")
        head = self._read_until(b"rig.subscriptions_set")
        token = head.split(b'"connection_token":"')[1].split(b'"')[0].decode()
        self._put(gateway, token, first, count)
        self._read_until(b'"x%d"' % (first + count - 1))  # its rig.subscriptions_set

    def _put(self, gateway, token, first, count):
        body = json.dumps({"subscriptions": [{
            "eventType": "bench.drop",
            "oneOf": [{"to": f"x{n}"} for n in range(first, first + count)]}]},
            separators=(",", ":")).encode()
        path = f"/_rig/v1/connection/sse/{urllib.parse.quote(token)}/subscriptions"
        head = (f"PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as sock:
            sock.sendall(head + body)
            answer = sock.recv(4096)
        if b" 204 " not in answer.split(b"\r\n")[0]:
            raise Failure("subscribing: " + answer.decode(errors="replace")[:200])

    def _read_until(self, mark):
        seen = b""
        while mark not in seen:
            piece = self.sock.recv(65536)
            if not piece:
                raise Failure("the gateway closed a client that subscribes")
            seen += piece
        return seen

    def stop(self):
        self.sock.close()


def _watch_consumption(gateway, count, timeout=180):
    """Messages per second from the first progress seen to the last message.

    Each look costs the machine half a millisecond or so, hence few of them, on a socket of their
    own; the moment of the last message is interpolated between two looks.
    """
    request = b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n"
    mark = b'\nrig_consumed_events_total{source="kafka",topic="'
    seen = []

    def look(sock):
        sock.sendall(request)
        answer = b""
        while b"process_start_time_seconds " not in answer:
            answer += sock.recv(1 << 16)
        at = answer.find(mark)
        return int(answer[answer.index(b"} ", at) + 2:].split(b"\n", 1)[0]) if at >= 0 else 0

    end = time.monotonic() + timeout
    with socket.create_connection(("127.0.0.1", gateway.internal), timeout=30) as sock:
        while not seen or seen[-1][1] < count:
            consumed = look(sock)
            now = time.monotonic()
            if consumed > 0:
                seen.append((now, consumed))
            if now > end:
                raise Failure(f"the gateway read {consumed} of {count} messages in {timeout} s")
            if consumed < count:
                time.sleep(0.025)
    if len(seen) < 4:
        raise Failure("too few messages to measure a rate")
    return _rate_of(seen, count)


def _rate_of(seen, count):
    """From looks (time, messages), the last of which found all: the end lies between the last two."""
    (first, start), (before, had), (after, _) = seen[0], seen[-2], seen[-1]
    pace = (had - start) / (before - first)
    done = min(after, before + (count - had) / pace)
    return (count - start) / (done - first)


def gateway_drop(ctx, kafka, topic, count, constraints, around=None):
    """(messages per second, CPU seconds) of a fresh gateway in a fresh group."""
    kafka.pause()
    try:
        gateway = Gateway(
            ctx, KAFKA_BROKERS=kafka.brokers, KAFKA_SOURCE_TOPICS=topic,
            KAFKATOFILTER_KAFKA_GROUP_ID=ctx.unique("rgate"), MAX_SUBSCRIPTIONS="100000",
            KAFKA_PROPERTIES="auto.offset.reset=earliest")
        holders = [Holder(gateway, first, 10000) for first in range(0, constraints, 10000)]
        watch = around(gateway) if around else None
        before = machine.cpu_seconds(gateway.pid)
    finally:
        kafka.resume()
    rate = _watch_consumption(gateway, count)
    used = machine.cpu_seconds(gateway.pid) - before
    if watch:
        watch.stop()
    for holder in holders:
        holder.stop()
    gateway.stop()
    return rate, used


def preload(ctx, kafka, count, size):
    topic = ctx.unique("drop")
    ctx.progress(f"writing {count} events of {size} bytes")
    produce(ctx, (kafka.brokers, topic), count, size, 0, "--create", 4, "--properties",
            "linger.ms=20,batch.size=500000,acks=1", event_type="bench.drop")
    return topic


def _bare_rate(ctx, kafka, topic, count, method):
    return run_json(ctx, "rg-bare-consumer", "--brokers", kafka.brokers, "--topic", topic,
                    "--group", ctx.unique("bare"), "--earliest", "--count", count,
                    "--method", method)


def drop(ctx):
    """Figure 5: events that nobody wants, against a consumer that looks at nothing."""
    kafka = ctx.kafka()
    if kafka is None:
        raise Failure("needs Apache Kafka: the embedded one keeps too little: " + ctx.no_kafka)
    count, size = ctx.size(1000000, 300000), 1000
    topic = preload(ctx, kafka, count, size)
    _bare_rate(ctx, kafka, topic, count, "batch")  # warms the broker and the page cache
    bare = {"poll": [], "batch": []}
    empty, full = [], []
    for i in range(ctx.repeats):
        ctx.progress(f"drop rate: {i + 1} of {ctx.repeats}")
        for method, runs in bare.items():
            runs.append(_bare_rate(ctx, kafka, topic, count, method))
        empty.append(gateway_drop(ctx, kafka, topic, count, 0))
        full.append(gateway_drop(ctx, kafka, topic, count, 100000))
    medians = {m: statistics.median(r["rate"] for r in runs) for m, runs in bare.items()}
    faster = max(medians, key=medians.get)

    def us_each(seconds):
        return _round(statistics.median(seconds) / count * 1e6)

    params = {"bytes": size, "events": count, "kafka": "Apache", "partitions": 4,
              "reference_method": faster,
              "cpu_us_per_event": us_each([used for _, used in empty]),
              "reference_cpu_us_per_event": us_each([r["cpu_s"] for r in bare[faster]])}
    yield result(ctx, "drop_rate", "events per second without subscribers",
                 [rate for rate, _ in empty], [r["rate"] for r in bare[faster]], 0.8,
                 better="higher", **params)
    params = {"bytes": size, "events": count, "constraints": 100000, "holders": 10,
              "cpu_us_per_event": us_each([used for _, used in full])}
    yield result(ctx, "drop_rate_100k", "events per second beside 100,000 constraints",
                 [rate for rate, _ in full], [rate for rate, _ in empty], 0.8, better="higher",
                 **params)


FIGURES = {
    "fanout_sse": lambda ctx: fanout(ctx, "sse", 10000),
    "fanout_ws": lambda ctx: fanout(ctx, "ws", 10000),
    "fanout_mixed": lambda ctx: fanout(ctx, "mixed", 20000),
    "latency": latency,
    "batching": batching,
    "memory_sse": lambda ctx: memory(ctx, "sse"),
    "memory_ws": lambda ctx: memory(ctx, "ws"),
    "drop_rate": drop,
}
