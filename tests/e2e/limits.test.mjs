// How many clients there may be, and how fast they may come.
//
// - In a minute of the wall clock so many are let in; the next minute begins anew.
// - So many are let in at once, altogether and from one address; who leaves makes room.
// - Who is refused is told when to come again, and what is connected does not notice.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { TRANSPORTS, assertRefused, connect } from '../support/clients.mjs';
import { FIXTURE, LAST, put, receivedUntilLast } from '../support/events.mjs';
import { token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';

const MINUTE = 60000;
const minute = () => Math.floor(Date.now() / MINUTE);
const FULL = { status: 429, text: /^Reached maximum number of connections/ };

/** Waits until the wall clock is in another minute than this one. */
const untilMinuteIsNot = (given) =>
  until(() => minute() !== given, 'the next minute begins', MINUTE + 5000);

/** The minute that it is, with at least ms left of it. */
async function minuteWithRoom(ms) {
  if (MINUTE - (Date.now() % MINUTE) < ms) await untilMinuteIsNot(minute());
  return minute();
}

/** Refused with the time to come again. */
async function assertFull(transport, gateway, parameters = {}, options = {}) {
  const headers = await assertRefused(transport, gateway, parameters, { ...FULL, options });
  if (transport === 'ws') return;
  assert.match(headers['retry-after'], /^\d+$/);
  assert.ok(Number(headers['retry-after']) >= 1 && Number(headers['retry-after']) <= 60,
    headers['retry-after']);
}

describe('connections in a minute', { concurrency: true }, () => {
  const FIVE = { env: { ...FIXTURE, MAX_CONNECTIONS_PER_MINUTE: '5' } };

  it('client-api 122: so many are let in, and in the next minute again', async (t) => {
    const gateway = await testGateway(t, FIVE);
    const first = await minuteWithRoom(5000);
    const poller = await connect(t, 'longpolling', gateway, { subscriptions: [LAST] });
    for (let i = 0; i < 4; i++) await connect(t, 'sse', gateway);
    for (const transport of TRANSPORTS) await assertFull(transport, gateway);
    assert.equal(minute(), first, 'all of that happened in one minute');

    await untilMinuteIsNot(first);
    const clients = [];
    for (let i = 0; i < 5; i++) {
      clients.push(await connect(t, 'sse', gateway, { subscriptions: [LAST] }));
    }
    for (const transport of TRANSPORTS) await assertFull(transport, gateway);
    assert.deepEqual(await receivedUntilLast(poller), []);
    for (const client of clients) {
      assert.deepEqual(await receivedUntilLast(client), []);
      assert.equal((await put(gateway, client.token, { subscriptions: [] })).status, 204);
    }
  });

  it('client-api 123: who is refused for another reason does not count', async (t) => {
    const gateway = await testGateway(t, FIVE);
    const first = await minuteWithRoom(5000);
    const bad = token({}, { key: 'wrong' });
    for (let i = 0; i < 5; i++) {
      await assertRefused('sse', gateway, { jwt: bad });
      await assertRefused('ws', gateway, { subscriptions: 'oops' });
    }
    for (let i = 0; i < 5; i++) await connect(t, i % 2 === 0 ? 'sse' : 'ws', gateway);
    await assertFull('sse', gateway);
    assert.equal(minute(), first, 'all of that happened in one minute');
  });

  it('client-api 15.2: an attempt of long polling counts, good or not', async (t) => {
    const gateway = await testGateway(t, FIVE);
    const first = await minuteWithRoom(5000);
    for (let i = 0; i < 5; i++) await assertRefused('longpolling', gateway, { jwt: 'foobar' });
    for (const transport of TRANSPORTS) await assertFull(transport, gateway);
    assert.equal(minute(), first, 'all of that happened in one minute');
  });

  it('client-api 15.3: a limit of 0 lets nobody in', async (t) => {
    const gateway = await testGateway(
      t, { env: { ...FIXTURE, MAX_CONNECTIONS_PER_MINUTE: '0' } });
    for (const transport of TRANSPORTS) await assertFull(transport, gateway);
    assert.equal((await gateway.get('/_rig/health')).status, 200);
  });

  it('client-api 15.1: reactors share one count', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIVE.env, REACTORS: '4' } });
    const first = await minuteWithRoom(5000);
    const attempts = await Promise.all(Array.from({ length: 40 }, () =>
      gateway.get(`${V1}/connection/longpolling`)));
    const statuses = attempts.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, 5);
    assert.equal(statuses.filter((status) => status === 429).length, 35);
    assert.equal(minute(), first, 'all of that happened in one minute');
  });
});

describe('clients at once', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, MAX_CLIENTS: '3', REACTORS: '2' } });

  it('limits: MAX_CLIENTS are let in, and who leaves makes room', async (t) => {
    const { gateway } = suite;
    const before = await gateway.metric(...REFUSED('clients'));
    const [sse, ws] = [await connect(t, 'sse', gateway, { subscriptions: [LAST] }),
      await connect(t, 'ws', gateway, { subscriptions: [LAST] })];
    await connect(t, 'longpolling', gateway);
    for (const transport of TRANSPORTS) await assertFull(transport, gateway);
    assert.equal(await gateway.metric(...REFUSED('clients')), before + 3);
    for (const client of [sse, ws]) assert.deepEqual(await receivedUntilLast(client), []);
    sse.close();
    await until(() => connect(t, 'ws', gateway), 'there is room again');
    await assertFull('sse', gateway);
    ws.close();
    await until(() => connect(t, 'sse', gateway), 'there is room again');
  });
});

describe('clients at once from one address', () => {
  const suite = suiteGateway({ env: {
    ...FIXTURE, MAX_CONNECTIONS_PER_ADDRESS: '3', REACTORS: '2' } });
  const OTHER = { localAddress: '127.0.0.2' };

  it('limits: MAX_CONNECTIONS_PER_ADDRESS are let in, and others are not concerned', async (t) => {
    const { gateway } = suite;
    const before = await gateway.metric(...REFUSED('address'));
    const clients = [];
    for (const transport of TRANSPORTS) {
      clients.push(await connect(t, transport, gateway, { subscriptions: [LAST] }));
    }
    for (const transport of TRANSPORTS) await assertFull(transport, gateway);
    assert.equal(await gateway.metric(...REFUSED('address')), before + 3);
    for (const transport of TRANSPORTS) {
      await connect(t, transport, gateway, {}, {}, OTHER);
    }
    await assertFull('sse', gateway, {}, OTHER);
    for (const client of clients) assert.deepEqual(await receivedUntilLast(client), []);
    clients[0].close();
    await until(() => connect(t, 'sse', gateway), 'there is room again');
    await assertFull('ws', gateway, {}, OTHER);
  });

  it('limits: a header cannot choose the address', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, MAX_CONNECTIONS_PER_ADDRESS: '1' } });
    await connect(t, 'sse', gateway);
    await assertRefused('sse', gateway, {}, { ...FULL, headers: {
      'x-forwarded-for': '10.0.0.1', forwarded: 'for=10.0.0.1', 'x-real-ip': '10.0.0.1' } });
  });

  it('limits: PUT and publishing are never refused for it', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, MAX_CONNECTIONS_PER_ADDRESS: '1' } });
    const client = await connect(t, 'sse', gateway, { subscriptions: [LAST] });
    for (let i = 0; i < 10; i++) {
      assert.equal((await put(gateway, client.token, { subscriptions: [LAST] })).status, 204);
      await client.next('rig.subscriptions_set');
    }
    assert.deepEqual(await receivedUntilLast(client), []);
  });
});

function REFUSED(limit) {
  return ['rgate_limit_refusals_total', { limit }];
}
