// Who may use an endpoint, and how often.
//
// - A token may be in a field or in the query, as the definition says; one that is valid is enough.
// - What is banned or expired opens nothing; what needs no token is open to everybody.
// - A rate is kept for each address or session, and clients are told how far they are.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SET_A, api, assertEcho, corsOf, environment, safe, suiteApis, testApis }
  from '../support/echo-backend.mjs';
import { ban } from '../support/channels.mjs';
import { testGateway } from '../support/gateway.mjs';
import { exchange } from '../support/http.mjs';
import { bearer, now, token } from '../support/jwt.mjs';

const PATH = '/private';

function assertRefused({ status, headers, text }) {
  assert.deepEqual([status, text], [401, 'Authentication failed.']);
  assert.deepEqual(corsOf(headers), SET_A);
}

describe('tokens', () => {
  const suite = suiteApis((port) => [safe(port)]);
  const get = (path, headers) => suite.gateway.get(path, headers);
  const valid = token({ sub: 'ada' });

  /** It is refused, and the backend does not learn of it. */
  async function refused(path, headers) {
    const seen = suite.backend.requests.length;
    assertRefused(await get(path, headers));
    assert.equal(suite.backend.requests.length, seen);
  }

  it('api-gateway 52: without a token a secured endpoint is closed', async () => {
    await refused(PATH);
    await refused(PATH, { authorization: 'Bearer' });
    await refused(PATH, { authorization: '' });
    await refused(PATH, { 'x-token': valid });
    await refused(PATH, { cookie: `token=${valid}` });
  });

  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
    it(`api-gateway 53: a valid token opens it, as "${scheme}"`, async () => {
      const authorization = `${scheme} ${valid}`;
      const { headers } = assertEcho(await get(PATH, { authorization }));
      assert.equal(headers.authorization, authorization);
    });
  }

  it('api-gateway 53: a token alone is none', () => refused(PATH, { authorization: valid }));

  for (const [what, jwt] of [
    ['an expired token', () => token({ exp: now() - 1 })],
    ['a token without exp', () => token({ exp: undefined })],
    ['one whose exp is a text', () => token({ exp: 'never' })],
    ['one of HS512', () => token({}, { alg: 'HS512' })],
    ['one of none', () => token({}, { alg: 'none' })],
    ['one with another key', () => token({}, { key: 'another secret of thirty-two bytes!' })],
    ['one with the empty key', () => token({}, { key: '' })],
    ['one that is altered', () => token().replace(/\.[^.]*\./, '.e30.')],
  ]) {
    it(`api-gateway 54: ${what} does not`, async () => {
      await refused(PATH, bearer(jwt()));
      await refused(`${PATH}?token=${jwt()}`);
    });
  }

  it('api-gateway 55: one of several credentials is enough', async () => {
    const expired = token({ exp: now() - 1 });
    assertEcho(await get(PATH, { authorization: `Basic abc, Bearer ${valid}` }));
    assertEcho(await get(PATH, { authorization: `Bearer ${expired}, Bearer ${valid}` }));
    const lines = await exchange(suite.gateway.port, `GET ${PATH} HTTP/1.1\r\nHost: x\r\n`
      + `Authorization: Bearer ${expired}\r\nAuthorization: Bearer ${valid}\r\n\r\n`);
    assertEcho(lines);
    await refused(PATH, { authorization: `Basic ${valid}, Bearer ${expired}` });
  });

  it('api-gateway 56: a token may be in the query', async () => {
    assertEcho(await get(`${PATH}?a=b&token=${valid}`), { query: `a=b&token=${valid}` });
    assertEcho(await get(`${PATH}?token=bad,${valid}`));
    assertEcho(await get(`${PATH}?token=${valid.replaceAll('.', '%2E')}`));
    await refused(`${PATH}?token=bad`);
    await refused(`${PATH}?Token=${valid}`);
    await refused(`${PATH}?xtoken=${valid}`);
  });

  it('api-gateway 57: a banned token opens nothing', async () => {
    const banned = token({ jti: 'banned' });
    assertEcho(await get(PATH, bearer(banned)));
    await ban(suite.gateway, 'banned');
    await refused(PATH, bearer(banned));
    await refused(`${PATH}?token=${banned}`);
    assertEcho(await get('/open', bearer(banned)));
    assertEcho(await get(PATH, bearer(valid)));
  });

  it('api-gateway 6.1: the value at JWT_SESSION_FIELD may be banned as well as jti', async (t) => {
    const { gateway } = await testApis(t, (port) => [safe(port)],
      { env: { JWT_SESSION_FIELD: '/session' } });
    const jwt = token({ session: 's1', jti: 'j1' });
    const other = token({ session: 's2', jti: 'j2' });
    for (const id of ['s1', 'j2']) await ban(gateway, id);
    assertRefused(await gateway.get(PATH, bearer(jwt)));
    assertRefused(await gateway.get(PATH, bearer(other)));
    assertEcho(await gateway.get(PATH, bearer(token({ session: 's3', jti: 's1x' }))));
  });

  it('api-gateway 58: any field may have the token', async (t) => {
    const { backend, gateway } = await testApis(t, (port) => [safe(port)]);
    const put = async (header_name) => {
      const definition = safe(backend.port);
      definition.auth.header_name = header_name;
      const { status, text } = await gateway.internal('/v3/apis/safe', { method: 'PUT',
        headers: { 'content-type': 'application/json' }, body: JSON.stringify(definition) });
      assert.equal(status, 200, text);
    };
    await put('x-token');
    const { headers } = assertEcho(await gateway.get(PATH, { 'x-token': valid }));
    assert.equal(headers['x-token'], valid);
    assertRefused(await gateway.get(PATH, bearer(valid)));
    await put('Token');
    assertEcho(await gateway.get(PATH, { token: valid }));
    assertEcho(await gateway.get(PATH, { token: `Bearer ${valid}` }));
    assertRefused(await gateway.get(PATH, { token: 'bad' }));
  });

  it('api-gateway 59: what needs no token is open', async () => {
    assertEcho(await get('/open'));
    assertEcho(await get('/open', bearer('bad')));
  });

  it('api-gateway 6: without a key no token is valid', async (t) => {
    const { gateway } = await testApis(t, (port) => [safe(port)], { env: { JWT_SECRET_KEY: undefined } });
    for (const key of ['', 'undefined']) {
      assertRefused(await gateway.get(PATH, bearer(token({}, { key }))));
    }
    assertEcho(await gateway.get('/open'));
  });

  it('api-gateway 9: an answer of the gateway says which request it is of', async () => {
    const { headers } = await get(PATH, { 'x-request-id': 'my-very-own-request-id',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' });
    assert.equal(headers['x-request-id'], 'my-very-own-request-id');
    assert.match(headers.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    assert.equal(headers['cache-control'], 'max-age=0, private, must-revalidate');
    assert.ok(Math.abs(Date.parse(headers.date) - Date.now()) < 10000);
    assert.equal(headers.server, undefined);
  });
});

describe('rates', () => {
  const RATE = { requests: 2, seconds: 3600 };
  const limited = (by, more = {}) => (port) => [api('limited', port, [
    ['l', 'GET', '/limited', { rate_limit: { ...RATE, ...by }, ...more }],
    ['f', 'GET', '/free'],
  ], { auth_type: 'jwt', auth: { use_header: true, header_name: 'Authorization' } })];

  function assertTooMany(response) {
    assert.equal(response.status, 429, response.text);
    assert.equal(response.text, 'Too many requests.');
    // Two in an hour: the next is there in half an hour, and all are in an hour.
    const number = (name) => Number(response.headers[name]);
    assert.ok(number('retry-after') > 1700 && number('retry-after') <= 1800);
    assert.ok(number('ratelimit-reset') > 3500 && number('ratelimit-reset') <= 3600);
    assert.deepEqual([number('ratelimit-limit'), number('ratelimit-remaining')], [2, 0]);
  }

  it('rate_limit: an address that asks too often is refused, and told so', async (t) => {
    const { backend, gateway } = await testApis(t, limited({}));
    for (const remaining of ['1', '0']) {
      const response = await gateway.get('/limited');
      assertEcho(response);
      assert.deepEqual([response.headers['ratelimit-limit'], response.headers['ratelimit-remaining']],
        ['2', remaining]);
      assert.ok(Number(response.headers['ratelimit-reset']) > 0);
      assert.equal(response.headers['retry-after'], undefined);
    }
    assertTooMany(await gateway.get('/limited'));
    assert.equal(backend.requests.length, 2);
    // Others are not concerned: other endpoints, other addresses.
    const free = await gateway.get('/free');
    assertEcho(free);
    assert.equal(free.headers['ratelimit-limit'], undefined);
    assertEcho(await gateway.request({ path: '/limited', localAddress: '127.0.0.2' }));
    assert.equal(await gateway.metric('rgate_proxy_quota_refusals_total'), 1);
  });

  it('rate_limit: it is counted before tokens are looked at', async (t) => {
    const { gateway } = await testApis(t, limited({}, { secured: true }));
    for (let i = 0; i < 2; i++) assertRefused(await gateway.get('/limited'));
    assert.equal((await gateway.get('/limited', bearer(token()))).status, 429);
  });

  it('rate_limit: a proxy that is trusted speaks for its clients', async (t) => {
    const { gateway } = await testApis(t, limited({}), { env: { TRUSTED_PROXIES: '127.0.0.1' } });
    const of = (address) => gateway.get('/limited', { 'x-forwarded-for': address });
    for (let i = 0; i < 2; i++) assertEcho(await of('192.0.2.1'));
    assertTooMany(await of('192.0.2.1'));
    assertTooMany(await of('203.0.113.9, 192.0.2.1'));
    assertEcho(await of('192.0.2.2'));
    // One client of IPv6 has a whole network.
    for (let i = 0; i < 2; i++) assertEcho(await of(`2001:db8::${i}`));
    assertTooMany(await of('2001:db8::ffff'));
    assertEcho(await of('2001:db8:0:1::1'));
  });

  it('rate_limit: nobody else does', async (t) => {
    const { gateway } = await testApis(t, limited({}));
    const of = (address) => gateway.get('/limited',
      { 'x-forwarded-for': address, forwarded: `for=${address}` });
    for (let i = 0; i < 2; i++) assertEcho(await of(`192.0.2.${i}`));
    assertTooMany(await of('192.0.2.9'));
  });

  it('rate_limit: it may be for each session', async (t) => {
    const { gateway } = await testApis(t, limited({ by: 'session' }, { secured: true }));
    const of = (jti, n) => gateway.get('/limited', bearer(token({ jti, n })));
    for (let i = 0; i < 2; i++) assertEcho(await of('one', i));
    assertTooMany(await of('one', 2));
    assertEcho(await of('two', 0));
    assertRefused(await gateway.get('/limited', bearer('bad')));
  });

  it('rate_limit: what is gone comes back with time', async (t) => {
    const { gateway } = await testApis(t,
      limited({ requests: 20, seconds: 1, burst: 1 }));
    assertEcho(await gateway.get('/limited'));
    const { status, headers } = await gateway.get('/limited');
    if (status !== 200) assert.deepEqual([status, headers['retry-after']], [429, '1']);
    await new Promise((later) => setTimeout(later, 60));
    assertEcho(await gateway.get('/limited'));
  });
});

describe('whose pages may read a refusal', () => {
  const refusedOrigin = async (t, env) => {
    const gateway = await testGateway(t, { env: environment([safe(1)], env) });
    const { status, headers } = await gateway.get(PATH);
    assert.equal(status, 401);
    return headers['access-control-allow-origin'];
  };

  it('configuration 20: ORIGIN is what a refused request is told', async (t) => {
    assert.equal(await refusedOrigin(t, { ORIGIN: 'https://a.example' }), 'https://a.example');
    assert.equal(await refusedOrigin(t, { ORIGIN: 'https://a.example', CORS: '*' }), '*');
  });
});
