"""How fast clients can come, and what each costs: connect_* of docs/PERFORMANCE.md."""

import json
import socket
import subprocess
import urllib.parse

import machine
from figures import result
from programs import CONCURRENT, BareAccept, Certificate, Failure, Gateway, Passing

SECRET = "a secret that only this benchmark knows of"
UPGRADE = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")

# What a handshake is: how many clients a repeat has (all, with --quick), options of rg-load.
HANDSHAKES = {
    "plain": ((20000, 2000), []),
    "tls": ((5000, 500), ["--tls"]),
    "tls_resumed": ((5000, 500), ["--tls", "--resume"]),
}


def _answer(gateway, kind):
    """What the gateway sends to a client until it is subscribed: the reference sends the same."""
    path = f"/_rig/v1/connection/{kind}?subscriptions=" + urllib.parse.quote(
        json.dumps([{"eventType": "bench.all"}], separators=(",", ":")))
    head = f"GET {path} HTTP/1.1\r\nHost: bench\r\n" + (UPGRADE if kind == "ws" else "") + "\r\n"
    seen = b""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as sock:
        sock.sendall(head.encode())
        while b"rig.subscriptions_set" not in seen:
            piece = sock.recv(65536)
            if not piece:
                raise Failure("the gateway closed a client that connects")
            seen += piece
        sock.settimeout(0.2)
        try:
            seen += sock.recv(65536)  # the rest of that message, if it came in parts
        except TimeoutError:
            pass
    return seen


def _token(ctx):
    done = subprocess.run(
        [ctx.program("rgate"), "token", "--sub", "bench", "--jti", "bench", "--exp", "86400"],
        env={"JWT_SECRET_KEY": SECRET}, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise Failure("rgate token: " + done.stderr.strip()[-200:])
    return done.stdout.strip()


class _Run:
    """A server to which clients come and from which they go, again and again."""

    def __init__(self, ctx, server, port, kind, options):
        self.server = server
        self.must_resume = "--resume" in options
        self.load = Passing(ctx, port, kind, options)
        self.rates, self.costs = [], []
        self.tls = ""

    def warm(self, count):
        """Also gets the sessions that are resumed from then on."""
        self.load.open(count)

    def measure(self, count):
        before = machine.cpu_seconds(self.server.pid)
        report = self.load.open(count)
        used = machine.cpu_seconds(self.server.pid) - before
        if self.must_resume and report["resumed"] != count:
            raise Failure(f"only {report['resumed']} of {count} sessions were resumed")
        self.rates.append(report["rate"])
        self.costs.append(used / count * 1e6)
        self.tls = report["tls"]

    def stop(self):
        self.load.stop()
        self.server.stop()


def _runs(ctx, kind, handshake):
    """The gateway, the gateway that checks a token each time, and the reference."""
    certificate = Certificate(ctx) if handshake != "plain" else None
    env = certificate.env() if certificate else {}
    options = HANDSHAKES[handshake][1]

    def port_of(gateway):
        return gateway.tls_port() if certificate else gateway.port

    open_to_all = Gateway(ctx, **env)
    # Without its cache: as if every client had a token of its own.
    checking = Gateway(ctx, JWT_SECRET_KEY=SECRET, SUBSCRIPTION_CHECK="jwt_validation",
                       JWT_CACHE_ENTRIES="0", **env)
    bare = BareAccept(ctx, _answer(open_to_all, kind), certificate)
    return (_Run(ctx, open_to_all, port_of(open_to_all), kind, options),
            _Run(ctx, checking, port_of(checking), kind, [*options, "--token", _token(ctx)]),
            _Run(ctx, bare, bare.port, kind, options))


def connect(ctx, kind, handshake):
    """Clients that connect, subscribe and leave, as many as can be at any moment."""
    count = ctx.size(*HANDSHAKES[handshake][0])
    name = f"connect_{handshake}_{kind}"
    runs = _runs(ctx, kind, handshake)
    try:
        for run in runs:
            run.warm(max(CONCURRENT, count // 10))
        for i in range(ctx.repeats):
            ctx.progress(f"{name}: {i + 1} of {ctx.repeats}")
            for run in runs:
                run.measure(count)
    finally:
        for run in runs:
            run.stop()
    params = {"kind": kind, "clients_per_repeat": count, "in_the_making": CONCURRENT}
    if handshake != "plain":
        params |= {"tls": runs[0].tls, "key": Certificate.KEY}
    gateway, checking, bare = runs
    for suffix, ours, theirs in (("", gateway, bare), ("_jwt", checking, gateway)):
        more = {"reference": "without a token"} if suffix else {}
        yield result(ctx, f"{name}{suffix}_rate", "connections a second", ours.rates,
                     theirs.rates, None, better="higher", **params, **more)
        yield result(ctx, f"{name}{suffix}_cpu", "us of server CPU per connection", ours.costs,
                     theirs.costs, None, **params, **more)


FIGURES = {
    f"connect_{handshake}_{kind}":
        lambda ctx, kind=kind, handshake=handshake: connect(ctx, kind, handshake)
    for handshake in HANDSHAKES for kind in ("sse", "ws")
}
