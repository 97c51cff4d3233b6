// What /metrics says.
//
// - All metrics have their heads before anything has happened.
// - Events, requests and entries are counted where they come from, once.
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { echoBackend, environment, shop } from '../support/echo-backend.mjs';
import { FIXTURE, ev, post } from '../support/events.mjs';
import { Gateway, suiteGateway, testGateway } from '../support/gateway.mjs';
import { EmbeddedKafka, Producer, fresh, untilConsuming } from '../support/kafka.mjs';
import { SseStream } from '../support/sse.mjs';
import { standstill, until } from '../support/wait.mjs';

const TYPES = {
  rig_proxy_requests_total: 'counter',
  rig_consumed_events_total: 'counter',
  rig_consumed_events_failed_total: 'counter',
  rig_consumed_events_forwarded_total: 'counter',
  rig_consumed_event_processing_duration_milliseconds: 'histogram',
  rig_produced_events_total: 'counter',
  rig_produced_events_failed_total: 'counter',
  rig_subscriptions_total: 'gauge',
  rig_distributed_set_items_total: 'gauge',
  rig_distributed_set_items_current: 'gauge',
};
const BOUNDS = [1, 2, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, '+Inf'];

/** The names of the families in the text of /metrics that have more than one head. */
function repeatedHeads(text) {
  const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  return names.filter((name, i) => names.indexOf(name) !== i);
}

describe('metrics', () => {
  const suite = suiteGateway({ env: { LOG_LEVEL: 'warn' } });
  const metric = (name, labels) => suite.gateway.metric(name, labels);

  it('management-api 50: all are there before there is a value', async () => {
    const { status, headers, text } = await suite.gateway.internal('/metrics');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4');
    for (const [name, type] of Object.entries(TYPES)) {
      assert.match(text, new RegExp(`^# TYPE ${name} ${type}$`, 'm'));
      assert.match(text, new RegExp(`^# HELP ${name} .`, 'm'));
    }
    assert.deepEqual(repeatedHeads(text), []);
  });

  for (const accept of ['application/vnd.google.protobuf', 'image/png']) {
    it(`management-api 50: an Accept of ${accept} changes nothing`, async () => {
      const { status, headers } = await suite.gateway.internal('/metrics', { headers: { accept } });
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'text/plain; version=0.0.4');
    });
  }

  it('management-api 52: one entry of the blacklist is one, until it is over', async () => {
    const items = (what) => metric(
      `rig_distributed_set_items_${what}`, { name: 'Elixir.SessionBlacklist' });
    const [total, current] = [await items('total'), await items('current')];
    const { status } = await suite.gateway.internal('/v3/session-blacklist', {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: '{"sessionId":"m52","validityInSeconds":1}' });
    assert.equal(status, 201);
    assert.deepEqual([await items('total'), await items('current')], [total + 1, current + 1]);
    await until(async () => await items('current') === current, 'the entry is gone', 4000);
    assert.equal(await items('total'), total + 1);
  });

  it('management-api 53: an event for two clients is forwarded once', async (t) => {
    const subscriptions = [{ eventType: 'for.two' }];
    const streams = [await SseStream.open(suite.gateway, { subscriptions }),
      await SseStream.open(suite.gateway, { subscriptions })];
    t.after(() => streams.forEach((stream) => stream.close()));
    await post(suite.gateway, ev('for.two', {}));
    for (const stream of streams) await stream.next('for.two');
    await until(
      async () => await metric('rig_consumed_events_forwarded_total', { type: 'for.two' }) === 1,
      'the event is counted once');
  });

  it('management-api 7.1: an event that nobody wants is not forwarded', async () => {
    assert.equal((await post(suite.gateway, ev('for.nobody', {}))).status, 202);
    assert.equal(await metric('rig_consumed_events_forwarded_total', { type: 'for.nobody' }), 0);
  });

  it('management-api 7.1: submissions by HTTP are counted, good and bad, on both ports', async () => {
    const read = async () => [await metric('rig_consumed_events_total', { source: 'http', topic: '' }),
      await metric('rig_consumed_events_failed_total', { source: 'http', topic: '' }),
      await metric('rig_consumed_event_processing_duration_milliseconds_count', { source: 'http' })];
    const before = await read();
    assert.equal((await post(suite.gateway, ev('a', {}))).status, 202);
    const internal = (body, headers) => suite.gateway.internal('/v3/messages', {
      method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
    assert.equal((await internal(JSON.stringify(ev('a', {})))).status, 202);
    assert.equal((await post(suite.gateway, '{}')).status, 400);
    assert.equal((await internal('[1]')).status, 400);
    assert.equal((await internal('{}', { 'ce-specversion': '0.2' })).status, 400);
    const after = await read();
    assert.deepEqual(after.map((n, i) => n - before[i]), [5, 3, 2]);
  });

  it('management-api 7.1: a client that has gone has no subscriptions', async () => {
    const before = await metric('rig_subscriptions_total');
    const stream = await SseStream.open(suite.gateway,
      { subscriptions: [{ eventType: 'a' }, { eventType: 'b' }] });
    assert.equal(await metric('rig_subscriptions_total'), before + 2);
    stream.close();
    await until(async () => await metric('rig_subscriptions_total') === before,
      'its subscriptions are gone');
  });
});

describe('metrics of the proxy', () => {
  it('management-api 51: requests are counted by endpoint and outcome', async (t) => {
    const backend = await echoBackend(t);
    const api = shop(backend.port);
    api.version_data.default.endpoints.push({ id: 'p', method: 'GET', path_regex: '/p' });
    const gateway = await testGateway(t, { env: environment([api]) });
    const read = async () => [
      await gateway.metric('rig_proxy_requests_total', { method: 'GET', path: '/p', target: 'http',
        response_from: 'http', status: 'ok' }),
      await gateway.metric('rig_proxy_requests_total', { method: 'GET', path: '/q', target: 'N/A',
        response_from: 'N/A', status: 'not_found' })];
    assert.deepEqual(await read(), [0, 0]);
    assert.equal((await gateway.get('/p')).status, 200);
    assert.deepEqual(await read(), [1, 0]);
    assert.equal((await gateway.get('/q')).status, 404);
    assert.deepEqual(await read(), [1, 1]);
    const { text } = await gateway.internal('/metrics');
    assert.deepEqual(repeatedHeads(text), []);
  });
});

describe('metrics of Kafka', () => {
  it('management-api 54: one event has its duration in the buckets', async (t) => {
    const broker = await EmbeddedKafka.start();
    const topic = fresh('rig');
    let gateway;
    let producer;
    t.after(async () => {
      await producer?.close();
      await gateway?.stop();
      await broker.stop();
    });
    await broker.createTopic(topic);
    gateway = await Gateway.start({ env: { ...FIXTURE, KAFKA_BROKERS: broker.bootstrap,
      KAFKA_SOURCE_TOPICS: topic, KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group') } });
    producer = await Producer.open(broker.bootstrap);
    await untilConsuming(gateway, producer, topic);

    const labels = { source: 'kafka', topic };
    const durations = 'rig_consumed_event_processing_duration_milliseconds';
    const read = async () => ({
      events: await gateway.metric('rig_consumed_events_total', labels),
      failed: await gateway.metric('rig_consumed_events_failed_total', labels),
      count: await gateway.metric(`${durations}_count`, labels),
      bucket: await gateway.metric(`${durations}_bucket`, { ...labels, le: '+Inf' }),
    });
    // The probes must all have been counted, so that what comes next is one more.
    const stream = await SseStream.open(gateway, { subscriptions: [{ eventType: 'one.more' }] });
    t.after(() => stream.close());
    await standstill(async () => (await read()).count, 'the count of the probes');
    const before = await read();
    await producer.send(topic, ev('one.more', {}));
    await stream.next('one.more');
    await until(async () => (await read()).count === before.count + 1, 'the event is counted');
    assert.deepEqual(await read(), { events: before.events + 1, failed: before.failed,
      count: before.count + 1, bucket: before.bucket + 1 });

    const { text } = await gateway.internal('/metrics');
    for (const bound of BOUNDS) {
      assert.ok(text.includes(`${durations}_bucket{source="kafka",topic="${topic}",le="${bound}"} `),
        `le="${bound}"`);
    }
    assert.ok(text.includes(`${durations}_sum{source="kafka",topic="${topic}"} `));
  });
});

describe('metrics that are off', () => {
  const suite = suiteGateway({ env: { PROMETHEUS_METRICS_ENABLED: '0' } });

  it('management-api 55: there are none', async () => {
    const { status, json } = await suite.gateway.internal('/metrics');
    assert.equal(status, 404);
    assert.deepEqual(json(), { errors: { detail: 'Not found' } });
  });

  it('management-api 55: nothing listens on another port', async () => {
    const refused = await new Promise((resolve) => {
      const socket = net.connect({ host: '127.0.0.1', port: 9568 });
      socket.on('connect', () => { socket.destroy(); resolve(false); });
      socket.on('error', () => resolve(true));
    });
    assert.equal(refused, true);
  });
});
