// Connections to services are kept, and used again.
//
// - Many requests share few of them; those that nobody uses are closed; a limit is kept to.
// - Services that close whenever they like cost no request that can safely be sent again, and none is
//   sent twice that cannot.
// - What a service says unasked is nobody's answer.
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, it } from 'node:test';
import { environment } from '../support/echo-backend.mjs';
import { testGateway } from '../support/gateway.mjs';
import { KeepAlive } from '../support/keepalive.mjs';
import { until } from '../support/wait.mjs';

const IDLE_MS = 30_000; // of http/upstream.c

/** A service that knows its connections: answer(req, res), req.nth being the request's number on its own. */
class Service {
  opened = 0;
  open = 0;
  most = 0;                       // requests at once
  seen = [];                      // what was asked: "METHOD path"
  #now = 0;
  #server;

  constructor(answer = (req, res) => res.end(req.url)) {
    this.answer = answer;
  }

  async listen(t) {
    this.#server = http.createServer((req, res) => {
      req.nth = ++req.socket.count;
      this.seen.push(`${req.method} ${req.url}`);
      this.most = Math.max(this.most, ++this.#now);
      res.on('close', () => { this.#now--; });
      req.resume().on('end', () => this.answer(req, res));
    });
    this.#server.keepAliveTimeout = 0;
    this.#server.on('connection', (socket) => {
      socket.count = 0;
      socket.setNoDelay(true);
      this.opened++;
      this.open++;
      socket.on('close', () => { this.open--; });
    });
    await new Promise((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    this.port = this.#server.address().port;
    t.after(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
    return this;
  }
}

const definition = (port, proxy) => ({ id: 'all', name: 'all',
  version_data: { default: { endpoints: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'].map((method) =>
    ({ id: method, method, path_regex: '/.*' })) } },
  proxy: { target_url: '127.0.0.1', port, ...proxy } });

/** { service, gateway, client, retries() } for one test. */
async function make(t, { answer, proxy, connections = 1, reactors = '1' } = {}) {
  const service = await new Service(answer).listen(t);
  const gateway = await testGateway(t,
    { env: environment([definition(service.port, proxy)], { REACTORS: reactors }) });
  const client = new KeepAlive(gateway.port, connections);
  t.after(() => client.close());
  return { service, gateway, client, retries: () => gateway.metric('rgate_upstream_retries_total') };
}

const text = async (answer) => {
  const { status, text: body } = await answer;
  return `${status} ${body}`;
};

describe('connections to a service', () => {
  it('api-gateway 8.6: one client needs one', async (t) => {
    const { service, client } = await make(t, { reactors: '2' });
    for (let i = 0; i < 1000; i++) {
      const method = i % 3 ? 'GET' : 'POST';
      assert.equal(await text(client.ask(method, `/${i}`, i % 3 ? undefined : 'x'.repeat(i))), `200 /${i}`);
    }
    assert.equal(service.opened, 1);
    assert.equal(service.seen.length, 1000);
  });

  it('api-gateway 8.6: many clients need no more than they ask at once', async (t) => {
    const { service, gateway, client } = await make(t, { reactors: '2', connections: 10 });
    await Promise.all(Array.from({ length: 1000 },
      async (_, i) => assert.equal(await text(client.ask('GET', `/${i}`, undefined, {}, 20000)), `200 /${i}`)));
    assert.ok(service.opened <= 10, `${service.opened} connections`);
    await until(async () => await gateway.metric('rgate_upstream_connections', { state: 'idle' })
      === service.open, 'all of them are kept');
    assert.equal(await gateway.metric('rgate_upstream_connections', { state: 'open' }), service.opened);
  });

  it('hardening: requests beyond max_connections wait for their turn', async (t) => {
    const answer = (req, res) => setTimeout(() => res.end(req.url), 5);
    const { service, gateway, client } = await make(t,
      { connections: 20, proxy: { max_connections: 3 }, answer });
    await Promise.all(Array.from({ length: 300 },
      async (_, i) => assert.equal(await text(client.ask('GET', `/${i}`, undefined, {}, 20000)), `200 /${i}`)));
    assert.equal(service.most, 3);
    assert.equal(service.opened, 3);
    assert.equal(await gateway.metric('rgate_upstream_waiting'), 0);
  });

  it('hardening: those that nobody uses are closed', async (t) => {
    const { service, gateway, client } = await make(t, { connections: 8 });
    await Promise.all(Array.from({ length: 8 }, (_, i) => client.ask('GET', `/${i}`)));
    const { open } = service;
    assert.ok(open > 0);
    const began = Date.now();
    await until(() => service.open === 0, 'they are closed', IDLE_MS + 5000);
    assert.ok(Date.now() - began > IDLE_MS - 2000, 'not at once');
    assert.equal(await gateway.metric('rgate_upstream_connections'), 0);
    assert.equal(await text(client.ask('GET', '/later')), '200 /later');
    assert.equal(service.opened, open + 1);
  });
});

describe('a service that closes', () => {
  it('api-gateway 8.6: after each answer, which it says', async (t) => {
    const answer = (req, res) => res.writeHead(200, { connection: 'close' }).end(req.url);
    const { service, client, retries } = await make(t, { answer });
    for (let i = 0; i < 200; i++) {
      assert.equal(await text(client.ask(i % 2 ? 'GET' : 'POST', `/${i}`, i % 2 ? undefined : 'x')), `200 /${i}`);
    }
    assert.equal(service.opened, 200);
    assert.equal(await retries(), 0);
    // It is the service's connection that ends, not the client's.
    assert.equal(client.opened, 1);
  });

  it('api-gateway 8.6: after each answer, which it does not say', async (t) => {
    const answer = (req, res) => res.end(req.url, () => req.socket.end());
    const { service, client } = await make(t, { answer });
    for (let i = 0; i < 500; i++) assert.equal(await text(client.ask('GET', `/${i}`)), `200 /${i}`);
    assert.equal(service.opened, 500);
    // Some may have come on a connection that was closing, and then once more.
    assert.equal(new Set(service.seen).size, 500);
  });

  it('api-gateway 8.6: no POST comes twice, and one is answered whose connection was seen to be closed', async (t) => {
    const answer = (req, res) => res.end(req.url, () => req.socket.end());
    const { service, gateway, client } = await make(t, { answer });
    const statuses = new Set();
    for (let i = 0; i < 300; i++) statuses.add((await client.ask('POST', `/${i}`, 'x')).status);
    assert.ok([...statuses].every((status) => status === 200 || status === 502), `${[...statuses]}`);
    assert.equal(new Set(service.seen).size, service.seen.length);

    for (let i = 0; i < 20; i++) {
      await until(async () => await gateway.metric('rgate_upstream_connections') === 0, 'it is closed');
      assert.equal(await text(client.ask('POST', `/seen-${i}`, 'x')), `200 /seen-${i}`);
    }
  });

  it('api-gateway 8.6: as soon as a body ends whose end it announces by closing', async (t) => {
    const answer = (req, res) => {
      req.socket.end(`HTTP/1.0 200 OK\r\n\r\n${req.url}`);
    };
    const { service, client } = await make(t, { answer });
    for (let i = 0; i < 100; i++) assert.equal(await text(client.ask('GET', `/${i}`)), `200 /${i}`);
    assert.equal(service.opened, 100);
    assert.equal(client.opened, 1);
  });

  for (const [how, end] of [
    ['closes', (socket) => socket.destroy()], ['resets', (socket) => socket.resetAndDestroy()],
  ]) {
    // On connections that were used before, when the next request has come.
    const answer = (req, res) => {
      if (req.nth > 1) end(req.socket);
      else res.end(req.url);
    };

    for (const [method, body] of [['GET'], ['HEAD'], ['DELETE'], ['PUT', 'a body']]) {
      it(`api-gateway 8.6: ${method} is sent once more where it ${how} a kept connection`, async (t) => {
        const { service, client, retries } = await make(t, { answer });
        await client.ask('GET', '/first');
        const { status } = await client.ask(method, '/second', body);
        assert.equal(status, 200);
        assert.deepEqual(service.seen, ['GET /first', `${method} /second`, `${method} /second`]);
        assert.equal(service.opened, 2);
        assert.equal(await retries(), 1);
      });
    }

    it(`api-gateway 8.6: POST is not sent once more where it ${how} a kept connection`, async (t) => {
      const { service, gateway, client, retries } = await make(t, { answer });
      await client.ask('GET', '/first');
      assert.equal(await text(client.ask('POST', '/second', 'a body')), '502 Bad gateway.');
      assert.deepEqual(service.seen, ['GET /first', 'POST /second']);
      assert.equal(await retries(), 0);
      // It is not the service that fails.
      assert.equal(await gateway.metric('rgate_upstream_left_out_total'), 0);
      assert.equal(await text(client.ask('POST', '/third', 'a body')), '200 /third');
    });

    it(`hardening: nothing is sent once more with "retry": false where it ${how}`, async (t) => {
      const { service, client } = await make(t, { answer, proxy: { retry: false } });
      await client.ask('GET', '/first');
      assert.equal(await text(client.ask('GET', '/second')), '502 Bad gateway.');
      assert.deepEqual(service.seen, ['GET /first', 'GET /second']);
    });
  }

  it('api-gateway 8.6: a request is sent once more once, and only where a connection was used before', async (t) => {
    const answer = (req, res) => {
      if (req.url !== '/first') req.socket.destroy();
      else res.end(req.url);
    };
    const { service, client } = await make(t, { answer });
    await client.ask('GET', '/first');
    assert.equal(await text(client.ask('GET', '/second')), '502 Bad gateway.');
    assert.deepEqual(service.seen.slice(1), ['GET /second', 'GET /second']);
    assert.equal(await text(client.ask('GET', '/third')), '502 Bad gateway.');
    assert.deepEqual(service.seen.slice(3), ['GET /third']);
  });

  it('api-gateway 8.6: no request is sent once more whose answer has begun', async (t) => {
    const answer = (req, res) => {
      if (req.nth === 1) res.end(req.url);
      else req.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', () => req.socket.end());
    };
    const { service, client } = await make(t, { answer });
    await client.ask('GET', '/first');
    await assert.rejects(client.ask('GET', '/second'));
    assert.deepEqual(service.seen, ['GET /first', 'GET /second']);
  });
});

describe('a service that says too much', () => {
  const POISON = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison';

  for (const [when, answer] of [
    ['with its answer', (req) => {
      const { length } = req.url;
      req.socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${req.url}${POISON}`);
    }],
    ['behind its answer', (req, res) => {
      res.end(req.url, () => setImmediate(() => req.socket.write(POISON)));
    }],
  ]) {
    it(`hardening: what comes ${when} is nobody's`, async (t) => {
      const { client } = await make(t, { answer });
      for (let i = 0; i < 200; i++) assert.equal(await text(client.ask('GET', `/${i}`)), `200 /${i}`);
    });
  }
});
