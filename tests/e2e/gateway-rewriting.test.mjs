// What of path and query a service sees, and which service that is.
//
// - A replacement is the path, with what the pattern has found; the query follows byte by byte.
// - No request decides about the host that it is sent to.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { api, assertEcho, echoBackend, safe, shop, suiteApis, testApis }
  from '../support/echo-backend.mjs';
import { exchange } from '../support/http.mjs';

/** A request whose target arrives as it is written. */
const raw = (gateway, target, more = '') =>
  exchange(gateway.port, `GET ${target} HTTP/1.1\r\nhost: x\r\n${more}\r\n`);

describe('rewriting', () => {
  const replaced = (id, pattern, path_replacement) => [id, 'GET', pattern, { path_replacement }];
  const suite = suiteApis((port) => [
    shop(port),
    safe(port),
    api('zz', port, [
      replaced('missing', '/k/([^/]+)/([^/]+)', '/k/\\3'),
      replaced('none', '/same/([^/]+)', ''),
      replaced('all', '/all/([^/]+)', '/x\\0'),
      replaced('braces', '/braces/([^/]+)', '/b/\\g{1}2'),
      replaced('two-digits', '/digits/([^/]+)', '/d/\\12'),
      replaced('backslash', '/backslash/([^/]+)', '/s/\\\\1'),
      replaced('query', '/query/([^/]+)', '/q?id=\\1'),
      replaced('relative', '/relative/([^/]+)', 'r/\\1'),
      replaced('fragment', '/fragment/([^/]+)', '/f/\\1#x?y'),
      replaced('optional', '/optional(/[^/]+)?', '/o\\1'),
      ['broad', 'GET', '.*'],
    ]),
  ]);

  /** The request target, as it arrived, of a request for this one. */
  async function targetOf(target) {
    const seen = suite.backend.requests.length;
    const response = await raw(suite.gateway, target);
    assert.equal(response.status, 200, response.text);
    assert.equal(suite.backend.requests.length, seen + 1);
    return suite.backend.requests[seen].path;
  }

  for (const [number, what, target, wanted] of [
    ['19', 'groups take their places', '/old/7/part/9', '/new/9/7'],
    ['20', 'a group that is not there is empty', '/k/a/b', '/k/'],
    ['21', 'an empty replacement changes nothing', '/same/a', '/same/a'],
    ['22', 'the query goes on byte by byte', '/items?b=2&a=1&a=3&c=x%20y&d',
      '/items?b=2&a=1&a=3&c=x%20y&d'],
    ['23', 'parameters with brackets are parameters', '/items?page[offset]=0&page[limit]=10',
      '/items?page[offset]=0&page[limit]=10'],
    ['24', 'without a query there is no question mark', '/items', '/items'],
    ['8.2', 'also where that is all there is', '/items?', '/items'],
    ['8.2', 'whatever is in it', '/items?a=%zz&%&a+b=?/&&=', '/items?a=%zz&%&a+b=?/&&='],
    ['8.2', 'behind a replacement, too', '/old/7/part/9?x=1&x=2', '/new/9/7?x=1&x=2'],
    ['4.5', 'the whole match has number 0', '/all/1', '/x/all/1'],
    ['4.5', 'braces end a number', '/braces/1', '/b/12'],
    ['4.5', 'all digits are of the number', '/digits/1', '/d/'],
    ['4.5', 'a group that took no part is empty', '/optional', '/o'],
    ['4.5', 'one that took part is not', '/optional/1', '/o/1'],
    ['4.5', 'a replacement may begin the query', '/query/1', '/q?id=1'],
    ['4.5', 'which the client goes on with', '/query/1?a=b', '/q?id=1&a=b'],
    ['4.5', 'a replacement without a slash gets one', '/relative/1', '/r/1'],
    ['4.5', 'of a fragment nothing is sent', '/fragment/1', '/f/1'],
  ]) {
    it(`api-gateway ${number}: ${what}`, async () => assert.equal(await targetOf(target), wanted));
  }

  it('api-gateway 25: a path of two slashes names no host', async (t) => {
    const other = await echoBackend(t);
    const seen = await targetOf(`//127.0.0.1:${other.port}/x`);
    assert.equal(seen, `/127.0.0.1:${other.port}/x`);
    assert.equal(await targetOf(`///127.0.0.1:${other.port}/x`), seen);
    assert.equal(other.requests.length, 0);
  });

  it('api-gateway 25: neither does a whole URL', async (t) => {
    const other = await echoBackend(t);
    const at = `127.0.0.1:${other.port}`;
    const response = await exchange(suite.gateway.port,
      `GET http://${at}/x HTTP/1.1\r\nhost: ${at}\r\n\r\n`);
    const { headers } = assertEcho(response, { path: '/x' });
    assert.equal(headers.host, `127.0.0.1:${suite.backend.port}`);
    assert.equal(other.requests.length, 0);
  });

  for (const target of ['/x/../items', '/x/%2e%2e/items', '/x/.%2E/items', '/./items', '/%2e/items',
    '/../items']) {
    it(`api-gateway 26: ${target} is /items`, async () =>
      assert.equal(await targetOf(target), '/items'));
  }

  for (const target of ['/open/../private', '/open/%2e%2e/private', '/open/.%2e/private', '//private',
    '/./private', '/PRIVATE']) {
    it(`api-gateway 26: ${target} needs a token`, async () => {
      const seen = suite.backend.requests.length;
      const { status, text } = await raw(suite.gateway, target);
      assert.deepEqual([status, text], [401, 'Authentication failed.']);
      assert.equal(suite.backend.requests.length, seen);
    });
  }
});

describe('where services are', () => {
  const at = (proxy) => api('at', 0, [['x', 'GET', '/x']], { proxy });
  const hostOf = async (gateway) => assertEcho(await gateway.get('/x')).headers.host;

  it('api-gateway 27: a variable has the host', async (t) => {
    const { backend, gateway } = await testApis(t,
      (port) => [at({ use_env: true, target_url: 'SHOP', port })], { env: { SHOP: '127.0.0.1' } });
    assert.equal(await hostOf(gateway), `127.0.0.1:${backend.port}`);
  });

  for (const [number, what, env] of [['27', 'unset', {}], ['8.1', 'empty', { SHOP: '' }]]) {
    it(`api-gateway ${number}: where it is ${what} that is localhost`, async (t) => {
      const { backend, gateway } = await testApis(t,
        (port) => [at({ use_env: true, target_url: 'SHOP', port })], { env });
      assert.equal(await hostOf(gateway), `localhost:${backend.port}`);
    });
  }

  it('api-gateway 28: of a URL only scheme and host count', async (t) => {
    const { backend, gateway } = await testApis(t,
      (port) => [at({ target_url: 'http://127.0.0.1:1/base', port })]);
    assertEcho(await gateway.get('/x?a'), { path: '/x', query: 'a' });
    assert.equal(await hostOf(gateway), `127.0.0.1:${backend.port}`);
  });

  for (const target_url of ['127.0.0.1', '127.0.0.1:1', 'http://user:secret@127.0.0.1:1/base?x']) {
    it(`api-gateway 8.1: ${target_url} is a host, too`, async (t) => {
      const { backend, gateway } = await testApis(t, (port) => [at({ target_url, port })]);
      const { headers } = assertEcho(await gateway.get('/x'), { path: '/x', query: '' });
      assert.equal(headers.host, `127.0.0.1:${backend.port}`);
      assert.equal(headers.authorization, undefined);
    });
  }
});
