"""The processes a benchmark consists of: each is started here and ended here."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

EXTRACTORS = json.dumps({
    name: {"to": {"stable_field_index": 0, "event": {"json_pointer": "/data/to"}}}
    for name in ("bench.one", "bench.drop")
})


CONCURRENT = 64  # connections in the making at any moment when their rate is measured


class Failure(Exception):
    """A figure that cannot be measured, with the reason."""


class Unavailable(Failure):
    """A figure that this machine cannot give, whatever is done: no fault of the run."""


class Program:
    """A program that answers each line on its standard input with one line."""

    def __init__(self, ctx, argv, env=None):
        self.name = os.path.basename(argv[0])
        self.log = ctx.log_path(self.name)
        self.pending = b""
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env)
        ctx.started.append(self)

    @property
    def pid(self):
        return self.process.pid

    def line(self, timeout):
        end = time.monotonic() + timeout
        fd = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise Failure(f"{self.name}: no answer within {timeout:.0f} s")
            piece = os.read(fd, 65536)
            if not piece:
                raise Failure(f"{self.name} ended; see {self.log}")
            self.pending += piece
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode()

    def ask(self, command, timeout=30):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.line(timeout)

    def report(self, command="report", timeout=30):
        return json.loads(self.ask(command, timeout))

    was_lost = False  # it had ended before it was told to

    def stop(self):
        self.was_lost = self.was_lost or self.process.poll() not in (None, 0)
        try:
            self.process.stdin.close()  # the end of the input: leave
        except OSError:
            pass
        self._end(10)

    def _end(self, seconds):
        for action in (None, self.process.terminate, self.process.kill):
            if action:
                action()
            try:
                self.process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.stdout.close()


class Gateway(Program):
    """rgate; its log goes to a file, from which the banner is read."""

    is_stopped = False

    def __init__(self, ctx, command="serve", prefix=(), **env):
        self.name = "rgate"
        self.http = None
        self.log = ctx.log_path(self.name)
        full = {
            "PATH": os.environ["PATH"], "INBOUND_PORT": "0", "API_HTTP_PORT": "0",
            "INBOUND_HOST": "127.0.0.1", "API_HTTP_HOST": "127.0.0.1", "LOG_LEVEL": "warn",
            "EXTRACTORS": EXTRACTORS, "REACTORS": str(ctx.reactors),
            "MAX_CONNECTIONS_PER_MINUTE": "1000000000", **env,
        }
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, ctx.program("rgate"), command], env=full, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=ctx.work)
        ctx.started.append(self)
        self.port = self._banner("client port", 60)
        self.internal = self._banner("internal port", 10)
        self.http = http.client.HTTPConnection("127.0.0.1", self.internal, timeout=30)

    def _log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _banner(self, name, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = re.search(name + r": *(?:https?://)?\S+:(\d+)", self._log_text())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                raise Failure(f"rgate ended with status {self.process.returncode}: "
                              + self._log_text()[-500:])
            time.sleep(0.02)
        raise Failure(f'rgate printed no "{name}"; see {self.log}')

    def tls_port(self):
        return self._banner("client https port", 10)

    def bootstrap(self):
        return f"127.0.0.1:{self._banner('kafka bootstrap', 10)}"

    def consumed(self):
        """Messages read from Kafka so far."""
        self.http.request("GET", "/metrics")
        text = self.http.getresponse().read().decode()
        found = re.findall(r'^rig_consumed_events_total\{([^}]*)\} (\d+)', text, re.M)
        return sum(int(n) for labels, n in found if 'source="kafka"' in labels)

    def stop(self):
        if self.http:
            self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
        elif not self.is_stopped:
            self.was_lost = True
        self.is_stopped = True
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class BareFanout(Program):
    def __init__(self, ctx):
        super().__init__(ctx, [ctx.program("rg-bare-fanout"), "--threads", str(ctx.reactors)])
        self.port = int(self.line(10).split()[1])
        self.trigger = int(self.line(10).split()[1])


class BareAccept(Program):
    """answer: the bytes that every connection gets."""

    def __init__(self, ctx, answer, certificate=None):
        path = os.path.join(ctx.work, ctx.unique("answer"))
        with open(path, "wb") as file:
            file.write(answer)
        argv = [ctx.program("rg-bare-accept"), "--threads", str(ctx.reactors), "--answer", path]
        if certificate:
            argv += ["--cert", certificate.cert, "--key", certificate.key]
        super().__init__(ctx, argv)
        self.port = int(self.line(10).split()[1])


class Certificate:
    """A key (P-256) and a certificate that it signed itself, for this run."""

    KEY = "P-256"

    def __init__(self, ctx):
        self.cert = os.path.join(ctx.work, "cert.pem")
        self.key = os.path.join(ctx.work, "key.pem")
        if shutil.which("openssl") is None:
            raise Failure("needs the program openssl")
        if os.path.exists(self.cert):
            return
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=localhost", "-out", self.cert,
             "-keyout", self.key], capture_output=True, timeout=30, check=True)

    def env(self):
        return {"HTTPS_CERTFILE": self.cert, "HTTPS_KEYFILE": self.key,
                "INBOUND_HTTPS_PORT": "0", "API_HTTPS_PORT": "0"}


class Load(Program):
    """Clients that stay; options: more of rg-load's."""

    def __init__(self, ctx, server, clients, kind, subscriptions='[{"eventType":"bench.all"}]',
                 options=(), port=None):
        argv = [ctx.program("rg-load"), "--clients", str(clients), "--kind", kind,
                "--workers", str(ctx.load_workers), "--subscriptions", subscriptions,
                "--timeout", "300"]
        argv += ["--bare"] if isinstance(server, BareFanout) else []
        super().__init__(ctx, [*argv, *options, f"127.0.0.1:{port or server.port}"])
        self.clients = clients
        self.first = json.loads(self.line(330))
        if self.first["ready"] != clients:
            raise Failure(f"only {self.first['ready']} of {clients} clients were subscribed")

    def wait(self, events, seconds):
        """A report once so many events arrived; fewer, or a lost client, is a failure."""
        report = self.report(f"wait {events} {int(seconds * 1000)}", seconds + 30)
        if report["closed"]:
            raise Failure(f"{report['closed']} clients were disconnected")
        if report["events"] != events:
            raise Failure(f"{report['events']} of {events} deliveries within {seconds} s")
        return report


class Passing(Program):
    """Clients that leave as soon as they are subscribed."""

    def __init__(self, ctx, port, kind, options=()):
        super().__init__(ctx, [
            ctx.program("rg-load"), "--passing", "--kind", kind, "--workers",
            str(ctx.load_workers), "--window", str(CONCURRENT // ctx.load_workers), *options,
            f"127.0.0.1:{port}"])
        self.line(10)  # ready

    def open(self, count, seconds=120):
        """A report once so many clients have come and gone."""
        report = self.report(f"open {count} {seconds * 1000}", seconds + 30)
        if report["opened"] != count:
            raise Failure(f"{report['opened']} of {count} clients were subscribed, "
                          f"{report['failed']} failed")
        return report


class BareConsumer(Program):
    """The one that records latencies; for rates see bare_rate()."""

    def __init__(self, ctx, brokers, topic):
        super().__init__(ctx, [
            ctx.program("rg-bare-consumer"), "--brokers", brokers, "--topic", topic,
            "--group", ctx.unique("bare"), "--latency"])
        self.line(60)  # assigned


class Kafka:
    """A real Apache Kafka of one node, from tools/kafka."""

    def __init__(self, ctx):
        self.tool = os.path.join(TOP, "tools", "kafka")
        self.dir = os.path.join(ctx.work, "kafka")
        if not os.access(self.tool, os.X_OK):
            raise Failure("there is no tools/kafka")
        done = subprocess.run([self.tool, "start", self.dir, "1", str(ctx.kafka_port)],
                              capture_output=True, text=True, timeout=420, check=False)
        if done.returncode != 0:
            raise Failure("Apache Kafka cannot be started: " + done.stderr.strip()[-300:])
        ctx.started.append(self)
        self.brokers = re.search(r"bootstrap: *(\S+)", done.stdout).group(1)
        with open(os.path.join(self.dir, "node-1.pid"), encoding="ascii") as file:
            self.pid = int(file.read())

    def pause(self):
        """So that a gateway can start and get its subscribers before the first message comes."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def stop(self):
        self.resume()
        subprocess.run([self.tool, "stop", self.dir], capture_output=True, timeout=60, check=False)
        shutil.rmtree(os.path.join(self.dir, "data-1"), ignore_errors=True)  # gigabytes


def run_json(ctx, program, *args, timeout=300):
    """Runs a program to its end and returns its JSON line."""
    done = subprocess.run([ctx.program(program), *map(str, args)], capture_output=True, text=True,
                          timeout=timeout, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        raise Failure(f"{program}: {(done.stderr or done.stdout).strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def produce(ctx, target, count, size, rate, *more, event_type="bench.all", timeout=300):
    """target: a Gateway (over HTTP), a BareFanout (datagrams) or (brokers, topic)."""
    if isinstance(target, Gateway):
        where = ["--http", f"127.0.0.1:{target.port}"]
    elif isinstance(target, BareFanout):
        where = ["--udp", f"127.0.0.1:{target.trigger}"]
    else:
        where = ["--brokers", target[0], "--topic", target[1]]
    return run_json(ctx, "rg-produce", *where, "--count", count, "--size", size, "--rate", rate,
                    "--type", event_type, *more, timeout=timeout)
