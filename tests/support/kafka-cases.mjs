// What must hold with any broker: the embedded one and Apache Kafka run the same tests.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Gateway, testGateway } from './gateway.mjs';
import { FIXTURE, LAST, ev } from './events.mjs';
import { Producer, fresh, untilConsuming } from './kafka.mjs';
import { LongPollClient } from './longpoll.mjs';
import { SseStream } from './sse.mjs';
import { until } from './wait.mjs';
import { WsClient } from './websocket.mjs';

const CHAT = { subscriptions: [{ eventType: 'chat.posted' }, LAST] };
const chat = (data, more) => ev('chat.posted', data, more);

/** startBroker() returns a broker; see kafka.mjs. */
export function describeKafka(name, startBroker, options) {
  describe(`Kafka: ${name}`, options, () => {
    let broker;
    let producer;
    let gateway;
    const topic = fresh('events');
    const environment = (more = {}) => ({
      ...FIXTURE,
      KAFKA_BROKERS: broker.bootstrap,
      KAFKA_SOURCE_TOPICS: topic,
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group'),
      ...more,
    });

    before(async () => {
      broker = await startBroker();
      await broker.createTopic(topic);
      producer = await Producer.open(broker.bootstrap);
      gateway = await Gateway.start({ env: environment() });
      await untilConsuming(gateway, producer, topic);
    });
    after(async () => {
      await gateway?.stop();
      await producer?.close();
      await broker?.stop();
    });

    const open = async (t, parameters = CHAT) => {
      const stream = await SseStream.open(gateway, parameters);
      t.after(() => stream.close());
      return stream;
    };
    /** Like receivedUntilLast, with the last event sent to the topic. */
    const received = async (client) => {
      const last = ev(LAST.eventType, null);
      await producer.send(topic, last);
      const events = [];
      for (;;) {
        const event = await client.next();
        if (event.id === last.id) return events;
        if (event.type !== LAST.eventType) events.push(event);
      }
    };
    const consumed = async (of = gateway) => ({
      all: await of.metric('rig_consumed_events_total', { source: 'kafka' }),
      failed: await of.metric('rig_consumed_events_failed_total', { source: 'kafka' }),
    });

    it('client-api 124: a message without headers reaches every kind of client', async (t) => {
      const clients = [await open(t), await WsClient.open(gateway, CHAT),
        await LongPollClient.open(gateway, CHAT)];
      t.after(() => clients.forEach((client) => client.close()));
      const event = chat({ room: 'blue' });
      await producer.send(topic, event);
      for (const client of clients) assert.deepEqual(await client.next('chat.posted'), event);
    });

    it('client-api 17.6: a structured message is forwarded byte for byte', async (t) => {
      const stream = await open(t);
      const text = '{ "specversion":"0.2","contenttype":"application/json",'
        + '"type":"chat.posted","id":"1","source":"/t", "n":1.0,"x":"42","data":"{}" }';
      await producer.send(topic, text);
      assert.equal((await stream.nextFrame('chat.posted')).data, text);
    });

    for (const type of ['application/cloudevents+json; charset=UTF-8', 'application/cloudevents']) {
      it(`client-api 125: content type ${type} is structured`, async (t) => {
        const stream = await open(t);
        const event = chat({ room: 'blue' });
        await producer.send(topic, event, { headers: { 'Content-Type': type } });
        assert.deepEqual(await stream.next('chat.posted'), event);
      });
    }

    it('client-api 126: a binary message becomes an event that can be matched', async (t) => {
      const stream = await open(
        t, { subscriptions: [{ eventType: 'chat.posted', oneOf: [{ room: 'blue' }] }, LAST] });
      const headers = { 'content-type': 'application/json', ce_specversion: '0.2',
        ce_type: 'chat.posted', ce_source: '/t', ce_id: '9' };
      await producer.send(topic, '{"room":"red"}', { headers });
      await producer.send(topic, '{"room":"blue"}', { headers });
      const event = await stream.next('chat.posted');
      assert.deepEqual(event.data, { room: 'blue' });
      assert.equal(event.id, '9');
    });

    it('client-api 127: bad messages are passed over', async (t) => {
      const stream = await open(t);
      const before = await consumed();
      const good = chat({});
      await producer.send(topic, 'not json');
      await producer.send(topic, chat({}), { headers: { 'content-type': 'application/cloudevents+xml' } });
      await producer.send(topic, null);
      await producer.send(topic, '');
      await producer.send(topic, good);
      assert.deepEqual(await received(stream), [good]);
      assert.deepEqual(await consumed(), { all: before.all + 6, failed: before.failed + 4 });
    });

    it('client-api 128: a 1.0 event', async (t) => {
      const stream = await open(t);
      const event = chat({ room: 'blue' }, { specversion: '1.0' });
      await producer.send(topic, event);
      assert.deepEqual(await stream.next('chat.posted'), event);
    });

    it('client-api 129: a 0.1 event keeps its extensions', async (t) => {
      const stream = await open(t);
      const event = { cloudEventsVersion: '0.1', eventType: 'chat.posted', eventTypeVersion: '1.0',
        eventID: '1', source: '/t', userid: '42', data: {} };
      await producer.send(topic, event);
      assert.deepEqual(await stream.next('chat.posted'), event);
    });

    it('configuration 21: KAFKA_HOSTS is the old name of the brokers', async (t) => {
      const own = await testGateway(t, {
        env: environment({ KAFKA_BROKERS: undefined, KAFKA_HOSTS: broker.bootstrap }) });
      await untilConsuming(own, producer, topic);
    });

    it('configuration 31: a new group starts at the end, an old one where it was', async (t) => {
      const env = environment();
      for (let i = 0; i < 5; i++) await producer.send(topic, chat({ early: i }));
      const first = await Gateway.start({ env });
      t.after(() => first.kill());
      const stream = await SseStream.open(first, CHAT);
      await untilConsuming(first, producer, topic);
      const sixth = chat({ n: 6 });
      await producer.send(topic, sixth);
      assert.deepEqual(await stream.next(), sixth);
      await first.stop();

      await producer.sendAll(topic, [chat({ n: 7 }), chat({ n: 8 })]);
      const second = await testGateway(t, { env });
      await until(async () => (await consumed(second)).all >= 2, 'the two are consumed', 30000);
      await untilConsuming(second, producer, topic);
      assert.equal((await consumed(second)).failed, 0);
    });

    it('configuration 32: a bad message among good ones is counted and passed over', async (t) => {
      const stream = await open(t);
      const before = await consumed();
      const events = [chat({ n: 1 }), chat({ n: 2 })];
      await producer.sendAll(topic, [events[0], 'hello', events[1]]);
      for (const event of events) assert.deepEqual(await stream.next('chat.posted'), event);
      assert.deepEqual(await consumed(), { all: before.all + 3, failed: before.failed + 1 });
    });

    it('configuration 33: a thousand events of a partition keep their order', async (t) => {
      const stream = await open(t);
      const numbers = Array.from({ length: 1000 }, (_, i) => i);
      for (let i = 0; i < 1000; i += 100) {
        await producer.sendAll(topic, numbers.slice(i, i + 100).map((n) => chat(n)));
      }
      assert.deepEqual((await received(stream)).map((event) => event.data), numbers);
    });

    it('configuration 34: the content type decides whether a message is an event', async (t) => {
      const stream = await open(t);
      const before = await consumed();
      const events = [chat(1), chat(2)];
      await producer.send(topic, events[0]);
      await producer.send(topic, events[1],
        { headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' } });
      await producer.send(topic, chat(3), { headers: { 'content-type': 'application/cloudevents+xml' } });
      assert.deepEqual(await received(stream), events);
      assert.deepEqual(await consumed(), { all: before.all + 4, failed: before.failed + 1 });
    });

    it('configuration 35: binary attributes have an underscore', async (t) => {
      const stream = await open(t, { subscriptions: [{ eventType: 'binary' }, LAST] });
      const before = await consumed();
      const headers = { 'content-type': 'application/json', ce_specversion: '0.2',
        ce_source: '/t', ce_id: '9' };
      await producer.send(topic, '{"foo":"bar"}', { headers: { ...headers, ce_type: 'binary' } });
      await producer.send(topic, '{"foo":"bar"}', { headers: { ...headers, 'ce-type': 'binary' } });
      const events = await received(stream);
      assert.deepEqual(events.map((event) => event.data), [{ foo: 'bar' }]);
      assert.equal((await consumed()).failed, before.failed + 1);
    });

    it('configuration 6.2: a topic that does not exist does not keep others from arriving',
      async (t) => {
        const own = await testGateway(t, {
          env: environment({ KAFKA_SOURCE_TOPICS: `${fresh('missing')},${topic}` }) });
        await untilConsuming(own, producer, topic);
      });

    it('KAFKA_CONSUME=all: two gateways both get every event', async (t) => {
      const env = environment({ KAFKA_CONSUME: 'all' });
      const streams = [];
      for (let i = 0; i < 2; i++) {
        const own = await testGateway(t, { env });
        await untilConsuming(own, producer, topic);
        streams.push(await SseStream.open(own, CHAT));
      }
      const event = chat({});
      await producer.send(topic, event);
      for (const stream of streams) assert.deepEqual(await stream.next('chat.posted'), event);
    });
  });
}
