// Starts and stops the program under test.
//
// RGATE_BINARY names it; without, it is build/release/rgate. The ports are free ones; what the
// program prints says which.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { after, before } from 'node:test';
import { request } from './http.mjs';
import { deferred, until, within } from './wait.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
export const binary = process.env.RGATE_BINARY ?? `${top}build/release/rgate`;
export const V1 = '/_rig/v1';

const SANITIZER = /(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error:/;

const ANY_PORT = {
  INBOUND_PORT: '0', API_HTTP_PORT: '0', INBOUND_HTTPS_PORT: '0', API_HTTPS_PORT: '0',
};

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** What any child process needs, and what a sanitizer's user may have set; nothing else. */
export function baseEnvironment() {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS',
    'LSAN_OPTIONS'];
  return Object.fromEntries(
    kept.filter((name) => name in process.env).map((name) => [name, process.env[name]]));
}

/** One run of the program: its output as it comes, and its end. */
export class Run {
  stdout = '';
  stderr = '';
  #child;
  #exited = deferred();
  #changed = deferred();

  /** stdio, where given, adds descriptors behind the first three. */
  constructor(args, { env = {}, cwd = top, stdio = [], via = [] } = {}) {
    const [file, ...rest] = [...via, binary, ...args];
    this.#child = spawn(file, rest, {
      env: { ...baseEnvironment(), ...env }, cwd, stdio: ['pipe', 'pipe', 'pipe', ...stdio],
    });
    running.add(this.#child);
    this.#child.stdin.on('error', () => {});
    for (const name of ['stdout', 'stderr']) {
      this.#child[name].setEncoding('utf8');
      this.#child[name].on('data', (text) => {
        this[name] += text;
        this.#wake();
      });
    }
    this.#child.on('error', (error) => this.#exited.reject(error));
    this.#child.on('close', (code, signal) => {
      running.delete(this.#child);
      this.#exited.resolve({ code, signal });
      this.#wake();
    });
    this.#exited.promise.catch(() => {});
  }

  #wake() {
    this.#changed.resolve();
    this.#changed = deferred();
  }

  get pid() {
    return this.#child.pid;
  }

  get stdin() {
    return this.#child.stdin;
  }

  get output() {
    return this.stdout + this.stderr;
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** { code, signal } once the process has ended and its output is complete. */
  exit(ms) {
    return within(this.#exited.promise, 'the program ends', ms);
  }

  /** The match of pattern in what was printed so far, as soon as there is one. */
  async printed(pattern, ms) {
    let ended = false;
    this.#exited.promise.then(() => { ended = true; }, () => { ended = true; });
    const look = async () => {
      for (;;) {
        const match = pattern.exec(this.output);
        if (match) return match;
        if (ended) await this.exit();
        assert.ok(!ended, `ended without printing ${pattern}:\n${this.output}`);
        await this.#changed.promise;
      }
    };
    try {
      return await within(look(), `${pattern} is printed`, ms);
    } catch (error) {
      error.message += `\noutput:\n${this.output}`;
      throw error;
    }
  }

  /** No sanitizer has complained. */
  assertHealthy() {
    assert.doesNotMatch(this.output, SANITIZER, 'a sanitizer has reported');
  }
}

/** Runs the program to its end: { code, signal, stdout, stderr }. */
export async function runToEnd(args, options = {}, ms = 5000) {
  const run = new Run(args, options);
  if (options.input !== undefined) run.stdin.write(options.input);
  run.stdin.end();
  try {
    const { code, signal } = await run.exit(ms);
    run.assertHealthy();
    return { code, signal, stdout: run.stdout, stderr: run.stderr };
  } finally {
    run.signal('SIGKILL');
  }
}

/** A running gateway. */
export class Gateway {
  run;
  scheme = 'http';
  port;
  internalPort;
  httpsPort = null;               // null where HTTPS is off
  internalHttpsPort = null;
  tls = null;                     // options of node:tls where port is the one of HTTPS
  kafkaBootstrap = null;

  /**
   * command is serve or dev. env adds variables; undefined takes one away, the ports included.
   * Resolves when the gateway answers.
   */
  static async start({ command = 'serve', args = [], env = {}, ...options } = {}) {
    const gateway = new Gateway();
    const all = { ...ANY_PORT, ...env };
    const given = Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined));
    gateway.run = new Run([command, ...args], { env: given, ...options });
    try {
      await gateway.#readPorts(command, given);
      // Behind a balancer that says whose a connection is the public port answers nobody else.
      const ask = given.PROXY_PROTOCOL === undefined
        ? () => gateway.get('/_rig/health') : () => gateway.internal('/health');
      await until(async () => (await ask()).status === 200, 'the gateway is healthy', 10000);
    } catch (error) {
      gateway.kill();
      throw error;
    }
    return gateway;
  }

  async #readPorts(command, env) {
    const port = async (name, scheme = 'http') => {
      const [, digits] = await this.run.printed(
        new RegExp(`${name} port: ${scheme}://[^\\s"/]+:(\\d+)(?=\\D)`), 10000);
      return Number(digits);
    };
    this.port = await port('client');
    this.internalPort = await port('internal');
    if (command === 'dev' || env.HTTPS_CERTFILE !== undefined) {
      this.httpsPort = await port('client https', 'https');
      this.internalHttpsPort = await port('internal https', 'https');
    }
    if (command === 'dev') {
      const [, bootstrap] = await this.run.printed(/kafka bootstrap: (\S+:\d+)(?=\D)/, 10000);
      this.kafkaBootstrap = bootstrap;
    }
  }

  /** The same gateway for clients that use TLS, with these options of node:tls. */
  overTls(options = {}) {
    const tls = { ALPNProtocols: ['http/1.1'], rejectUnauthorized: 'ca' in options, ...options };
    return Object.assign(Object.create(this), {
      scheme: 'https', port: this.httpsPort, internalPort: this.internalHttpsPort, tls,
    });
  }

  get(path, headers) {
    return this.request({ path, headers });
  }

  request(options, ms) {
    return request({ scheme: this.scheme, port: this.port, tls: this.tls, ...options }, ms);
  }

  internal(path, options = {}) {
    return request({ scheme: this.scheme, port: this.internalPort, tls: this.tls, path, ...options });
  }

  /** kind is http or ws; through the HTTPS ports it is https or wss. */
  url(path, kind = 'http') {
    return `${kind}${this.scheme.slice('http'.length)}://127.0.0.1:${this.port}${path}`;
  }

  /** The sum over all series of a metric whose labels contain every given pair. */
  async metric(name, labels = {}) {
    const { text } = await this.internal('/metrics');
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    let sum = 0;
    for (const line of text.split('\n')) {
      const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!sample || sample[1] !== name) continue;
      const pairs = sample[2] ?? '';
      if (wanted.every((pair) => pairs.includes(pair))) sum += Number(sample[3]);
    }
    return sum;
  }

  /** Asks it to stop, as an operator does, and checks that it does so in good order. */
  async stop(ms = 15000) {
    if (!this.run) return;
    this.run.signal('SIGTERM');
    try {
      const { code, signal } = await this.run.exit(ms);
      this.run.assertHealthy();
      assert.deepEqual({ code, signal }, { code: 0, signal: null },
        `exit after SIGTERM; output:\n${this.run.output.slice(-4000)}`);
    } finally {
      this.kill();
    }
  }

  /** Ends it at once, without any check. */
  kill() {
    this.run.signal('SIGKILL');
  }
}

/** A gateway that the tests of the enclosing suite share: { gateway } once they run. */
export function suiteGateway(options) {
  const shared = { gateway: null };
  before(async () => {
    shared.gateway = await Gateway.start(await (typeof options === 'function' ? options() : options));
  });
  after(() => shared.gateway?.stop());
  return shared;
}

/** A gateway for one test, stopped at its end. */
export async function testGateway(t, options) {
  const gateway = await Gateway.start(options);
  t.after(() => gateway.stop());
  return gateway;
}
