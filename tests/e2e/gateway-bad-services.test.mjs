// Promises checked here, of services that are down, slow, broken or hostile:
// - The client gets 502 `Bad gateway.`, or where the answer has begun a connection that is cut; the
//   metric says why (api-gateway.md 8.6), the log says so once in a while.
// - A request that may have had an effect is not sent twice.
// - What a service does not read is not read from the client either.
// - A service that comes back is used again, without a restart.
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { api, environment } from '../support/echo-backend.mjs';
import { testGateway } from '../support/gateway.mjs';
import { RawConnection } from '../support/http.mjs';
import { freePorts, isListening } from '../support/ports.mjs';
import { numbered, rawBackend, RawBackend } from '../support/raw-backend.mjs';
import { deferred, until, within } from '../support/wait.mjs';

const OK = 'HTTP/1.1 200 OK\r\n';
const MIB = 1024 * 1024;
const TIMEOUT_MS = 400;

const definition = (port, more = {}) => api('all', port,
  ['GET', 'POST'].map((method) => [method.toLowerCase(), method, '.*']),
  { proxy: { target_url: 'http://127.0.0.1', port, response_timeout_ms: TIMEOUT_MS, ...more } });

const gatewayTo = (t, port, more = {}, env = {}) => testGateway(t,
  { env: environment([definition(port, more)], { REACTORS: '1', LOG_LEVEL: 'info', ...env }) });

/** One request, which must be answered with 502; returns how long it took, in ms. */
async function assertBad(gateway, status, options = {}) {
  const before = await gateway.metric('rig_proxy_requests_total', { status });
  const start = performance.now();
  const answer = await gateway.request({ path: '/x', ...options }, 10000);
  const took = performance.now() - start;
  assert.deepEqual([answer.status, answer.text], [502, 'Bad gateway.']);
  assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(await gateway.metric('rig_proxy_requests_total', { status }), before + 1, status);
  return took;
}

/** A service that does something else than to read: (socket) => void for each connection. */
async function oddService(t, onConnection) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return server.address().port;
}

const failureLines = (gateway) => gateway.run.output.match(/service failed .*/g) ?? [];

describe('services that give no answer', () => {
  it('api-gateway 8.6: nobody listens', async (t) => {
    const [port] = await freePorts(1);
    const gateway = await gatewayTo(t, port);
    await assertBad(gateway, 'unreachable');
    const line = await gateway.run.printed(/service failed .*/);
    assert.match(line[0], /reason=unreachable .*api=all endpoint=get /);
  });

  it('api-gateway 8.6: it is silent', async (t) => {
    const backend = await rawBackend(t, () => {});
    const gateway = await gatewayTo(t, backend.port);
    const took = await assertBad(gateway, 'request_timeout');
    assert.ok(took >= TIMEOUT_MS - 1, `after ${took} ms`);
    await gateway.run.printed(/service failed reason=timeout/);
    assert.equal(backend.requests.length, 1);
  });

  it('api-gateway 8.6: it begins a head and does not go on', async (t) => {
    const backend = await rawBackend(t, (request, socket) => { socket.write(`${OK}X: y`); });
    const gateway = await gatewayTo(t, backend.port);
    await assertBad(gateway, 'request_timeout');
  });

  it('api-gateway 8.6: interim answers are no answer', async (t) => {
    const backend = await rawBackend(t, (request, socket) => {
      const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), TIMEOUT_MS / 8);
      socket.on('close', () => clearInterval(timer));
    });
    const gateway = await gatewayTo(t, backend.port);
    const took = await assertBad(gateway, 'request_timeout');
    assert.ok(took < 20 * TIMEOUT_MS, `after ${took} ms`);
  });

  it('api-gateway 8.6: it closes what it accepts', async (t) => {
    const gateway = await gatewayTo(t, await oddService(t, (socket) => socket.end()));
    await assertBad(gateway, 'unreachable');
    await gateway.run.printed(/service failed reason="connection lost"/);
  });

  it('api-gateway 8.6: it resets what it accepts', async (t) => {
    const gateway = await gatewayTo(t, await oddService(t, (socket) => socket.resetAndDestroy()));
    await assertBad(gateway, 'unreachable');
  });

  it('api-gateway 8.6: it resets instead of an answer', async (t) => {
    const backend = await rawBackend(t, (request, socket) => socket.resetAndDestroy());
    const gateway = await gatewayTo(t, backend.port);
    await assertBad(gateway, 'unreachable', { method: 'POST', body: 'x' });
    assert.equal(backend.requests.length, 1);
  });

  it('api-gateway 8.6: it talks first, and something else', async (t) => {
    const gateway = await gatewayTo(t, await oddService(t, (socket) => socket.write('220 mail ready\r\n\r\n')));
    await assertBad(gateway, 'unreachable');
    await gateway.run.printed(/service failed reason="malformed answer"/);
  });

  it('the log does not repeat it for each request', async (t) => {
    const [port] = await freePorts(1);
    const gateway = await gatewayTo(t, port);
    for (let i = 0; i < 20; i++) await assertBad(gateway, 'unreachable');
    await gateway.stop();
    assert.equal(failureLines(gateway).length, 1, gateway.run.output);
  });
});

describe('services that stop in the middle', () => {
  /** The rest of what a client gets whose answer has begun with these bytes. */
  async function assertCut(t, gateway, backend, bytes, end) {
    const socket = deferred();
    backend.script = (request, s) => {
      s.write(bytes);
      socket.resolve(s);
    };
    const client = await RawConnection.open(gateway.port);
    t.after(() => client.close());
    client.write('GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal((await client.head()).status, 200);
    end(await socket.promise);
    await client.closed();
    await assert.rejects(client.take('0\r\n\r\n'), /closed before/);
    await assert.rejects(client.take('HTTP/1.1'), /closed before/);
    assert.equal(await gateway.metric('rig_proxy_requests_total', { status: 'ok' }), 1);
    assert.deepEqual(backend.requests.map(({ target }) => target), ['/x']);
    backend.script = undefined;
    assert.equal((await gateway.request({ path: '/other' })).status, 200);
  }

  for (const [kind, head] of [['a length', 'Content-Length: 10'], ['chunks', 'Transfer-Encoding: chunked']]) {
    const bytes = `${OK}${head}\r\n\r\n5\r\nhe`;
    it(`api-gateway 8.6: an answer with ${kind} is reset`, async (t) => {
      const backend = await rawBackend(t);
      const gateway = await gatewayTo(t, backend.port);
      await assertCut(t, gateway, backend, bytes, (socket) => socket.resetAndDestroy());
    });

    it(`api-gateway 8.6: an answer with ${kind} ends too early`, async (t) => {
      const backend = await rawBackend(t);
      const gateway = await gatewayTo(t, backend.port);
      await assertCut(t, gateway, backend, bytes, (socket) => socket.end());
    });

    it(`api-gateway 8.6: an answer with ${kind} does not go on`, async (t) => {
      const backend = await rawBackend(t);
      const gateway = await gatewayTo(t, backend.port, { idle_timeout_ms: TIMEOUT_MS });
      await assertCut(t, gateway, backend, bytes, () => {});
    });
  }

  it('api-gateway 8.6: chunks turn into something else', async (t) => {
    const backend = await rawBackend(t);
    const gateway = await gatewayTo(t, backend.port);
    await assertCut(t, gateway, backend, `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`,
      (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
  });

  it('api-gateway 8.6: a kept connection ends: GET goes on a new one, POST does not', async (t) => {
    const backend = await rawBackend(t);
    const gateway = await gatewayTo(t, backend.port);
    const times = (target) => backend.requests.filter((request) => request.target === target).length;
    backend.script = ({ number, method }, socket, { requests }) => {
      if (requests.length > 1) socket.destroy();
      else socket.write(numbered(number, method));
    };
    assert.equal((await gateway.request({ path: '/1' })).status, 200);
    assert.equal((await gateway.request({ path: '/get' })).status, 200);
    assert.equal(times('/get'), 2);
    const { status } = await gateway.request({ path: '/post', method: 'POST', body: 'x' });
    assert.equal(status, 502);
    assert.equal(times('/post'), 1);
  });
});

describe('services and the bodies of requests', () => {
  it('an answer before the end of the request is the answer', async (t) => {
    const backend = await rawBackend(t);
    const gateway = await gatewayTo(t, backend.port);
    const hidden = 'GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n';
    const over = deferred();
    backend.onHead = (head, socket) => {
      socket.once('close', over.resolve);
      socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    };
    const client = await RawConnection.open(gateway.port);
    t.after(() => client.close());
    client.write(`POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: ${100 + hidden.length}\r\n\r\nbegin`);
    const answer = await client.response();
    assert.deepEqual([answer.status, answer.text], [403, 'no']);
    // The rest of the body is no request, and the next one must not be read as its rest.
    client.write(`${'x'.repeat(95)}${hidden}`);
    await within(over.promise, 'the connection to the service ends');
    backend.onHead = undefined;
    assert.equal((await gateway.request({ path: '/next' })).status, 200);
    assert.deepEqual(backend.requests.map(({ target }) => target), ['/next']);
  });

  it('what is not read by the service is not read from the client', async (t) => {
    const backend = await rawBackend(t);
    const gateway = await gatewayTo(t, backend.port, {}, { PROXY_BODY_BYTES: '0' });
    backend.onHead = (head, socket) => socket.pause();
    const client = await RawConnection.open(gateway.port);
    t.after(() => client.close());
    client.write(`POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
    client.write(Buffer.alloc(64 * MIB));
    const answer = await client.response(10000);
    assert.deepEqual([answer.status, answer.text], [502, 'Bad gateway.']);
    assert.ok(client.socket.writableLength > 16 * MIB, `${client.socket.writableLength} bytes are left`);
    assert.equal(await gateway.metric('rig_proxy_requests_total', { status: 'request_timeout' }), 1);
  });

  it('a client that leaves in the middle takes its request along', async (t) => {
    const backend = await rawBackend(t);
    const gateway = await gatewayTo(t, backend.port);
    const over = deferred();
    const begun = deferred();
    backend.onHead = (head, socket) => {
      begun.resolve();
      socket.once('close', over.resolve);
    };
    const client = await RawConnection.open(gateway.port);
    client.write('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nbegin');
    await within(begun.promise, 'the service is asked');
    client.close();
    await within(over.promise, 'the connection to the service ends');
    assert.equal(backend.requests.length, 0);
    assert.equal((await gateway.request({ path: '/next' })).status, 200);
  });
});

describe('services that come back', () => {
  it('one that was down is used once it is there', async (t) => {
    const [port] = await freePorts(1);
    const gateway = await gatewayTo(t, port);
    for (let i = 0; i < 5; i++) await assertBad(gateway, 'unreachable');
    assert.equal(await gateway.metric('rgate_upstream_left_out'), 1);
    assert.equal(await isListening(port), false);
    const backend = await new RawBackend().listen(port);
    t.after(() => backend.close());
    await until(async () => (await gateway.request({ path: '/x' })).status === 200, 'it is used again');
    assert.equal(await gateway.metric('rgate_upstream_left_out'), 0);
    assert.equal(await gateway.metric('rgate_upstream_left_out_total'), 1);
    await gateway.run.printed(/service address used again/);
  });

  it('one that goes away and comes back', async (t) => {
    const first = await rawBackend(t);
    const gateway = await gatewayTo(t, first.port);
    assert.equal((await gateway.request({ path: '/x' })).status, 200);
    await first.close();
    await assertBad(gateway, 'unreachable');
    const second = await new RawBackend().listen(first.port);
    t.after(() => second.close());
    await until(async () => (await gateway.request({ path: '/x' })).status === 200, 'it is used again');
  });

  it('of several origins the ones that work are used', async (t) => {
    const backend = await rawBackend(t);
    const [port] = await freePorts(1);
    const { proxy: _, ...rest } = definition(port);
    const targets = [port, backend.port].map((n) => `http://127.0.0.1:${n}`);
    const gateway = await testGateway(t, { env: environment([{ ...rest, proxy: { targets } }], { REACTORS: '1' }) });
    for (let i = 0; i < 10; i++) assert.equal((await gateway.request({ path: '/x' })).status, 200);
    assert.equal(await gateway.metric('rgate_upstream_left_out'), 1);
  });
});
