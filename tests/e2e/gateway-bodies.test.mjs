// Methods, bodies and answers, and what becomes of a request whose service fails.
//
// - Bodies pass in both directions byte for byte, as they come and however long they are.
// - An answer is the service's, whatever its status; nothing of ours is in it.
// - Where no answer can be had the client is told so in time, and it is counted why.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { SET_B, api, assertBadGateway, assertEcho, bus, corsOf, echo, environment, shop, suiteApis,
  testApis }
  from '../support/echo-backend.mjs';
import { RawConnection, exchange } from '../support/http.mjs';
import { testGateway } from '../support/gateway.mjs';
import { ev } from '../support/events.mjs';
import { H2Client } from '../support/h2.mjs';
import { freePorts } from '../support/ports.mjs';
import { deferred, within } from '../support/wait.mjs';

const count = (gateway, path, status) =>
  gateway.metric('rig_proxy_requests_total', { path, status });

/** The lines of the head of an answer to exactly these bytes. */
async function headOf(gateway, bytes) {
  const connection = await RawConnection.open(gateway.port);
  try {
    return (await connection.write(bytes).take('\r\n\r\n')).toString('latin1').trimEnd().split('\r\n');
  } finally {
    connection.close();
  }
}

describe('requests', () => {
  const suite = suiteApis((port) => [shop(port),
    api('more', port, [
      ['bad', 'BADMETHOD', '/items'],
      ['trace', 'TRACE', '/items'],
      ['head', 'HEAD', '/head'],
      ['get', 'GET', '/head'],
    ])]);
  const lastAsked = () => suite.backend.requests.at(-1);

  it('api-gateway 38: files of a form arrive as they were sent', async () => {
    const form = new FormData();
    form.append('one', new File([randomBytes(100_000)], 'a.bin'));
    form.append('qqfile', new File(['zwei'], 'ä "b".txt', { type: 'text/plain' }));
    const encoded = new Response(form);
    const type = encoded.headers.get('content-type');
    const body = Buffer.from(await encoded.arrayBuffer());
    assertEcho(await suite.gateway.request(
      { method: 'POST', path: '/items', headers: { 'content-type': type }, body }));
    assert.ok(lastAsked().bytes.equals(body));
    assert.equal(lastAsked().headers['content-type'], type);
  });

  it('api-gateway 39: a body in chunks arrives whole', async () => {
    const response = await exchange(suite.gateway.port, 'POST /items HTTP/1.1\r\nHost: x\r\n'
      + 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n1\r\nh\r\n0\r\n\r\n');
    assertEcho(response, { method: 'POST', body: 'abcdefgh' });
  });

  for (const method of ['DELETE', 'GET']) {
    it(`api-gateway 40: ${method} may have a body`, async () => {
      const response = await exchange(suite.gateway.port,
        `${method} /items/5 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789`);
      const { headers } = assertEcho(response, { method, body: '0123456789' });
      assert.equal(headers['content-length'], '10');
    });
  }

  for (const [method, path, length] of [['GET', '/items', undefined], ['DELETE', '/items/5', undefined],
    ['OPTIONS', '/items', undefined], ['POST', '/items', '0'], ['PUT', '/items/5', '0'],
    ['PATCH', '/items/5', '0']]) {
    it(`api-gateway 8.4: ${method} may have none`, async () => {
      const response = await exchange(suite.gateway.port, `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const { headers } = assertEcho(response, { method, body: '' });
      assert.equal(headers['content-length'], length);
      assert.equal(headers['transfer-encoding'], undefined);
    });
  }

  it('api-gateway 41: HEAD is GET without a body', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    const { status, headers } = await connection
      .write('HEAD /items HTTP/1.1\r\nHost: x\r\n\r\n').head();
    assert.equal(status, 200);
    assert.match(headers['content-length'], /^[1-9]\d*$/);
    assert.equal(lastAsked().method, 'GET');
    // A body would be read as the beginning of this answer.
    assertEcho(await connection.write('GET /items HTTP/1.1\r\nHost: x\r\n\r\n').response());
  });

  it('api-gateway 4.2: unless there is an endpoint for HEAD', async (t) => {
    suite.backend.answer = (request, response) => response.writeHead(200, { 'content-length': 7 }).end();
    t.after(() => { suite.backend.answer = echo; });
    const { status, headers, text } = await suite.gateway.request({ method: 'HEAD', path: '/head' });
    assert.deepEqual([status, headers['content-length'], text], [200, '7', '']);
    assert.equal(lastAsked().method, 'HEAD');
  });

  for (const method of ['BADMETHOD', 'TRACE']) {
    it(`api-gateway 42: ${method} is not forwarded`, async () => {
      const seen = suite.backend.requests.length;
      const { status, text } = await exchange(suite.gateway.port,
        `${method} /items HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.deepEqual([status, text], [405, 'Method not allowed.']);
      assert.equal(suite.backend.requests.length, seen);
    });
  }

  it('api-gateway 8.4: a body may be long', async () => {
    const body = randomBytes(20_000_000);
    const before = suite.backend.requests.length;
    suite.backend.answer = ({ bytes }, response) =>
      response.end(createHash('sha256').update(bytes).digest('hex'));
    const { text } = await suite.gateway.request({ method: 'POST', path: '/items', body }, 20000);
    suite.backend.answer = echo;
    assert.equal(text, createHash('sha256').update(body).digest('hex'));
    assert.equal(suite.backend.requests.length, before + 1);
  });

  it('api-gateway 8.4: a client of HTTP/2 is served like any other', async (t) => {
    const client = await H2Client.open(t, suite.gateway);
    const response = await client.request({ method: 'POST', path: '/items?x', body: '{"n":"x"}' });
    const { headers } = assertEcho(response,
      { method: 'POST', path: '/items', query: 'x', body: '{"n":"x"}' });
    assert.equal(headers.host, `127.0.0.1:${suite.backend.port}`);
  });
});

describe('answers', () => {
  const suite = suiteApis((port) => [shop(port)]);
  const GET = 'GET /items HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n';
  const answer = (status, headers, body) => {
    suite.backend.answer = (request, response) => response.writeHead(status, headers).end(body);
  };
  const get = () => suite.gateway.get('/items', { origin: 'https://a.example' });

  it('api-gateway 43: an error of the service is its answer', async () => {
    answer(404, { 'X-A': '1' }, 'nope');
    const { status, headers, text } = await get();
    assert.deepEqual([status, text, headers['x-a']], [404, 'nope', '1']);
    assert.deepEqual(corsOf(headers), {});
    for (const ours of ['x-request-id', 'traceparent', 'cache-control', 'server', 'vary', 'via']) {
      assert.equal(headers[ours], undefined, ours);
    }
  });

  it('api-gateway 44: a redirect is not followed', async () => {
    const seen = suite.backend.requests.length;
    answer(302, { location: `http://127.0.0.1:${suite.backend.port}/other` }, 'there');
    const { status, headers, text } = await get();
    assert.deepEqual([status, text], [302, 'there']);
    assert.equal(headers.location, `http://127.0.0.1:${suite.backend.port}/other`);
    assert.equal(suite.backend.requests.length, seen + 1);
  });

  it('api-gateway 45: cookies stay on lines of their own', async () => {
    answer(200, { 'Set-Cookie': ['a=1; Path=/', 'b=2, 3'] }, 'x');
    const lines = await headOf(suite.gateway, GET);
    const cookies = lines.map((line) => /^set-cookie: (.*)$/i.exec(line)?.[1]).filter(Boolean);
    assert.deepEqual(cookies, ['a=1; Path=/', 'b=2, 3']);
  });

  it('api-gateway 45: over HTTP/2 as well', async (t) => {
    answer(200, { 'Set-Cookie': ['a=1', 'b=2'], 'X-Upper': 'Case' }, 'x');
    const client = await H2Client.open(t, suite.gateway);
    const { status, headers } = await client.request({ path: '/items' });
    assert.equal(status, 200);
    assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(headers['x-upper'], 'Case');
  });

  it('api-gateway 46: an answer in chunks arrives whole', async () => {
    const body = randomBytes(500_000).toString('hex');
    suite.backend.answer = (request, response) => {
      response.writeHead(200, { trailer: 'x-t' });
      for (let i = 0; i < body.length; i += 70_001) response.write(body.slice(i, i + 70_001));
      response.end();
    };
    assert.equal((await get()).text, body);
  });

  it('api-gateway 46: an answer that ends with its connection arrives whole', async () => {
    suite.backend.answer = (request, response) =>
      response.socket.end('HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nall of it');
    const { status, text } = await get();
    assert.deepEqual([status, text], [200, 'all of it']);
  });

  it('api-gateway 47: an answer without end is passed on as it comes', async (t) => {
    const begun = deferred();
    suite.backend.answer = (request, response) => begun.resolve(
      response.writeHead(200, { 'content-type': 'text/event-stream' }));
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(GET);
    const stream = await within(begun.promise, 'the backend gets it');
    for (const line of ['one', 'two', 'three', 'four']) {
      stream.write(`data: ${line}\n`);
      await connection.take(`data: ${line}\n`, 1000);
    }
    const left = new Promise((resolve) => { stream.on('close', resolve); });
    connection.close();
    await within(left, 'the backend is told that the client has left');
  });

  for (const status of [299, 201, 418, 499, 500, 599]) {
    it(`api-gateway 51: status ${status} is passed on`, async () => {
      answer(status, {}, 'x');
      const got = await get();
      assert.deepEqual([got.status, got.text], [status, 'x']);
    });
  }

  for (const status of [204, 304]) {
    it(`api-gateway 8.5: ${status} has no body`, async (t) => {
      answer(status, { 'x-a': '1' });
      const connection = await RawConnection.open(suite.gateway.port);
      t.after(() => connection.close());
      const got = await connection.write(GET).head();
      assert.deepEqual([got.status, got.headers['x-a']], [status, '1']);
      assert.equal(got.headers['transfer-encoding'], undefined);
      answer(200, {}, 'next');
      assert.equal((await connection.write(GET).response()).text, 'next');
    });
  }

  it('api-gateway 8.5: what is of the connection ends with it', async () => {
    answer(200, { connection: 'close, x-hop', 'x-hop': '1', 'keep-alive': 'timeout=9', 'x-kept': '1',
      'proxy-connection': 'x', upgrade: 'h2c' }, 'x');
    const { headers } = await get();
    assert.equal(headers['x-kept'], '1');
    for (const name of ['x-hop', 'keep-alive', 'proxy-connection', 'upgrade']) {
      assert.equal(headers[name], undefined, name);
    }
  });

  it('api-gateway 8.5: a compressed body stays as it is', async () => {
    answer(200, { 'content-encoding': 'gzip' }, 'not even gzip');
    const { headers, text } = await get();
    assert.deepEqual([headers['content-encoding'], text], ['gzip', 'not even gzip']);
  });
});

describe('services that fail', () => {
  const nobody = async (t, more, env) => {
    const [port] = await freePorts(1);
    const definition = api('gone', port, [['x', 'GET', '/gone']]);
    Object.assign(definition.proxy, more);
    return testGateway(t, { env: environment([definition], env) });
  };
  const silent = () => {};
  /** A backend that answers with these bytes and ends. */
  const bytes = (text) => (request, response) => response.socket.end(text);
  const slow = (port, more = {}) => {
    const definition = api('slow', port, [['x', 'GET', '/slow'], ['p', 'POST', '/slow']]);
    Object.assign(definition.proxy, more);
    return [definition];
  };

  it('api-gateway 48: nobody listens', async (t) => {
    const gateway = await nobody(t, {});
    assertBadGateway(await gateway.get('/gone'));
    assert.equal(await count(gateway, '/gone', 'unreachable'), 1);
    assert.equal(await count(gateway, '/gone', 'ok'), 0);
  });

  it('api-gateway 8.6: nobody has the name', async (t) => {
    const gateway = await nobody(t, { target_url: 'no-such-host.invalid' });
    assertBadGateway(await gateway.request({ path: '/gone' }, 9000));
    assert.equal(await count(gateway, '/gone', 'unreachable'), 1);
  });

  it('api-gateway 49: nobody answers for five seconds', async (t) => {
    const { gateway } = await testApis(t, slow, { answer: silent });
    const started = Date.now();
    const response = await gateway.request({ path: '/slow' }, 8000);
    const ms = Date.now() - started;
    assertBadGateway(response);
    assert.ok(ms >= 4500 && ms <= 5500, `after ${ms} ms`);
    assert.equal(await count(gateway, '/slow', 'request_timeout'), 1);
  });

  for (const [what, env, more] of [
    ['PROXY_RECV_TIMEOUT', { PROXY_RECV_TIMEOUT: '300' }, {}],
    ['response_timeout_ms', { PROXY_RECV_TIMEOUT: '60000' }, { response_timeout_ms: 300 }],
  ]) {
    it(`${what}: nobody answers for that long`, async (t) => {
      const { gateway } = await testApis(t, (port) => slow(port, more), { answer: silent, env });
      const started = Date.now();
      assertBadGateway(await gateway.get('/slow'));
      assert.ok(Date.now() - started >= 290);
      assert.equal(await count(gateway, '/slow', 'request_timeout'), 1);
    });
  }

  it('response_timeout_ms: it begins when the request is sent', async (t) => {
    const { gateway } = await testApis(t, (port) => slow(port, { response_timeout_ms: 600 }));
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    connection.write('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n');
    for (let i = 0; i < 8; i++) {
      connection.write(String(i));
      await new Promise((later) => setTimeout(later, 125));
    }
    assertEcho(await connection.response(), { body: '01234567' });
  });

  it('idle_timeout_ms: a service that does not go on is cut off', async (t) => {
    const { gateway } = await testApis(t, (port) => slow(port, { idle_timeout_ms: 300 }),
      { answer: (request, response) => response.writeHead(200).write('a part') });
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    connection.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await connection.take('a part');
    await connection.closed();
    await assert.rejects(connection.take('0\r\n\r\n'));
  });

  it('connect_timeout_ms: a service that cannot be connected to is unreachable', async (t) => {
    // An address for documentation: nothing answers there, or nothing is sent there at all.
    const gateway = await nobody(t, { target_url: '192.0.2.1', connect_timeout_ms: 300 });
    const started = Date.now();
    assertBadGateway(await gateway.get('/gone'));
    assert.ok(Date.now() - started < 3000);
    assert.equal(await count(gateway, '/gone', 'unreachable'), 1);
  });

  it('api-gateway 50: two hundred requests wait at the same time', async (t) => {
    const { gateway } = await testApis(t, slow, { answer: (request, response) =>
      setTimeout(() => response.end('done'), 1000) });
    const all = Promise.all(Array.from({ length: 200 }, () => gateway.get('/slow')));
    const answers = await within(all, 'all are answered', 3000);
    assert.deepEqual(new Set(answers.map(({ status, text }) => `${status} ${text}`)),
      new Set(['200 done']));
  });

  for (const [what, text] of [
    ['no HTTP', 'hello\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    ['both framings', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'
      + '1\r\na\r\n0\r\n\r\n'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 1\r\n\r\na'],
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nx-a: b\r\n'],
    ['a status that is none', 'HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n'],
  ]) {
    it(`api-gateway 8.6: an answer with ${what} is none`, async (t) => {
      const { gateway } = await testApis(t, slow, { answer: bytes(text) });
      assertBadGateway(await gateway.get('/slow'));
      assert.equal(await count(gateway, '/slow', 'unreachable'), 1);
    });
  }

  it('api-gateway 8.6: a service that ends too soon is not taken for complete', async (t) => {
    const { gateway } = await testApis(t, slow,
      { answer: bytes('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc') });
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    await connection.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n').take('\r\n\r\nabc');
    await connection.closed();
    await assert.rejects(connection.take(1));
  });

  it('api-gateway 8.6: a kept connection that has been closed is no failure', async (t) => {
    const { backend, gateway } = await testApis(t, slow);
    assertEcho(await gateway.get('/slow'));
    for (let i = 0; i < 5; i++) {
      const { port } = backend;
      await backend.close();
      await backend.listen(port);
      assertEcho(await gateway.get('/slow'));
    }
  });

  it('max_body_bytes: a body beyond it is refused', async (t) => {
    const { backend, gateway } = await testApis(t, (port) => slow(port, { max_body_bytes: 1000 }));
    const post = (n) => gateway.request({ method: 'POST', path: '/slow', body: 'x'.repeat(n) });
    assert.equal((await post(1001)).status, 413);
    assert.equal(backend.requests.length, 0);
    assertEcho(await post(1000));
    const chunked = await exchange(gateway.port, 'POST /slow HTTP/1.1\r\nHost: x\r\n'
      + `Transfer-Encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1001)}\r\n0\r\n\r\n`);
    assert.equal(chunked.status, 413);
    assert.equal(backend.requests.length, 1);
  });
});

describe('event targets', () => {
  const suite = suiteApis((port) => [bus(port)]);

  it('api-gateway 64: a preflight is answered by the gateway', async () => {
    const lines = await headOf(suite.gateway,
      'OPTIONS /ev HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n');
    assert.match(lines[0], /^HTTP\/1\.1 204 /);
    const { status, headers, text } = await suite.gateway.request({ method: 'OPTIONS', path: '/ev' });
    assert.deepEqual([status, text, headers['content-length'] ?? '0'], [204, '', '0']);
    assert.deepEqual(corsOf(headers), SET_B);
    assert.equal(suite.backend.requests.length, 0);
    assert.equal(await count(suite.gateway, '/ev', 'ok'), 2);
  });

  it('api-gateway 66: without brokers an event is refused at once', async () => {
    const started = Date.now();
    const response = await suite.gateway.request({ method: 'POST', path: '/ev',
      headers: { 'content-type': 'application/json' }, body: JSON.stringify(ev('a', { k: 1 })) });
    assert.ok(Date.now() - started < 1000);
    assertBadGateway(response);
    assert.deepEqual(corsOf(response.headers), SET_B);
    assert.equal(await count(suite.gateway, '/ev', 'unreachable'), 1);
  });
});
