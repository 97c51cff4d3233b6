// Requests to services behind the gateway, by the routes of 2017.
//
// - A request goes to the first route that fits all of its path and its method, if its token lets it.
// - The service sees what the client sent, and the client what the service answered, as it comes.
// - Where the service fails the client is told so; where the client leaves, so is the service.
// - What could be read as another path than the one that was checked does not get through.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { describe, it } from 'node:test';
import { suiteGateway, testGateway } from '../support/gateway.mjs';
import { ban } from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { H2Client } from '../support/h2.mjs';
import { RawConnection, exchange, send } from '../support/http.mjs';
import { HttpService } from '../support/http-service.mjs';
import { JwksServer } from '../support/jwks-server.mjs';
import { SigningKey, bearer, now, token } from '../support/jwt.mjs';
import { freePorts } from '../support/ports.mjs';
import { echo, environment, routesTo, suiteProxy, testProxy } from '../support/routes.mjs';
import { deferred, until, within } from '../support/wait.mjs';

const A = token({ username: 'ada', role: ['customer'], jti: 'ja' });
const as = (value, more = {}) => ({ authorization: value, ...more });

function assertMessage(response, status, message) {
  assert.equal(response.status, status, response.text);
  assert.deepEqual(response.json(), { message });
  assert.equal(response.headers['content-type'], 'application/json; charset=utf-8');
}
const assertNoRoute = (response) => assertMessage(response, 404, 'Route is not available');
const assertNoToken = (response) => assertMessage(response, 401, 'Missing or invalid token');

/** The one request that the service was asked since, which must be this. */
function assertAsked(service, seen, wanted) {
  assert.equal(service.requests.length, seen + 1);
  const asked = service.requests[seen];
  for (const [name, value] of Object.entries(wanted)) assert.deepEqual(asked[name], value, name);
  return asked;
}

describe('routes', () => {
  const suite = suiteProxy();
  const get = (path, headers) => suite.gateway.get(path, headers);

  it('legacy-channels 73: without a route for path and method there is no answer', async () => {
    const seen = suite.service.requests.length;
    assertNoRoute(await get('/nowhere'));
    assertNoRoute(await get('/v1/login'));
    assertNoRoute(await get('/_rig/v1/events'));
    assertNoRoute(await suite.gateway.request({ method: 'OPTIONS', path: '/v1/login' }));
    assert.equal(suite.service.requests.length, seen);
  });

  it('legacy-channels 74: a request reaches the service, and its answer the client', async () => {
    const seen = suite.service.requests.length;
    const response = await suite.gateway.request({ method: 'POST', path: '/v1/login',
      headers: { 'content-type': 'application/json' }, body: '{"a":1}' });
    assertAsked(suite.service, seen, { method: 'POST', path: '/v1/login', body: '{"a":1}' });
    assert.equal(response.status, 200);
    assert.equal(response.headers['content-type'], 'application/json');
    assert.equal(response.headers['x-service'], 'echo');
    assert.equal(response.json().body, '{"a":1}');
  });

  for (const [what, path, headers] of [
    ['bare', '/v1/users/x.y-1', as(A)],
    ['in the query', `/v1/users/x.y-1?token=${A}`],
    ['in the query behind a bad one', `/v1/users/x.y-1?token=bad%20${A}`],
    ['as Bearer', '/v1/users/x.y-1', as(`Bearer ${A}`)],
    ['beside a bad one', `/v1/users/x.y-1?token=bad`, as(A)],
  ]) {
    it(`legacy-channels 75: a token ${what} opens a route`, async () => {
      const seen = suite.service.requests.length;
      assert.equal((await get(path, headers)).status, 200);
      assertAsked(suite.service, seen, { method: 'GET', path });
    });
  }

  for (const [what, path, headers] of [
    ['no token', '/v1/users/x.y-1'],
    ['a bad token', '/v1/users/x.y-1?token=bad', as('Bearer worse')],
    ['an expired token', '/v1/users/x.y-1', as(token({ exp: now() - 1 }))],
    ['a token without exp', '/v1/users/x.y-1', as(token({ exp: undefined }))],
  ]) {
    it(`legacy-channels 75: ${what} does not`, async () => {
      const seen = suite.service.requests.length;
      assertNoToken(await get(path, headers));
      assert.equal(suite.service.requests.length, seen);
    });
  }

  it('legacy-channels 14.3.2: where no token is needed a bad one is no hindrance', async () => {
    assert.equal((await get('/v1/open/1?token=bad', as('Bearer worse'))).status, 200);
  });

  it('legacy-channels 76: the whole path must match', async () => {
    for (const path of ['/v1/users/a/b', '/v1/users/', '/x/v1/users/a', '/v1/users/a/', '/v1/users',
      '/V1/users/a', '//v1/users/a']) {
      assertNoRoute(await get(path, as(A)));
    }
  });

  it('legacy-channels 77: the query goes on as it is', async () => {
    const path = '/v1/items?page[limit]=10&page[offset]=0&a=%20+&a=2&b';
    const seen = suite.service.requests.length;
    assert.equal((await get(path, as(A))).status, 200);
    assertAsked(suite.service, seen, { path });
  });

  it('legacy-channels 79: a body goes on as it is', async () => {
    const seen = suite.service.requests.length;
    const body = randomBytes(300_000);
    const { status } = await suite.gateway.request({ method: 'PUT', path: '/v1/users/7',
      headers: as(A, { 'content-type': 'application/x-any' }), body });
    assert.equal(status, 200);
    const asked = assertAsked(suite.service, seen, { method: 'PUT', path: '/v1/users/7' });
    assert.ok(asked.bytes.equals(body));
    assert.equal(asked.headers['content-type'], 'application/x-any');
    assert.equal(asked.headers['content-length'], '300000');
  });

  it('legacy-channels 79: a body of unknown length goes on with its length', async () => {
    const seen = suite.service.requests.length;
    const response = await exchange(suite.gateway.port, 'PUT /v1/users/7 HTTP/1.1\r\nhost: x\r\n'
      + `authorization: ${A}\r\ntransfer-encoding: chunked\r\n\r\n`
      + '5\r\n{"n":\r\n4\r\n"x"}\r\n0\r\n\r\n');
    assert.equal(response.status, 200);
    const asked = assertAsked(suite.service, seen, { body: '{"n":"x"}' });
    assert.equal(asked.headers['content-length'], '9');
    assert.equal(asked.headers['transfer-encoding'], undefined);
  });

  it('legacy-channels 14.4.2: DELETE may have a body, POST may have none', async () => {
    const seen = suite.service.requests.length;
    await suite.gateway.request({ method: 'DELETE', path: '/v1/users/7',
      headers: as(A, { 'content-length': '2' }), body: '{}' });
    assertAsked(suite.service, seen, { method: 'DELETE', body: '{}' });
    await suite.gateway.request({ method: 'POST', path: '/v1/login' });
    const asked = assertAsked(suite.service, seen + 1, { method: 'POST', body: '' });
    assert.equal(asked.headers['content-length'], '0');
  });

  it('legacy-channels 81: a route without leading slash has one', async () => {
    const seen = suite.service.requests.length;
    const { status } = await suite.gateway.request(
      { method: 'POST', path: '/ts/notes', headers: as(A), body: 'x' });
    assert.equal(status, 200);
    assertAsked(suite.service, seen, { path: '/ts/notes', body: 'x' });
  });

  it('legacy-channels 82: a route with a method that is not forwarded is 405', async () => {
    const seen = suite.service.requests.length;
    assertMessage(await suite.gateway.request({ method: 'PATCH', path: '/v1/opt', body: 'x' }),
      405, 'Method is not supported');
    assert.equal(suite.service.requests.length, seen);
  });

  it('legacy-channels 85: a banned token does not open a route', async () => {
    const banned = token({ username: 'ada', jti: 'banned' });
    assert.equal((await get('/v1/users/7', as(banned))).status, 200);
    await ban(suite.gateway, 'banned');
    assertNoToken(await get('/v1/users/7', as(banned)));
    assertNoToken(await get(`/v1/users/7?token=${banned}`, as('bad')));
    assert.equal((await get('/v1/users/7', as(A))).status, 200);
  });

  it('legacy-channels section 1: HEAD is GET without a body', async () => {
    const seen = suite.service.requests.length;
    const response = await suite.gateway.request({ method: 'HEAD', path: '/v1/open/1' });
    assert.equal(response.status, 200);
    assert.equal(response.headers['x-service'], 'echo');
    assert.equal(response.text, '');
    assertAsked(suite.service, seen, { method: 'GET' });
  });

  it('legacy-channels 14.4.5: a form may name the method that is meant', async () => {
    const form = (body) => ({ method: 'POST', path: '/v1/users/7', body,
      headers: as(A, { 'content-type': 'application/x-www-form-urlencoded' }) });
    const seen = suite.service.requests.length;
    assert.equal((await suite.gateway.request(form('a=1&_method=put'))).status, 200);
    assertAsked(suite.service, seen, { method: 'PUT', body: 'a=1&_method=put' });
    assert.equal((await suite.gateway.request(form('_method=DELETE'))).status, 200);
    assertAsked(suite.service, seen + 1, { method: 'DELETE' });
    assertNoRoute(await suite.gateway.request(form('_method=GET')));
    assertMessage(await suite.gateway.request({ ...form('_method=PATCH'), path: '/v1/opt' }),
      405, 'Method is not supported');
  });

  it('legacy-channels 14.4.3: fields go on but for those of the connection', async () => {
    const seen = suite.service.requests.length;
    const response = await exchange(suite.gateway.port, 'GET /v1/open/1 HTTP/1.1\r\n'
      + 'Host: shop.example\r\nAuthorization: Bearer x\r\nCookie: a=b\r\nX-Twice: 1\r\nX-Twice: 2\r\n'
      + 'Connection: keep-alive, X-Hop, Host\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n'
      + 'Upgrade: websocket\r\nProxy-Authorization: x\r\n\r\n');
    assert.equal(response.status, 200);
    const { rawHeaders } = assertAsked(suite.service, seen, {});
    const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    const { headers } = suite.service.requests[seen];
    assert.equal(headers.host, 'shop.example');
    assert.equal(headers.authorization, 'Bearer x');
    assert.equal(headers.cookie, 'a=b');
    assert.equal(headers['x-twice'], '1, 2');
    assert.deepEqual(names.filter((name) => !['host', 'authorization', 'cookie', 'x-twice',
      'connection'].includes(name)), []);
    assert.doesNotMatch(headers.connection ?? '', /x-hop/i);
  });

  it('legacy-channels 14.4.3: who waits to be told to go on is told by the gateway', async (t) => {
    const seen = suite.service.requests.length;
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write('PUT /v1/users/7 HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n'
      + `authorization: ${A}\r\ncontent-length: 2\r\n\r\n`);
    assert.equal((await connection.head()).status, 100);
    assert.equal((await connection.write('{}').response()).status, 200);
    const { headers } = assertAsked(suite.service, seen, { body: '{}' });
    assert.equal(headers.expect, undefined);
  });

  it('legacy-channels 14.4.3: a client of HTTP/1.0 need not say the host', async () => {
    const seen = suite.service.requests.length;
    const response = await exchange(suite.gateway.port, 'GET /v1/open/1 HTTP/1.0\r\n\r\n');
    assert.equal(response.status, 200);
    const { headers } = assertAsked(suite.service, seen, {});
    assert.equal(headers.host, `localhost:${suite.service.port}`);
  });

  for (const target of ['/v1/open/../users/7', '/v1/open/./1', '/v1/open/%2e%2e', '/v1/open/a%2fb',
    '/v1/open/a%5Cb', '/v1/open/a\\b', '/v1/open/%00', '/v1/open/..;x', '/v1/open/%', '/v1/open/%zz']) {
    it(`legacy-channels 14.4.1: the path ${target} is refused`, async () => {
      const seen = suite.service.requests.length;
      const { status, text } = await exchange(
        suite.gateway.port, `GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`);
      assert.equal(status, 400, text);
      assert.match(JSON.parse(text).message, /^Bad Request: the path /);
      assert.equal(suite.service.requests.length, seen);
    });
  }

  it('legacy-channels 14.4.1: where a request goes is not its own to say', async () => {
    const seen = suite.service.requests.length;
    const { status } = await exchange(suite.gateway.port,
      'GET http://other.example:1/v1/open/1?a HTTP/1.1\r\nhost: other.example:1\r\n\r\n');
    assert.equal(status, 200);
    assertAsked(suite.service, seen, { path: '/v1/open/1?a' });
  });

  it('legacy-channels 14.4.4: a body beyond the limit is refused', async (t) => {
    const { service, gateway } = await testProxy(t, echo, { PROXY_BODY_BYTES: '1000' });
    const put = (n) => gateway.request({ method: 'PUT', path: '/v1/users/7', headers: as(A),
      body: 'x'.repeat(n) });
    assert.equal((await put(1001)).status, 413);
    assert.equal(service.requests.length, 0);
    assert.equal((await put(1000)).status, 200);
  });

  it('legacy-channels 14.4.3: a client of HTTP/2 is served like any other', async (t) => {
    const client = await H2Client.open(t, suite.gateway);
    const seen = suite.service.requests.length;
    const response = await client.request({ method: 'PUT', path: '/v1/users/7?x',
      headers: as(A, { cookie: 'a=b' }), body: '{"n":"x"}' });
    assert.equal(response.status, 200);
    assert.equal(response.headers['x-service'], 'echo');
    const { headers } = assertAsked(
      suite.service, seen, { method: 'PUT', path: '/v1/users/7?x', body: '{"n":"x"}' });
    assert.equal(headers.host, `127.0.0.1:${suite.gateway.port}`);
    assert.equal(headers.cookie, 'a=b');
    assert.equal((await client.request({ path: '/nowhere' })).status, 404);
  });

  it('management 7.1: requests are counted by route and outcome', async () => {
    const count = (labels) => suite.gateway.metric('rig_proxy_requests_total', labels);
    const ok = { method: 'GET', path: '/v1/open/{id}', target: 'http', response_from: 'http',
      status: 'ok' };
    const lost = { method: 'other', path: 'N/A', target: 'N/A', response_from: 'N/A',
      status: 'not_found' };
    const before = [await count(ok), await count(lost)];
    await get('/v1/open/1');
    await get('/v1/open/2?x');
    await suite.gateway.request({ method: 'PURGE', path: '/some/path' });
    assert.deepEqual([await count(ok), await count(lost)], [before[0] + 2, before[1] + 1]);
  });
});

describe('uploads', () => {
  const suite = suiteProxy();

  /** What the service got, read by somebody else's parser. */
  async function upload(form) {
    const { headers, body } = await (async () => {
      const encoded = new Response(form);
      return { headers: { 'content-type': encoded.headers.get('content-type') },
        body: Buffer.from(await encoded.arrayBuffer()) };
    })();
    const seen = suite.service.requests.length;
    const { status, text } = await suite.gateway.request(
      { method: 'POST', path: '/v1/login', headers, body });
    assert.equal(status, 200, text);
    const asked = assertAsked(suite.service, seen, {});
    assert.equal(asked.headers['content-length'], String(asked.bytes.length));
    return { sent: body, asked, form: await new Response(
      asked.bytes, { headers: { 'content-type': asked.headers['content-type'] } }).formData() };
  }

  it('legacy-channels 83: an uploaded file goes on in three parts', async () => {
    const given = new FormData();
    given.set('qqfile', new File(['Hello'], 'a.txt', { type: 'text/plain' }));
    given.set('k', '123');
    const { form } = await upload(given);
    assert.deepEqual([...form.keys()].sort(), ['content-type', 'file', 'filename', 'k']);
    assert.equal(form.get('k'), '123');
    assert.equal(await form.get('file').text(), 'Hello');
    assert.equal(form.get('file').name, 'a.txt');
    assert.equal(form.get('filename'), 'a.txt');
    assert.match(form.get('content-type'), /^text\/plain/);
  });

  it('legacy-channels 83: whatever is in the file', async () => {
    const bytes = randomBytes(200_000);
    const given = new FormData();
    given.append('other', new File(['1'], 'o.bin'));
    given.append('qqfile', new File([bytes], 'ä "b".bin', { type: 'application/octet-stream' }));
    const { form } = await upload(given);
    assert.ok(Buffer.from(await form.get('file').arrayBuffer()).equals(bytes));
    assert.equal(form.get('file').name, 'ä "b".bin');
    assert.equal(await form.get('other').text(), '1');
  });

  it('legacy-channels 14.4.4: a form without that file is not touched', async () => {
    const given = new FormData();
    given.set('file', new File(['Hello'], 'a.txt', { type: 'text/plain' }));
    given.set('qqfile', 'just text');
    const { sent, asked } = await upload(given);
    assert.ok(asked.bytes.equals(sent));
  });

  it('legacy-channels 14.4.4: a malformed form is refused', async () => {
    const response = await suite.gateway.request({ method: 'POST', path: '/v1/login',
      headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: '--b\r\n' });
    assertMessage(response, 400, 'Bad Request: the form has no end');
  });
});

describe('answers', () => {
  for (const [what, status, headers, body] of [
    ['an error', 404, { 'content-type': 'text/plain', 'x-a': '1' }, 'nope'],
    ['a redirection', 302, { location: 'http://other.example/' }, ''],
    ['an unusual status', 299, {}, 'x'],
  ]) {
    it(`legacy-channels 14.4.6: ${what} comes back as it is`, async (t) => {
      const { gateway } = await testProxy(t, (_, response) =>
        response.writeHead(status, { ...headers, date: 'Sun, 06 Nov 1994 08:49:37 GMT' }).end(body));
      const response = await gateway.get('/v1/open/1');
      assert.equal(response.status, status);
      assert.equal(response.text, body);
      for (const [name, value] of Object.entries(headers)) assert.equal(response.headers[name], value);
      assert.equal(response.headers.date, 'Sun, 06 Nov 1994 08:49:37 GMT');
      for (const name of ['access-control-allow-origin', 'x-request-id', 'cache-control']) {
        assert.equal(response.headers[name], undefined, name);
      }
    });
  }

  it('legacy-channels 14.4.6: repeated fields stay apart', async (t) => {
    const { gateway } = await testProxy(t, (_, response) =>
      response.writeHead(200, [['set-cookie', 'a=1'], ['set-cookie', 'b=2']].flat()).end());
    assert.deepEqual((await gateway.get('/v1/open/1')).headers['set-cookie'], ['a=1', 'b=2']);
  });

  it('legacy-channels 14.4.6: as many fields as there may be', async (t) => {
    const { gateway } = await testProxy(t, (_, response) => {
      for (let i = 0; i < 90; i++) response.setHeader(`x-${i}`, String(i));
      response.end('x');
    });
    const { headers } = await gateway.get('/v1/open/1');
    for (let i = 0; i < 90; i++) assert.equal(headers[`x-${i}`], String(i));
  });

  it('legacy-channels 78: an answer without a body', async (t) => {
    const { service, gateway } = await testProxy(t, (_, response) => response.writeHead(204).end());
    const response = await gateway.request(
      { method: 'DELETE', path: '/v1/users/7', headers: as(A) });
    assert.equal(response.status, 204);
    assert.equal(response.text, '');
    assert.equal(service.requests[0].method, 'DELETE');
  });

  it('legacy-channels 80: a chunked answer stays chunked', async (t) => {
    const { gateway } = await testProxy(t, (_, response) => {
      response.write('one,');
      response.end('two');
    });
    const response = await gateway.get('/v1/open/1');
    assert.equal(response.status, 200);
    assert.equal(response.headers['transfer-encoding'], 'chunked');
    assert.equal(response.text, 'one,two');
  });

  it('legacy-channels 14.4.6: an answer is passed on as it comes', async (t) => {
    const go = [deferred(), deferred()];
    const { gateway } = await testProxy(t, async (_, response) => {
      response.write('one');
      await go[0].promise;
      response.write('two');
      await go[1].promise;
      response.end();
    });
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    connection.write('GET /v1/open/1 HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.equal((await connection.head()).status, 200);
    await connection.take('one\r\n');
    go[0].resolve();
    await connection.take('two\r\n');
    go[1].resolve();
    await connection.take('0\r\n\r\n');
  });

  for (const version of ['1.1', '2']) {
    it(`legacy-channels 14.4.6: however long an answer is, it arrives (HTTP/${version})`,
      async (t) => {
        const body = randomBytes(24 << 20);
        const { gateway } = await testProxy(t, (_, response) => response.end(body));
        const hash = createHash('sha256');
        const stream = version === '2'
          ? (await H2Client.open(t, gateway)).session.request({ ':path': '/v1/open/1' })
          : await new Promise((resolve, reject) => {
            const req = send('http', { port: gateway.port, path: '/v1/open/1' }, resolve);
            req.on('error', reject);
            req.end();
          });
        const read = async () => {
          for await (const chunk of stream) hash.update(chunk);
        };
        await within(read(), 'the whole answer', 30000);
        assert.equal(hash.digest('hex'), createHash('sha256').update(body).digest('hex'));
      });
  }

  it('legacy-channels 14.4.6: a slow client holds its service back, not the gateway', async (t) => {
    let sent = 0;
    const { gateway } = await testProxy(t, (request, response) => {
      if (request.path === '/v1/open/2') {
        response.end('quick');
        return;
      }
      const piece = Buffer.alloc(65536);
      const more = () => {
        while (sent < 256 << 20 && !response.destroyed) {
          sent += piece.length;
          if (!response.write(piece)) return;
        }
      };
      response.on('drain', more);
      more();
    });
    const connection = await RawConnection.open(gateway.port, { readsSlowly: true });
    t.after(() => connection.close());
    connection.write('GET /v1/open/1 HTTP/1.1\r\nhost: x\r\n\r\n');
    // It stops: what was sent is the same at two looks, with other requests served between them.
    let last = -1;
    await until(async () => {
      const same = sent > 0 && sent === last;
      last = sent;
      for (let i = 0; i < 20; i++) assert.equal((await gateway.get('/v1/open/2')).text, 'quick');
      return same;
    }, 'the service is held back', 9000);
    assert.ok(sent < 64 << 20, `${sent} bytes are on their way`);
  });
});

/** A service that is no HTTP server: says what it is told on each connection that has asked. */
async function rawService(t, onRequest) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    let asked = '';
    socket.on('data', (chunk) => {
      asked += chunk.toString('latin1');
      if (!asked.includes('\r\n\r\n')) return;
      asked = '';
      onRequest(socket);
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => server.close());
  return server.address().port;
}

describe('failures', () => {
  const failed = (gateway, status) =>
    gateway.metric('rig_proxy_requests_total', { path: '/v1/open/{id}', status });

  it('legacy-channels 84: a service that is down is 502', async (t) => {
    const [port] = await freePorts(1);
    const gateway = await testGateway(t, { env: environment(port) });
    assertMessage(await gateway.get('/v1/open/1'), 502, 'Bad Gateway');
    assertMessage(await gateway.get('/v1/open/1'), 502, 'Bad Gateway');
    assert.equal(await failed(gateway, 'unreachable'), 2);
    // One line for both.
    await gateway.run.printed(/service failed.*reason="?unreachable/);
    assert.equal(gateway.run.stdout.match(/service failed/g).length, 1);
  });

  it('legacy-channels 84: a service that is silent is 504 after five seconds', async (t) => {
    const { gateway } = await testProxy(t, () => {});
    const started = Date.now();
    assertMessage(await gateway.request({ path: '/v1/open/1' }, 8000), 504, 'Gateway Timeout');
    const took = Date.now() - started;
    assert.ok(took >= 4500 && took < 6500, `${took} ms`);
    assert.equal(await failed(gateway, 'request_timeout'), 1);
  });

  it('legacy-channels 84: PROXY_RECV_TIMEOUT says how long is too long', async (t) => {
    const { gateway } = await testProxy(t, () => {}, { PROXY_RECV_TIMEOUT: '300' });
    const started = Date.now();
    assertMessage(await gateway.get('/v1/open/1'), 504, 'Gateway Timeout');
    assert.ok(Date.now() - started >= 250);
  });

  for (const [what, answer] of [
    ['hangs up', ''],
    ['speaks something else', 'hello\r\n\r\n'],
    ['has two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    ['has both framings',
      'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['folds a field', 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n'],
  ]) {
    it(`legacy-channels 84: a service that ${what} is 502`, async (t) => {
      const port = await rawService(t, (socket) => socket.end(answer));
      const gateway = await testGateway(t, { env: environment(port) });
      assertMessage(await gateway.request(
        { method: 'POST', path: '/v1/login', body: 'x' }), 502, 'Bad Gateway');
    });
  }

  it('legacy-channels 14.4.6: an answer that breaks off is not taken for whole', async (t) => {
    const go = deferred();
    const port = await rawService(t, async (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n');
      await go.promise;
      socket.end();
    });
    const gateway = await testGateway(t, { env: environment(port) });
    const connection = await RawConnection.open(gateway.port);
    connection.write('GET /v1/open/1 HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.equal((await connection.head()).status, 200);
    await connection.take('one\r\n');
    go.resolve();
    await connection.closed();
    await assert.rejects(connection.take('0\r\n\r\n'), /closed before/);
  });

  it('legacy-channels 14.4.6: a client that leaves ends the request to the service', async (t) => {
    const asked = deferred();
    const gone = deferred();
    const port = await rawService(t, (socket) => {
      socket.on('close', () => gone.resolve());
      asked.resolve();
    });
    const gateway = await testGateway(t, { env: environment(port) });
    const connection = await RawConnection.open(gateway.port);
    connection.write('GET /v1/open/1 HTTP/1.1\r\nhost: x\r\n\r\n');
    await within(asked.promise, 'the service is asked');
    connection.close();
    await within(gone.promise, 'the service is left', 3000);
  });

  it('legacy-channels 14.4.6: so does one that leaves in the middle of the answer', async (t) => {
    const gone = deferred();
    const { gateway } = await testProxy(t, (_, response) => {
      response.on('close', () => gone.resolve());
      response.write('one');
    });
    const connection = await RawConnection.open(gateway.port);
    connection.write('GET /v1/open/1 HTTP/1.1\r\nhost: x\r\n\r\n');
    await connection.take('one\r\n');
    connection.close();
    await within(gone.promise, 'the service is left', 3000);
  });

  it('shutdown: a request under way is answered before the end', async (t) => {
    const asked = deferred();
    const go = deferred();
    const { gateway } = await testProxy(t, async (request, response) => {
      asked.resolve();
      await go.promise;
      response.end('done');
    });
    const response = gateway.get('/v1/open/1');
    await within(asked.promise, 'the service is asked');
    gateway.run.signal('SIGTERM');
    await until(async () => (await gateway.internal('/health')).status === 503, 'it is ending');
    go.resolve();
    assert.equal((await response).text, 'done');
    const { code } = await gateway.run.exit();
    assert.equal(code, 0);
  });

  it('shutdown: a service that never answers does not keep it from ending', async (t) => {
    const asked = deferred();
    const { gateway } = await testProxy(t, () => asked.resolve(), { PROXY_RECV_TIMEOUT: '60000' });
    const response = gateway.request({ path: '/v1/open/1' }, 15000);
    response.catch(() => {});
    await within(asked.promise, 'the service is asked');
    gateway.run.signal('SIGTERM');
    assert.equal((await gateway.run.exit(10000)).code, 0);
    await assert.rejects(response);
  });
});

describe('keys that come later', () => {
  /** A gateway whose key set is not there before go is resolved. */
  async function start(t) {
    const key = new SigningKey('ES256', { kid: 'one' });
    const go = deferred();
    const provider = await JwksServer.start(t, key);
    const { answer } = provider;
    provider.answer = async (...given) => {
      await go.promise;
      answer(...given);
    };
    const proxy = await testProxy(
      t, echo, { JWT_SECRET_KEY: undefined, JWT_JWKS: provider.address });
    await provider.asked.next('the key set is asked for');
    return { ...proxy, key, go };
  }

  it('legacy-channels 14.3: a token waits for its key, and its request with it', async (t) => {
    const { service, gateway, key, go } = await start(t);
    const put = (token, body) => gateway.request(
      { method: 'PUT', path: '/v1/users/7?x', headers: bearer(token), body });
    const waiting = put(key.token({}), 'all of the body');
    const refused = put(new SigningKey('ES256', { kid: 'one', fresh: true }).token({}), 'no');
    assert.equal((await gateway.get('/v1/open/1')).status, 200);
    assert.deepEqual(service.requests.map(({ method }) => method), ['GET']);
    go.resolve();
    assert.equal((await waiting).status, 200);
    assertNoToken(await refused);
    assertAsked(service, 1, { method: 'PUT', path: '/v1/users/7?x', body: 'all of the body' });
  });

  it('legacy-channels 14.3: who leaves meanwhile is not waited for', async (t) => {
    const { service, gateway, key, go } = await start(t);
    const connection = await RawConnection.open(gateway.port);
    connection.write(`GET /v1/users/7 HTTP/1.1\r\nhost: x\r\nauthorization: ${key.token({})}\r\n\r\n`);
    const open = () => gateway.metric('rgate_http_connections');
    await until(async () => await open() >= 1, 'the request has arrived');
    connection.close();
    await until(async () => await open() === 0, 'it is gone');
    go.resolve();
    await until(async () => (await gateway.get('/v1/users/8', bearer(key.token({})))).status === 200,
      'the key is there');
    assert.ok(!service.requests.some(({ path }) => path === '/v1/users/7'));
  });
});

describe('without routes', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, PROXY_CONFIG_FILE: '[]' } });

  it('api-gateway 4.6: what nobody takes is not found', async () => {
    assertMessage(await suite.gateway.get('/nowhere'), 404, 'Not Found');
    assert.equal((await suite.gateway.get('/')).status, 200);
  });
});

describe('the page at /', () => {
  it('proxy: a route for it comes first', async (t) => {
    const service = await new HttpService(echo).listen();
    t.after(() => service.close());
    const routes = [{ host: 'UP_HOST', port: service.port, path: '/', method: 'GET', auth: false }];
    const gateway = await testGateway(t, { env: { PROXY_CONFIG_FILE: JSON.stringify(routes) } });
    assert.equal((await gateway.get('/')).headers['x-service'], 'echo');
  });

  it('proxy: routes for other paths leave it where it is', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE,
      PROXY_CONFIG_FILE: JSON.stringify(routesTo(1)) } });
    assert.match((await gateway.get('/')).headers['content-type'], /^text\/html/);
  });
});

describe('hosts', () => {
  it('legacy-channels 14.1: the host is in the variable that the route names', async (t) => {
    const { service, gateway } = await testProxy(t, echo, { UP_HOST: '127.0.0.1' });
    assert.equal((await gateway.get('/v1/open/1')).status, 200);
    assert.equal(service.requests.length, 1);
  });

  it('legacy-channels 14.4.1: it may be written with a scheme', async (t) => {
    const { gateway } = await testProxy(t, echo, { UP_HOST: 'http://127.0.0.1' });
    assert.equal((await gateway.get('/v1/open/1')).status, 200);
  });

  it('legacy-channels 84: a name that nobody knows is 502', async (t) => {
    const { gateway } = await testProxy(t, echo, { UP_HOST: 'no-such-host.invalid' });
    assertMessage(await gateway.request({ path: '/v1/open/1' }, 10000), 502, 'Bad Gateway');
  });
});
