// A line for each request to a service when it is over.
//
// - It says who asked for what, what became of it, and how long what took; in JSON or as text.
// - Tokens are not in it, and no client can write lines of its own.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { api, assertEcho, safe, shop, testApis } from '../support/echo-backend.mjs';
import { bearer, token } from '../support/jwt.mjs';
import { RawConnection, exchange } from '../support/http.mjs';
import { freePorts } from '../support/ports.mjs';
import { until } from '../support/wait.mjs';

const both = (port) => [shop(port), safe(port)];

/** The lines so far that are for this path. */
const linesOf = (gateway, path) => gateway.run.stdout.split('\n')
  .filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  .filter((line) => line.type === 'access' && line.path === path);

/** The one line for a path. */
async function lineOf(gateway, path) {
  const [line, ...more] = await until(() => {
    const lines = linesOf(gateway, path);
    return lines.length > 0 && lines;
  }, `a line for ${path}`);
  assert.equal(more.length, 0);
  return line;
}

describe('the access log', () => {
  it('ACCESS_LOG: in JSON a line has all that is known', async (t) => {
    const { backend, gateway } = await testApis(t, both, { env: { ACCESS_LOG: 'json' } });
    const response = await gateway.request({ method: 'PUT', path: '/items/5?token=secret', body: '12345',
      headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'x-request-id': 'my-very-own-request-id' } });
    assertEcho(response);
    const line = await lineOf(gateway, '/items/5');
    const { time, queue_ms, connect_ms, first_byte_ms, total_ms, ...rest } = line;
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 10000);
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    for (const ms of [queue_ms, connect_ms, first_byte_ms, total_ms]) {
      assert.ok(Number.isFinite(ms) && ms >= 0 && ms < 5000, JSON.stringify(line));
    }
    assert.ok(total_ms + 0.01 >= queue_ms + connect_ms + first_byte_ms, JSON.stringify(line));
    assert.deepEqual(rest, {
      type: 'access', client: '127.0.0.1', method: 'PUT', path: '/items/5', version: 'HTTP/1.1',
      api: 'shop', endpoint: 'put', status: 200, outcome: 'ok', bytes_in: 5,
      bytes_out: Buffer.byteLength(response.text), upstream: `127.0.0.1:${backend.port}`,
      reused: false, tries: 1, request_id: 'my-very-own-request-id',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
    });
    assert.doesNotMatch(gateway.run.output, /secret/);
  });

  it('ACCESS_LOG: it tells whether a connection was there already', async (t) => {
    const { gateway } = await testApis(t, both, { env: { ACCESS_LOG: 'json' } });
    // Connections are kept by each reactor, so both have to come by the same one.
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    for (const [path, reused] of [['/items/1', false], ['/items/2', true]]) {
      assertEcho(await connection.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response());
      assert.equal((await lineOf(gateway, path)).reused, reused);
    }
  });

  it('ACCESS_LOG: it tells the session, and of requests that are refused', async (t) => {
    const { gateway } = await testApis(t, both, { env: { ACCESS_LOG: 'json' } });
    const jwt = token({ jti: 's1' });
    assertEcho(await gateway.get('/private', bearer(jwt)));
    const told = await lineOf(gateway, '/private');
    assert.deepEqual([told.session, told.api, told.endpoint], ['s1', 'safe', 'private']);
    assert.equal((await gateway.get('/PRIVATE')).status, 401);
    const refused = await lineOf(gateway, '/PRIVATE');
    assert.deepEqual([refused.status, refused.outcome, refused.upstream], [401, 'unauthorized', undefined]);
    assert.equal((await gateway.get('/nowhere')).status, 404);
    const lost = await lineOf(gateway, '/nowhere');
    assert.deepEqual([lost.status, lost.outcome, lost.api], [404, 'not_found', undefined]);
    assert.ok(!gateway.run.output.includes(jwt));
  });

  it('ACCESS_LOG: it tells of services that fail, whatever ACCESS_LOG_SAMPLE', async (t) => {
    const [dead] = await freePorts(1);
    const { gateway } = await testApis(t,
      (port) => [shop(port), api('dead', dead, [['d', 'GET', '/dead']])],
      { env: { ACCESS_LOG: 'json', ACCESS_LOG_SAMPLE: '0' } });
    assertEcho(await gateway.get('/items'));
    assert.equal((await gateway.get('/dead')).status, 502);
    const { status, outcome } = await lineOf(gateway, '/dead');
    assert.deepEqual([status, outcome], [502, 'unreachable']);
    assert.equal(linesOf(gateway, '/items').length, 0);
  });

  it('ACCESS_LOG: as text a line has the same', async (t) => {
    const { backend, gateway } = await testApis(t, both, { env: { ACCESS_LOG: 'text' } });
    assertEcho(await gateway.get('/items/5?a=b'));
    const [line] = await gateway.run.printed(/^.*\[info\] access .*$/m);
    assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z \[info\] access client=127\.0\.0\.1 method=GET /);
    for (const pair of ['path=/items/5', 'version=HTTP/1.1', 'api=shop', 'endpoint=get', 'status=200', 'outcome=ok',
      'bytes_in=0', `upstream=127.0.0.1:${backend.port}`, 'tries=1']) {
      assert.ok(` ${line} `.includes(` ${pair} `), `${pair}: ${line}`);
    }
    for (const name of ['queue_ms', 'connect_ms', 'first_byte_ms', 'total_ms']) {
      assert.match(line, new RegExp(` ${name}=\\d+\\.\\d+( |$)`));
    }
  });

  it('ACCESS_LOG: of a trusted proxy its client is told', async (t) => {
    const { gateway } = await testApis(t, both,
      { env: { ACCESS_LOG: 'json', TRUSTED_PROXIES: '127.0.0.1' } });
    assertEcho(await gateway.get('/items', { forwarded: 'for="[2001:db8::7]:4711"' }));
    assert.equal((await lineOf(gateway, '/items')).client, '2001:db8::7');
  });

  it('ACCESS_LOG: unset, there is no line', async (t) => {
    const { gateway } = await testApis(t, both);
    assertEcho(await gateway.get('/items'));
    await exchange(gateway.port, 'GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n');
    await gateway.stop();
    assert.doesNotMatch(gateway.run.output, /access/);
  });
});
