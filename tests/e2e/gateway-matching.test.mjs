// Which endpoint of which definition a request goes to.
//
// - The whole path must match, without regard to case, and the method exactly.
// - Definitions go by their ids, endpoints by their places; the first counts.
// - What is matched is what is sent on, and nothing that a client writes costs much.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { api, assertEcho, assertNotFound, echoBackend, environment, shop, suiteApis, testApis }
  from '../support/echo-backend.mjs';
import { testGateway } from '../support/gateway.mjs';
import { exchange } from '../support/http.mjs';

/** A request whose path node would not send as it is; its characters are bytes. */
const raw = (gateway, path) => exchange(
  gateway.port, Buffer.from(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`, 'latin1'));

/** POSTs a definition, which must be accepted. */
async function define(gateway, definition) {
  const { status, text } = await gateway.internal('/v3/apis', { method: 'POST',
    headers: { 'content-type': 'application/json' }, body: JSON.stringify(definition) });
  assert.equal(status, 201, text);
}

describe('matching', () => {
  const suite = suiteApis((port) => [
    shop(port),
    api('patterns', port, [
      ['either', 'GET', '/a|/b'],
      ['anchored', 'GET', '^/x$'],
      ['relative', 'GET', 'todos/1'],
      ['space', 'GET', '/c d'],
      ['escape', 'GET', '/a%20b'],
      ['mine', 'GET', '/_rig/mine'],
      ['small', 'get', '/small'],
      ['costly', 'GET', '/costly/(a|aa)+[bc]'],
      ['parts', 'GET', '/parts/([^/]+)'],
      ['slashed', 'GET', '/slashed/([^/]+)', { encoded_slashes: true }],
    ]),
    api('old', port, [['v', 'GET', '/versioned']], { versioned: true }),
    api('off', port, [['o', 'GET', '/inactive']], { active: false }),
  ]);
  const get = (path, headers) => suite.gateway.get(path, headers);

  /** None of these reaches the backend. */
  async function assertNobodyTakes(...requests) {
    const seen = suite.backend.requests.length;
    for (const request of requests) {
      assertNotFound(typeof request === 'string' ? await raw(suite.gateway, request)
        : await suite.gateway.request(request));
    }
    assert.equal(suite.backend.requests.length, seen);
  }

  it('api-gateway 1: a request reaches the backend', async () => {
    assertEcho(await get('/items'), { method: 'GET', path: '/items', query: '', body: '' });
    assert.equal(suite.backend.requests.at(-1).path, '/items');
  });

  it('api-gateway 2: a path that nobody has is not found', () => assertNobodyTakes('/nothing'));

  it('api-gateway 3: case does not matter, and is kept', async () => {
    assertEcho(await get('/ITEMS'), { path: '/ITEMS' });
  });

  it('api-gateway 4: another method is not found', () => assertNobodyTakes(
    { method: 'POST', path: '/items/5' }, { method: 'PATCH', path: '/items' },
    { method: 'OPTIONS', path: '/items/5' }));

  it('api-gateway 5: a segment may be anything', async () => {
    assertEcho(await get('/items/5'), { path: '/items/5' });
    assertEcho(await raw(suite.gateway, '/items/%C3%A4;x=1'), { path: '/items/%C3%A4;x=1' });
  });

  it('api-gateway 6: a longer path is not found', () =>
    assertNobodyTakes('/items/5/extra', '/items/', '/items/5/'));

  it('api-gateway 7: so is a path with something in front', () =>
    assertNobodyTakes('/evil/items', '/evil//items', '/x/items/5'));

  it('api-gateway 8: alternatives are for the whole path', async () => {
    await assertNobodyTakes('/a/zzz', '/zzz/b', '/a/b', '/ab');
    assertEcho(await get('/b'), { path: '/b' });
    assertEcho(await get('/a'), { path: '/a' });
  });

  it('api-gateway 9: a pattern may be anchored', async () => {
    assertEcho(await get('/x'), { path: '/x' });
    await assertNobodyTakes('/y/x', '/x/y', '/x$');
  });

  it('api-gateway 10: a pattern may lack its slash', async () => {
    assertEcho(await get('/todos/1'), { path: '/todos/1' });
    await assertNobodyTakes('/z/todos/1', '/todos/12');
  });

  it('api-gateway 11: definitions go by their ids', async (t) => {
    const a = await echoBackend(t);
    const b = await echoBackend(t);
    const gateway = await testGateway(t, { env: environment([
      api('bbb', b.port, [['dup', 'GET', '/dup'], ['only', 'GET', '/only']]),
      api('aaa', a.port, [['dup', 'GET', '/dup']]),
    ]) });
    assertEcho(await gateway.get('/dup'));
    assert.deepEqual([a.requests.length, b.requests.length], [1, 0]);
    assertEcho(await gateway.get('/only'));
    assert.deepEqual([a.requests.length, b.requests.length], [1, 1]);
    await define(gateway, api('AAA', b.port, [['dup', 'GET', '/dup']]));
    assertEcho(await gateway.get('/dup'));
    assert.deepEqual([a.requests.length, b.requests.length], [1, 2], 'bytes, not letters');
  });

  it('api-gateway 12: of endpoints that match the first counts, and it is told', async (t) => {
    const { gateway } = await testApis(t, (port) => [api('two', port, [
      ['first', 'GET', '/twice', { path_replacement: '/first' }],
      ['second', 'GET', '/tw.ce', { path_replacement: '/second' }],
    ])]);
    assertEcho(await gateway.get('/twice'), { path: '/first' });
    assertEcho(await gateway.get('/twoce'), { path: '/second' });
    await gateway.run.printed(/several endpoints match.*endpoint=first/);
  });

  it('api-gateway 13: a definition with versions takes part in nothing', () =>
    assertNobodyTakes('/versioned'));

  it('api-gateway 4.1: neither does one that is not active', () => assertNobodyTakes('/inactive'));

  it('api-gateway 14: what is deleted is not found until it is there again', async (t) => {
    const { backend, gateway } = await testApis(t, (port) => [shop(port)]);
    assertEcho(await gateway.get('/items'));
    const { status } = await gateway.internal('/v3/apis/shop', { method: 'DELETE' });
    assert.equal(status, 204);
    assertNotFound(await gateway.get('/items'));
    await define(gateway, shop(backend.port));
    assertEcho(await gateway.get('/items'));
  });

  it('api-gateway 15: a method may be in small letters', async (t) => {
    assertEcho(await get('/small'), { method: 'GET' });
    const { backend, gateway } = await testApis(t, () => []);
    await define(gateway, api('posted', backend.port, [['small', 'get', '/small']]));
    assertEcho(await gateway.get('/small'), { method: 'GET' });
  });

  it('api-gateway 16: escapes are matched as they are written', async () => {
    assertEcho(await raw(suite.gateway, '/a%20b'), { path: '/a%20b' });
    await assertNobodyTakes('/c%20d');
  });

  it('api-gateway 17: a path below /_rig that nobody has', () => assertNobodyTakes('/_rig/unknown',
    { method: 'POST', path: '/_rig/health' }));

  it('api-gateway 18: one that an endpoint has', async () => {
    assertEcho(await get('/_rig/mine'), { path: '/_rig/mine' });
  });

  it('api-gateway 4.2: a parameter _method is a parameter', async () => {
    const form = { method: 'POST', path: '/items?_method=PUT', body: '_method=DELETE',
      headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    assertEcho(await suite.gateway.request(form),
      { method: 'POST', query: '_method=PUT', body: '_method=DELETE' });
  });

  for (const path of ['/items/%', '/items/%2', '/items/%zz', '/items/%00',
    '/items/\\', '/items/\xff', '/items/\xc3', '/items/\xc3\x28', '/items/\xc0\xaf']) {
    it(`api-gateway 4.3: the path ${encodeURI(path)} is no path`, async () => {
      const seen = suite.backend.requests.length;
      const { status, text } = await raw(suite.gateway, path);
      assert.equal(status, 400, text);
      assert.equal(suite.backend.requests.length, seen);
    });
  }

  it('api-gateway 4.4: a pattern that costs too much does not match', async () => {
    const started = Date.now();
    await assertNobodyTakes(`/costly/${'a'.repeat(2000)}`);
    assert.ok(Date.now() - started < 2000);
    await suite.gateway.run.printed(/the pattern costs too much.*endpoint=costly/);
    assertEcho(await get('/items'));
  });

  it('api-gateway 8.1: a slash that is escaped could be read as another path', async () => {
    const seen = suite.backend.requests.length;
    for (const path of ['/parts/a%2fb', '/parts/a%5cb', '/parts/a%00b']) {
      assert.equal((await raw(suite.gateway, path)).status, 400, path);
    }
    assert.equal(suite.backend.requests.length, seen);
  });

  it('encoded_slashes: an endpoint can take it', async () => {
    assertEcho(await raw(suite.gateway, '/slashed/a%2Fb%2fc'), { path: '/slashed/a%2Fb%2fc' });
    assertEcho(await raw(suite.gateway, '/slashed/a%5Cb'), { path: '/slashed/a%5Cb' });
    const seen = suite.backend.requests.length;
    for (const path of ['/slashed/a%00b', '/slashed/..%2fb']) {
      assert.equal((await raw(suite.gateway, path)).status, 400, path);
    }
    await assertNobodyTakes('/slashed/a/b');
    assert.equal(suite.backend.requests.length, seen);
  });
});
