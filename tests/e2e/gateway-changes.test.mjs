// Definitions change thousands of times while requests go on.
//
// - No request fails, neither to an API that stays nor to one that is replaced by its equal all the time.
// - Each change is in force when it is answered, none is lost, and wrong ones change nothing.
// - Memory does not grow with the number of changes.
// - A request that is under way ends with the definition that it began with.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Apis } from '../support/apis.mjs';
import { api, echoBackend, environment } from '../support/echo-backend.mjs';
import { Gateway, testGateway } from '../support/gateway.mjs';
import { RawConnection } from '../support/http.mjs';
import { KeepAlive } from '../support/keepalive.mjs';
import { resident } from '../support/memory.mjs';
import { MIB } from '../support/bulk.mjs';
import { deferred, until, within } from '../support/wait.mjs';

const CHANGES = 10_000;
const SETTLING = 2000;
const CLIENTS = 16;
const CHANGERS = 6;
const MS = 120_000;

describe('changes under load', () => {
  let service;
  let gateway;
  let changer;
  const steady = () => api('steady', service.address().port, [['get', 'GET', '/steady/[0-9]+']]);
  const swapped = () => api('swapped', service.address().port, [['get', 'GET', '/swapped/([0-9]+)']]);

  before(async () => {
    service = http.createServer((req, res) => res.end(req.url));
    service.keepAliveTimeout = 0;
    await new Promise((resolve) => { service.listen(0, '127.0.0.1', resolve); });
    gateway = await Gateway.start({ env: environment([steady(), swapped()]) });
    changer = new KeepAlive(gateway.internalPort, CHANGERS);
  });
  after(async () => {
    changer?.close();
    await gateway?.stop();
    service?.closeAllConnections();
    service?.close();
  });

  const shown = async (id) => JSON.parse((await changer.ask('GET', `/v3/apis/${id}`)).text);
  const change = async (counts, method, path, body, status) => {
    const answer = await changer.ask(method, path, body);
    assert.equal(answer.status, status, answer.text);
    counts.made++;
  };

  /** Requests without end, until stop is told: { done, count, connections }. */
  function load() {
    const client = new KeepAlive(gateway.port, CLIENTS);
    const state = { count: 0, isStopped: false, client };
    const loop = async (i) => {
      for (let k = 0; !state.isStopped; k++) {
        const path = `/${k % 2 ? 'steady' : 'swapped'}/${i}${k}`;
        const { status, text } = await client.ask('GET', path, undefined, {}, 15000);
        assert.deepEqual({ status, text }, { status: 200, text: path });
        state.count++;
      }
    };
    state.done = Promise.all(Array.from({ length: CLIENTS }, (_, i) => loop(i)))
      .finally(() => { state.isStopped = true; client.close(); });
    state.done.catch(() => {});
    return state;
  }

  /** Makes, replaces and removes definitions of its own. */
  async function churn(i, counts, state) {
    const id = `churn-${i}`;
    const path = `/churn/${i}`;
    const own = (n) => api(id, service.address().port, Array.from({ length: 1 + n % 20 },
      (_, k) => [`e${k}`, 'GET', k === 0 ? path : `/churn/${i}/([a-z]+)/${k}`]));
    const expect = async (status) => {
      const answer = await counts.client.ask('GET', path);
      assert.equal(answer.status, status);
    };
    for (let n = 0; counts.made < counts.goal && !state.isStopped; n++) {
      await change(counts, 'POST', '/v3/apis', own(n), 201);
      if (n % 10 === 0) await expect(200);
      await change(counts, 'PUT', `/v3/apis/${id}`, own(n + 7), 200);
      await change(counts, 'DELETE', `/v3/apis/${id}`, undefined, 204);
      if (n % 10 === 0) await expect(404);
    }
    await change(counts, 'POST', '/v3/apis', own(4), 201);
    await change(counts, 'DELETE', `/v3/apis/${id}`, undefined, 204);
  }

  async function swap(counts, state) {
    while (counts.made < counts.goal && !state.isStopped) {
      await change(counts, 'PUT', '/v3/apis/swapped', swapped(), 200);
      counts.swaps++;
    }
  }

  /** Tries what is wrong: an expression that is none, at an API that exists. */
  async function err(counts, state) {
    const wrong = swapped();
    wrong.version_data.default.endpoints.push({ id: 'bad', method: 'GET', path_regex: '/(' });
    while (counts.made < counts.goal && !state.isStopped) {
      const answer = await changer.ask('PUT', '/v3/apis/swapped', wrong);
      assert.equal(answer.status, 400);
      assert.equal(answer.headers['rgate-error-pointers'],
        encodeURIComponent('/version_data/default/endpoints/1/path_regex').replaceAll('%2F', '/'));
      counts.refused++;
      await new Promise((later) => { setTimeout(later, 5); });
    }
  }

  async function changeUntil(goal, counts, state) {
    counts.goal = goal;
    const changers = Array.from({ length: CHANGERS - 3 }, (_, i) => churn(i, counts, state));
    await within(Promise.all([...changers, swap(counts, state), swap(counts, state),
      err(counts, state)]), `${goal} changes`, MS);
  }

  it(`management-api 2.6: ${CHANGES} of them, and no request fails`, async (t) => {
    const counts = { made: 0, swaps: 0, refused: 0, client: new KeepAlive(gateway.port, CHANGERS) };
    t.after(() => counts.client.close());
    counts.first = (await shown('swapped')).ref_number;
    const state = load();
    t.after(() => { state.isStopped = true; });

    await changeUntil(SETTLING, counts, state);
    const before = await resident(gateway);
    const requests = state.count;
    await changeUntil(CHANGES, counts, state);
    const grown = await resident(gateway) - before;
    state.isStopped = true;
    await state.done;

    assert.ok(state.count - requests > 1000, `${state.count - requests} requests`);
    assert.equal(state.client.opened, CLIENTS);
    assert.ok(changer.opened <= CHANGERS, `${changer.opened} connections`);
    assert.ok(counts.refused > 10 && counts.swaps > 100, JSON.stringify(counts));
    assert.ok(grown < 8 * MIB, `grown by ${grown >> 10} KiB`);

    const list = JSON.parse((await changer.ask('GET', '/v3/apis')).text);
    assert.deepEqual(list.map(({ id }) => id), ['steady', 'swapped']);
    assert.deepEqual((await shown('swapped')).version_data, swapped().version_data);
    assert.equal((await shown('swapped')).ref_number - counts.first, counts.swaps);
    assert.equal(await gateway.metric('rgate_api_definitions'), 2);
    assert.equal(await gateway.metric('rgate_api_endpoints'), 2);
    assert.equal(await gateway.metric('rgate_api_changes_total'), counts.made);
  });
});

describe('a change while requests are under way', () => {
  const N = 16;

  /** A service that keeps everybody waiting until it is told, and says who it is. */
  async function waiting(t, name) {
    const all = [];
    const isFull = deferred();
    const backend = await echoBackend(t, ({ body }, response) => {
      all.push(() => response.end(`${name} ${body}`));
      if (all.length === N) isFull.resolve();
    });
    return { port: backend.port, backend, isFull: isFull.promise,
      release: () => all.splice(0).forEach((answer) => answer()) };
  }

  for (const [what, act] of [
    ['is replaced', (apis, next) => apis.put('way', next)],
    ['is deleted', (apis) => apis.delete('way')],
  ]) {
    it(`management-api 2.4: requests of a definition that ${what} end with it`, async (t) => {
      const first = await waiting(t, 'first');
      const second = await echoBackend(t, (_, response) => response.end('second'));
      const define = (port, path) => api('way', port, [['post', 'POST', path]]);
      const gateway = await testGateway(t, { env: environment([define(first.port, '/way/[0-9]+')]) });
      const apis = new Apis(() => gateway);

      // Half of them are complete and wait for their answer; of the others half the body is there.
      const clients = await Promise.all(Array.from({ length: N },
        () => RawConnection.open(gateway.port)));
      t.after(() => clients.forEach((client) => client.close()));
      clients.forEach((client, i) => client.write(`POST /way/${i} HTTP/1.1\r\nHost: a\r\n`
        + `Content-Length: 4\r\n\r\n${i % 2 ? 'body' : 'bo'}`));
      await until(async () => await gateway.metric('rgate_upstream_calls_total') === N, 'all are under way');
      await until(() => first.backend.requests.length === N / 2, 'half of them are complete');
      const { status, text } = await act(apis, define(second.port, '/other'));
      assert.ok(status === 200 || status === 204, text);
      clients.forEach((client, i) => { if (i % 2 === 0) client.write('dy'); });
      await within(first.isFull, 'the service has got all of them');
      first.release();
      for (const client of clients) {
        const answer = await client.response();
        assert.deepEqual([answer.status, answer.text], [200, 'first body']);
      }

      const after = await gateway.request({ method: 'POST', path: '/other' });
      assert.deepEqual([after.status, after.text], status === 200 ? [200, 'second']
        : [404, '{"message":"Not Found"}']);
      assert.equal((await gateway.request({ method: 'POST', path: '/way/1' })).status, 404);
    });
  }
});
