// Which fields of a request a service sees.
//
// - Host, Forwarded and the trace are the gateway's; the rest is the client's, end to end only.
// - What a definition adds, and what a token says, replaces what the client has written.
// - About where a request comes from only proxies that are trusted are believed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import nodeTls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { api, assertEcho, shop, suiteApis, testApis } from '../support/echo-backend.mjs';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { RawConnection, exchange } from '../support/http.mjs';
import { token } from '../support/jwt.mjs';
import { within } from '../support/wait.mjs';

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** A request with exactly these lines of fields. */
const raw = (gateway, path, ...lines) => exchange(
  gateway.port, `GET ${path} HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);

/** [name, value] of all fields of a request, as they arrived. */
const linesOf = ({ rawHeaders }) =>
  rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]]] : []));

/** The values of one of them. */
const valuesOf = (request, name) =>
  linesOf(request).filter(([one]) => one === name).map(([, value]) => value);

describe('fields of requests', () => {
  const added = (id, path, more = {}) => [id, 'GET', path, { transform_request_headers: true, ...more }];
  const adding = (id, port, add_headers, endpoints) => {
    const definition = api(id, port, endpoints);
    definition.version_data.default.transform_request_headers = { add_headers };
    return definition;
  };
  const suite = suiteApis((port) => [
    shop(port),
    adding('adding', port, { 'X-Tenant': 'blue', 'x-more': 'a, b' },
      [added('with', '/with'), ['without', 'GET', '/without']]),
    adding('host', port, { Host: 'other.example' }, [added('h', '/host')]),
    api('nothing', port, [added('n', '/nothing-added')]),
  ]);

  /** The backend's view of a request with these lines, which it must answer. */
  async function seen(path, ...lines) {
    assertEcho(await raw(suite.gateway, path, 'Host: shop.example', ...lines));
    return suite.backend.requests.at(-1);
  }

  it('api-gateway 29: the host is the service', async () => {
    assert.deepEqual(valuesOf(await seen('/items'), 'host'), [`127.0.0.1:${suite.backend.port}`]);
  });

  it('api-gateway 30: Forwarded says by which way a request came', async () => {
    const forwarded = ['for=127.0.0.1;by=127.0.0.1'];
    assert.deepEqual(valuesOf(await seen('/items'), 'forwarded'), forwarded);
    assert.deepEqual(
      valuesOf(await seen('/items', 'Forwarded: for=9.9.9.9', 'forwarded: for=8.8.8.8'), 'forwarded'),
      forwarded);
  });

  it('api-gateway 31: X-Forwarded-For and its kin are passed through, and not written', async () => {
    const request = await seen('/items', 'X-Forwarded-For: 1.2.3.4', 'Via: 1.0 fred',
      'X-Request-Id: mine');
    assert.deepEqual(valuesOf(request, 'x-forwarded-for'), ['1.2.3.4']);
    assert.deepEqual(valuesOf(request, 'via'), ['1.0 fred']);
    assert.deepEqual(valuesOf(request, 'x-request-id'), ['mine']);
    assert.deepEqual(linesOf(await seen('/items')).map(([name]) => name)
      .filter((name) => /^x-forwarded|^via$|^x-request-id$/.test(name)), []);
  });

  it('api-gateway 32: what is of the connection ends with it', async () => {
    const request = await seen('/items', 'Connection: keep-alive, x-hop, Forwarded, host, traceparent',
      'X-Hop: 1', 'Keep-Alive: 5', 'TE: trailers', 'Trailer: x', 'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic x', 'Upgrade: websocket', 'HTTP2-Settings: AAMAAABkAAQAAP__',
      'X-Kept: 1');
    assert.deepEqual(linesOf(request).map(([name]) => name)
      .filter((name) => name !== 'connection').sort(), ['forwarded', 'host', 'traceparent', 'x-kept']);
    assert.doesNotMatch(valuesOf(request, 'connection').join(), /x-hop|upgrade|forwarded/i);
  });

  it('api-gateway 33: a trace is continued with a span of its own', async () => {
    const [trace, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
    for (const flags of ['01', '00']) {
      const request = await seen('/items', `traceparent: 00-${trace}-${span}-${flags}`,
        'tracestate: a=1');
      const [one, ...more] = valuesOf(request, 'traceparent');
      const [, traceId, spanId, sampled] = TRACEPARENT.exec(one);
      assert.deepEqual([traceId, sampled, more.length], [trace, flags, 0]);
      assert.notEqual(spanId, span);
      assert.notEqual(spanId, '0'.repeat(16));
      assert.deepEqual(valuesOf(request, 'tracestate'), ['a=1']);
    }
  });

  it('api-gateway 34: without one a trace begins', async () => {
    const traces = new Set();
    for (const line of [[], ['traceparent: 00-0-0-01', 'tracestate: a=1'],
      [`traceparent: 00-${'0'.repeat(32)}-b7ad6b7169203331-01`]]) {
      const request = await seen('/items', ...line);
      const [, traceId, spanId, flags] = TRACEPARENT.exec(valuesOf(request, 'traceparent'));
      assert.notEqual(traceId, '0'.repeat(32));
      assert.notEqual(spanId, '0'.repeat(16));
      assert.equal(flags, '01');
      assert.deepEqual(valuesOf(request, 'tracestate'), []);
      traces.add(traceId);
    }
    assert.equal(traces.size, 3);
  });

  it('api-gateway 35: added fields replace the client\'s where an endpoint asks for it', async () => {
    const red = ['X-Tenant: red', 'X_TENANT: red', 'x-tenant: also red'];
    const request = await seen('/with', ...red);
    assert.deepEqual(valuesOf(request, 'x-tenant'), ['blue']);
    assert.deepEqual(valuesOf(request, 'x_tenant'), []);
    assert.deepEqual(valuesOf(request, 'x-more'), ['a, b']);
    const other = await seen('/without', ...red.slice(0, 1));
    assert.deepEqual(valuesOf(other, 'x-tenant'), ['red']);
    assert.deepEqual(valuesOf(other, 'x-more'), []);
  });

  it('api-gateway 36: the host may be given', async () => {
    assert.deepEqual(valuesOf(await seen('/host'), 'host'), ['other.example']);
  });

  it('api-gateway 37: there may be nothing to add', async () => {
    assert.deepEqual(valuesOf(await seen('/nothing-added', 'x-a: 1'), 'x-a'), ['1']);
  });

  it('api-gateway 8.3: the client\'s own fields arrive as they were sent', async () => {
    const request = await seen('/items', 'Authorization: Basic x', 'Cookie: a=b', 'Accept: a/b;q=0.1',
      'X-Twice: 1', 'X-Twice: 2', 'X-Empty:', 'User-Agent: \xe9');
    assert.deepEqual(valuesOf(request, 'authorization'), ['Basic x']);
    assert.deepEqual(valuesOf(request, 'cookie'), ['a=b']);
    assert.deepEqual(valuesOf(request, 'accept'), ['a/b;q=0.1']);
    assert.equal(valuesOf(request, 'x-twice').join(', '), '1, 2');
    assert.deepEqual(valuesOf(request, 'x-empty'), ['']);
  });

  it('api-gateway 8.3: nothing is invented', async () => {
    const response = await exchange(suite.gateway.port,
      'POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx');
    assertEcho(response, { body: 'x' });
    assert.deepEqual(linesOf(suite.backend.requests.at(-1)).map(([name]) => name)
      .filter((name) => name !== 'connection').sort(),
    ['content-length', 'forwarded', 'host', 'traceparent']);
  });

  it('api-gateway 8.3: who waits to be told to go on is told by the gateway', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write('POST /items HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n'
      + 'Content-Length: 2\r\n\r\n');
    assert.equal((await connection.head()).status, 100);
    assertEcho(await connection.write('{}').response(), { body: '{}' });
    assert.deepEqual(valuesOf(suite.backend.requests.at(-1), 'expect'), []);
  });

  it('api-gateway 8.3: Forwarded has brackets around an address of IPv6', async (t) => {
    const { backend, gateway } = await testApis(t, (port) => [shop(port)], { env: { HOST: '::1' } });
    assertEcho(await gateway.get('/items'));
    assert.deepEqual(valuesOf(backend.requests[0], 'forwarded'), ['for=127.0.0.1;by="[::1]"']);
  });
});

describe('claims as fields', () => {
  const claims = { 'X-User': '/sub', 'x-roles': '/roles', 'x-age': '/age', 'x-deep': '/a/b' };
  const suite = suiteApis((port) => [api('claims', port, [
    ['private', 'GET', '/private', { secured: true }],
    ['open', 'GET', '/open'],
    ['also', 'POST', '/private', { secured: true }],
  ], { auth_type: 'jwt', auth: {
    use_header: true, header_name: 'Authorization', claim_headers: claims } })]);
  const valid = (more) => token({ sub: 'ada', ...more });
  const named = (request) => Object.fromEntries(linesOf(request)
    .filter(([name]) => /^x[-_](user|roles|age|deep)$/i.test(name)));

  async function seen(path, jwt, ...lines) {
    const auth = jwt === undefined ? [] : [`Authorization: Bearer ${jwt}`];
    assertEcho(await raw(suite.gateway, path, 'Host: x', ...auth, ...lines));
    return named(suite.backend.requests.at(-1));
  }

  it('claim_headers: a service sees what the token says', async () => {
    assert.deepEqual(
      await seen('/private', valid({ roles: ['a', 'b'], age: 41, a: { b: true } })),
      { 'x-user': 'ada', 'x-roles': '["a","b"]', 'x-age': '41', 'x-deep': 'true' });
  });

  it('claim_headers: what the token does not say is not there', async () => {
    assert.deepEqual(await seen('/private', valid({ sub: undefined, age: null, roles: 'a\r\nx: y' })), {});
  });

  it('claim_headers: no client can write them', async () => {
    const forged = ['X-User: eve', 'x_user: eve', 'X-Roles: ["admin"]', 'x_age: 1', 'X_Deep: 1',
      'Connection: x-user'];
    assert.deepEqual(await seen('/private', valid(), ...forged), { 'x-user': 'ada' });
    assert.deepEqual(await seen('/private', valid({ sub: undefined }), ...forged), {});
    assert.deepEqual(await seen('/open', undefined, ...forged), {});
    assert.deepEqual(await seen('/open', valid(), ...forged), {});
  });
});

describe('proxies in front', () => {
  const via = (more) => ({ FORWARDED_HEADERS: 'forwarded,x-forwarded,via,x-request-id', ...more });
  const names = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto',
    'x-forwarded-port', 'via'];
  const told = (request) => Object.fromEntries(names.flatMap((name) => {
    const values = valuesOf(request, name);
    return values.length > 0 ? [[name, values.join(', ')]] : [];
  }));
  const LIES = ['Forwarded: for=9.9.9.9;host=evil;proto=https', 'X-Forwarded-For: 9.9.9.9',
    'X-Forwarded-Host: evil', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 1', 'Via: 1.0 fred'];

  describe('all that can be written', () => {
    const suite = suiteApis((port) => [shop(port)], via());

    it('FORWARDED_HEADERS: what a stranger says of its way is replaced', async () => {
      const { port } = suite.gateway;
      const { headers } = await raw(suite.gateway, '/items', `Host: gw.example:${port}`, ...LIES);
      const request = suite.backend.requests.at(-1);
      assert.deepEqual(told(request), {
        forwarded: 'for=127.0.0.1;by=127.0.0.1',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-host': `gw.example:${port}`,
        'x-forwarded-proto': 'http',
        'x-forwarded-port': String(port),
        via: '1.0 fred, 1.1 rgate',
      });
      assert.equal(headers.via, '1.1 rgate');
    });

    it('FORWARDED_HEADERS: a request has an id, its own if it is long enough', async () => {
      const idOf = async (...lines) => {
        assertEcho(await raw(suite.gateway, '/items', 'Host: x', ...lines));
        const ids = valuesOf(suite.backend.requests.at(-1), 'x-request-id');
        assert.equal(ids.length, 1);
        return ids[0];
      };
      const own = 'my-very-own-request-id';
      assert.equal(await idOf(`X-Request-Id: ${own}`), own);
      const [one, two] = [await idOf(), await idOf('X-Request-Id: short')];
      assert.ok(one.length >= 20 && two.length >= 20 && one !== two);
    });
  });

  it('FORWARDED_HEADERS: empty, nothing is written, and what a client says stays', async (t) => {
    const { backend, gateway } = await testApis(t, (port) => [shop(port)],
      { env: { FORWARDED_HEADERS: '' } });
    assertEcho(await raw(gateway, '/items', 'Host: x'));
    assert.deepEqual(told(backend.requests.at(-1)), {});
    assertEcho(await raw(gateway, '/items', 'Host: x', 'X-Forwarded-For: 1.2.3.4'));
    assert.deepEqual(told(backend.requests.at(-1)), { 'x-forwarded-for': '1.2.3.4' });
  });

  describe('trusted ones', () => {
    const suite = suiteApis((port) => [shop(port)], via({ TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' }));
    async function seen(...lines) {
      assertEcho(await raw(suite.gateway, '/items', 'Host: gw.example', ...lines));
      return told(suite.backend.requests.at(-1));
    }

    it('TRUSTED_PROXIES: what they say is continued', async () => {
      const got = await seen('Forwarded: for=192.0.2.7;proto=https;host=shop.example',
        'X-Forwarded-Host: shop.example', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 443');
      assert.equal(got.forwarded, 'for=192.0.2.7;proto=https;host=shop.example, '
        + 'for=127.0.0.1;by=127.0.0.1;host=gw.example;proto=http');
      assert.equal(got['x-forwarded-for'], '192.0.2.7, 127.0.0.1');
      assert.deepEqual([got['x-forwarded-host'], got['x-forwarded-proto'], got['x-forwarded-port']],
        ['shop.example', 'https', '443']);
    });

    it('TRUSTED_PROXIES: X-Forwarded-For is understood as well', async () => {
      const got = await seen('X-Forwarded-For: 192.0.2.7, 10.1.2.3');
      assert.match(got.forwarded, /^for=192\.0\.2\.7, ?for=10\.1\.2\.3, ?for=127\.0\.0\.1;by=/);
      assert.equal(got['x-forwarded-for'], '192.0.2.7, 10.1.2.3, 127.0.0.1');
    });

    it('TRUSTED_PROXIES: a list that is malformed says nothing', async () => {
      const got = await seen('Forwarded: for="192.0.2.7');
      assert.match(got.forwarded, /^for=127\.0\.0\.1;by=/);
    });
  });

  it('TRUSTED_PROXIES: nobody else is believed', async (t) => {
    const { backend, gateway } = await testApis(t, (port) => [shop(port)],
      { env: via({ TRUSTED_PROXIES: '10.0.0.0/8' }) });
    assertEcho(await raw(gateway, '/items', 'Host: gw.example', ...LIES));
    const got = told(backend.requests.at(-1));
    assert.equal(got.forwarded, 'for=127.0.0.1;by=127.0.0.1;host=gw.example;proto=http');
    assert.equal(got['x-forwarded-for'], '127.0.0.1');
    assert.equal(got['x-forwarded-proto'], 'http');
  });
});

describe('the PROXY protocol', () => {
  const tls = suiteCertificate();
  const V2_HEAD = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
  const v1 = (address) => Buffer.from(address.includes(':')
    ? `PROXY TCP6 ${address} ::1 4000 443\r\n` : `PROXY TCP4 ${address} 127.0.0.1 4000 443\r\n`);
  const v2 = (address) => {
    const bytes = Buffer.concat([Buffer.from(address.split('.').map(Number)),
      Buffer.from([127, 0, 0, 1, 0x0f, 0xa0, 1, 0xbb])]);
    return Buffer.concat([V2_HEAD, Buffer.from([0x21, 0x11, 0, bytes.length]), bytes]);
  };
  const LOCAL = Buffer.concat([V2_HEAD, Buffer.from([0x20, 0, 0, 0])]);
  const REQUEST = 'GET /items HTTP/1.1\r\nHost: x\r\n\r\n';

  for (const [kind, over] of [
    ['plain', (gateway) => gateway.port], ['TLS', (gateway) => gateway.httpsPort]]) {
    describe(kind, () => {
      const suite = {};
      const ends = [];
      before(async () => Object.assign(suite, await testApis({ after: (end) => ends.unshift(end) },
        (port) => [shop(port)],
        { env: { PROXY_PROTOCOL: 'true', ...httpsVariables(tls.made) } })));
      after(async () => {
        for (const end of ends) await end();
      });

      /** A connection that begins with these bytes, and is one of TLS behind them. */
      async function open(t, ...first) {
        const socket = net.connect({ host: '127.0.0.1', port: over(suite.gateway), noDelay: true });
        await within(once(socket, 'connect'), 'a connection');
        for (const bytes of first) socket.write(bytes);
        const stream = kind === 'TLS' ? nodeTls.connect({ socket, rejectUnauthorized: false }) : socket;
        const connection = RawConnection.over(stream);
        t.after(() => connection.close());
        return connection;
      }

      /** Of whom a service is told the request is. */
      async function clientOf(t, ...first) {
        const connection = await open(t, ...first);
        assertEcho(await connection.write(REQUEST).response());
        return /^for=([^;]*);/.exec(suite.backend.requests.at(-1).headers.forwarded)[1];
      }

      it('PROXY_PROTOCOL: version 1 says whose a connection is', async (t) => {
        assert.equal(await clientOf(t, v1('192.0.2.7')), '192.0.2.7');
        assert.equal(await clientOf(t, v1('2001:db8::7')), '"[2001:db8::7]"');
        assert.equal(await clientOf(t, Buffer.from('PROXY UNKNOWN\r\n')), '127.0.0.1');
      });

      it('PROXY_PROTOCOL: so does version 2', async (t) => {
        assert.equal(await clientOf(t, v2('192.0.2.8')), '192.0.2.8');
        assert.equal(await clientOf(t, LOCAL), '127.0.0.1');
      });

      it('PROXY_PROTOCOL: a header may come in pieces', async (t) => {
        const bytes = v2('192.0.2.9');
        assert.equal(await clientOf(t, bytes.subarray(0, 5), bytes.subarray(5, 17), bytes.subarray(17)),
          '192.0.2.9');
      });

      it('PROXY_PROTOCOL: it holds for all requests of a connection', async (t) => {
        const connection = await open(t, v1('192.0.2.10'));
        for (let i = 0; i < 2; i++) {
          assertEcho(await connection.write(REQUEST).response());
          assert.match(suite.backend.requests.at(-1).headers.forwarded, /^for=192\.0\.2\.10;/);
        }
      });

      it('PROXY_PROTOCOL: a connection without a header is closed', async (t) => {
        const seen = suite.backend.requests.length;
        const connection = await open(t);
        connection.write(REQUEST);
        await connection.closed();
        const wrong = await open(t, Buffer.from('PROXY TCP4 999.0.2.7 127.0.0.1 1 2\r\n'));
        wrong.write(REQUEST);
        await wrong.closed();
        assert.equal(suite.backend.requests.length, seen);
      });
    });
  }
});
