"""The gateway as a reverse proxy, beside nginx and HAProxy: gateway_* of docs/PERFORMANCE.md."""

import json
import os
import pwd
import re
import shutil
import socket
import statistics
import subprocess
import time

import machine
from connect import SECRET, _token
from figures import result
from programs import Certificate, Failure

SIZES = {"1k": 1024, "64k": 65536}
CONNECTIONS = (1, 64, 1024)
PROTOCOLS = ("h1", "tls", "h2")
SLICES = 4  # of a repeat: all servers take turns in each, so that no bad moment is one server's
STREAMS_PER_CONNECTION = 10  # of HTTP/2, with as many connections fewer: as many requests at once


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A proxy or a service: a process with a port, on the cores it is given."""

    def __init__(self, ctx, name, argv, port, cores, env=None):
        self.name, self.port = name, port
        self.log = ctx.log_path(name)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", cores, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=ctx.work)
        ctx.started.append(self)
        self._await_port()

    @property
    def pid(self):
        return self.process.pid

    def _await_port(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failure(f"{self.name} does not listen; see {self.log}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def _write(ctx, name, text):
    path = os.path.join(ctx.work, ctx.unique(name))
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def _nginx_frame(ctx, workers, http):
    """What any nginx of ours has: its files stay in the working directory."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {ctx.work}/nginx-{kind};" for kind in kinds)
    # Who starts as root would serve files as somebody who may not read the working directory.
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
    return _write(ctx, "nginx.conf", f"""
{user} daemon off; worker_processes {workers}; pid {ctx.work}/{ctx.unique('nginx')}.pid;
error_log stderr; events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; default_type text/plain; {temporary}
{http}
}}""")


def _backend(ctx, cores):
    """The service behind all proxies: nginx with two files in memory."""
    root = os.path.join(ctx.work, "www")
    os.makedirs(root, exist_ok=True)
    for name, size in SIZES.items():
        with open(os.path.join(root, name), "w", encoding="ascii") as file:
            file.write("x" * size)
    port = _free_port()
    conf = _nginx_frame(ctx, 1, f"""sendfile on; tcp_nopush on; open_file_cache max=10;
server {{ listen 127.0.0.1:{port} backlog=4096; root {root};
location ~ /(1k|64k)$ {{ try_files /$1 =404; }} }}""")
    return Server(ctx, "backend", ["nginx", "-p", ctx.work, "-c", conf], port, cores)


def _nginx(ctx, backend, threads, cores, protocol):
    port, tls = _free_port(), ""
    if protocol != "h1":
        pair = Certificate(ctx)
        tls = f"ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};"
    kind = {"h1": "", "tls": "ssl", "h2": "ssl http2"}[protocol]
    conf = _nginx_frame(ctx, threads, f"""
upstream service {{ server 127.0.0.1:{backend.port}; keepalive 1024; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} {kind} backlog=4096; {tls} http2_max_requests 1000000000;
location / {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}""")
    return Server(ctx, "nginx", ["nginx", "-p", ctx.work, "-c", conf], port, cores)


def _haproxy(ctx, backend, threads, cores, protocol):
    port, tls = _free_port(), ""
    if protocol != "h1":
        pair = Certificate(ctx)
        path = os.path.join(ctx.work, "haproxy.pem")
        with open(path, "wb") as out:
            for name in (pair.cert, pair.key):
                with open(name, "rb") as part:
                    shutil.copyfileobj(part, out)
        tls = f"ssl crt {path} alpn " + ("h2" if protocol == "h2" else "http/1.1")
    conf = _write(ctx, "haproxy.cfg", f"""
global
  nbthread {threads}
  maxconn 8192
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend clients
  bind 127.0.0.1:{port} {tls}
  default_backend services
backend services
  server service 127.0.0.1:{backend.port} pool-max-conn -1
""")
    return Server(ctx, "haproxy", ["haproxy", "-f", conf], port, cores)


def _definition(name, backend, endpoints, secured):
    return {
        "id": name, "name": name, **({"auth_type": "jwt"} if secured else {}),
        "version_data": {"default": {"endpoints": [
            {"id": str(i), "method": "GET", "path_regex": path, "secured": secured}
            for i, path in enumerate(endpoints)]}},
        "proxy": {"target_url": "127.0.0.1", "port": backend.port},
    }


def _rgate(ctx, backend, threads, cores, protocol, definitions=None, **env):
    port, tls = _free_port(), {}
    if protocol != "h1":
        tls = {**Certificate(ctx).env(), "INBOUND_HTTPS_PORT": str(port)}
    apis = definitions or [_definition("bench", backend, ["/1k", "/64k"], False)]
    path = _write(ctx, "apis.json", json.dumps(apis))
    full = {
        "PATH": os.environ["PATH"], "INBOUND_PORT": "0" if tls else str(port), "API_HTTP_PORT": "0",
        "INBOUND_HOST": "127.0.0.1", "REACTORS": str(threads), "LOG_LEVEL": "error",
        "PROXY_CONFIG_FILE": path, **tls, **env,
    }
    return Server(ctx, "rgate", [ctx.program("rgate"), "serve"], port, cores, full)


def _percentile(path, share):
    """Of the later half of the requests, when all connections have long been there; in ms."""
    with open(path, encoding="ascii") as file:
        rows = sorted((int(began), int(took)) for began, _, took in (line.split() for line in file))
    times = sorted(took for _, took in rows[len(rows) // 2:])
    return times[min(len(times) - 1, int(len(times) * share))] / 1e3


def _load(ctx, server, protocol, path, connections, count, cores, token=None):
    """CPU seconds of server, p99 in ms."""
    log = os.path.join(ctx.work, "h2load.log")
    if os.path.exists(log):
        os.unlink(log)
    streams = min(connections, STREAMS_PER_CONNECTION) if protocol == "h2" else 1
    argv = ["taskset", "-c", cores, "h2load", "-t", "1", "-n", str(count),
            "-c", str(max(1, connections // streams)), "-m", str(streams), "--log-file", log]
    argv += [] if protocol == "h2" else ["--h1"]
    argv += ["-H", f"authorization: Bearer {token}"] if token else []
    scheme = "http" if protocol == "h1" else "https"
    before = machine.cpu_seconds(server.pid)
    done = subprocess.run([*argv, f"{scheme}://127.0.0.1:{server.port}{path}"],
                          capture_output=True, text=True, timeout=120, check=False)
    used = machine.cpu_seconds(server.pid) - before
    codes = re.search(r"status codes: (\d+) 2xx", done.stdout)
    if done.returncode != 0 or not codes or int(codes.group(1)) != count:
        raise Failure(f"{server.name}: not all requests succeeded: " + done.stdout[-400:])
    return used, _percentile(log, 0.99)


def _measure(servers, load):
    """One repeat: {server: (requests a CPU second, p99 in ms)}."""
    seen = {who: [] for who in servers}
    order = list(servers)
    for _ in range(SLICES):
        for who in order:
            seen[who].append(load(who))
        order.append(order.pop(0))
    return {who: (sum(count for count, _, _ in slices) / sum(used for _, used, _ in slices),
                  statistics.median(p99 for _, _, p99 in slices))
            for who, slices in seen.items()}


def _compare(ctx, makers, runs):
    """runs: (name, path, connections, count, token). Yields (name, {maker: [(rate, p99)]})."""
    for name, protocol, path, connections, count, threads, token in runs:
        proxy_cores, other = ("0", "1") if threads == 1 else ("0,1", "0,1")
        backend = _backend(ctx, other)
        servers = {who: make(ctx, backend, threads, proxy_cores, protocol)
                   for who, make in makers.items()}
        seen = {who: [] for who in servers}
        tokens = {who: token if who.startswith("rgate") else None for who in servers}
        size = max(count // SLICES, SLICES * connections)

        def load(who):
            return size, *_load(ctx, servers[who], protocol, path, connections, size, other,
                                tokens[who])

        for who in servers:  # warm: connections, caches
            load(who)
        for i in range(ctx.repeats):
            ctx.progress(f"{name}: {i + 1} of {ctx.repeats}")
            for who, figures in _measure(servers, load).items():
                seen[who].append(figures)
        for server in [*servers.values(), backend]:
            server.stop()
        yield name, seen


def _line(ctx, name, seen, target, **params):
    """rgate against the better of the others, pair by pair."""
    others = [who for who in seen if who != "rgate"]
    best = [max(seen[who][i][0] for who in others) for i in range(ctx.repeats)]
    line = result(ctx, name, "requests a CPU second", [rate for rate, _ in seen["rgate"]], best,
                  target, better="higher", **params)
    line["table"] = "gateway"
    line["rates"] = {who: statistics.median(rate for rate, _ in runs)
                     for who, runs in seen.items()}
    line["p99_ms"] = {who: statistics.median(p99 for _, p99 in runs)
                      for who, runs in seen.items()}
    return line


def _count(ctx, size, connections):
    count = 20000 if connections == 1 else 80000
    return ctx.size(count // (1 if size == "1k" else 4), 2000)


def _needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Failure(f"needs the program {program}")


def plain(ctx, protocol):
    _needs("nginx", "haproxy", "h2load", "taskset")
    makers = {"rgate": _rgate, "nginx": _nginx, "haproxy": _haproxy}
    threads = (1, 2) if ctx.machine["cores"] >= 2 else (1,)
    runs = [(f"gateway_{protocol}_{size}_{connections}_{n}", protocol, f"/{size}", connections,
             _count(ctx, size, connections), n, None)
            for n in threads for size in SIZES for connections in CONNECTIONS]
    params = {run[0]: {"protocol": protocol, "path": run[2], "at_once": run[3], "requests": run[4],
                       "threads": run[5]} for run in runs}
    for name, seen in _compare(ctx, makers, runs):
        target = 1.0 if protocol == "h1" else None
        yield _line(ctx, name, seen, target, **params[name])


def tokens(ctx):
    """A token that each request must have: known from requests before, or as if each were new."""
    _needs("nginx", "haproxy", "h2load", "taskset")
    secret = {"JWT_SECRET_KEY": SECRET}

    def secured(ctx, backend, threads, cores, protocol, **env):
        return _rgate(ctx, backend, threads, cores, protocol,
                      [_definition("bench", backend, ["/1k", "/64k"], True)], **secret, **env)

    def uncached(*args):
        return secured(*args, JWT_CACHE_ENTRIES="0")

    for name, make, target in (("gateway_jwt", secured, 0.9), ("gateway_jwt_new", uncached, None)):
        makers = {"rgate": make, "nginx": _nginx, "haproxy": _haproxy}
        runs = [(f"{name}_{connections}", "h1", "/1k", connections,
                 _count(ctx, "1k", connections), 1, _token(ctx)) for connections in CONNECTIONS]
        for figure, seen in _compare(ctx, makers, runs):
            yield _line(ctx, figure, seen, target, protocol="h1", path="/1k", threads=1,
                        token="HS256")


def routes(ctx):
    """A thousand routes against ten."""
    _needs("nginx", "h2load", "taskset")

    def many(count):
        def make(ctx, backend, threads, cores, protocol):
            apis = [_definition(f"api-{i:04}", backend,
                                [f"/shop-{i:04}/orders/([0-9]+)/(1k|64k)"], False)
                    for i in range(count)]
            return _rgate(ctx, backend, threads, cores, protocol, apis)
        return make

    makers = {"rgate": many(1000), "rgate, 10 routes": many(10)}
    runs = [("gateway_routes_1000", "h1", "/shop-0007/orders/12345/1k", 64,
             _count(ctx, "1k", 64), 1, None)]
    for name, seen in _compare(ctx, makers, runs):
        yield _line(ctx, name, seen, 0.95, protocol="h1", at_once=64, threads=1)


FIGURES = {
    **{f"gateway_{protocol}": (lambda ctx, p=protocol: plain(ctx, p)) for protocol in PROTOCOLS},
    "gateway_jwt": tokens,
    "gateway_routes": routes,
}
