// Messages for users and roles from Kafka: what must hold with any broker.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { WsSocket, cast, openWs } from './channels.mjs';
import { FIXTURE, LAST, ev } from './events.mjs';
import { Gateway, testGateway } from './gateway.mjs';
import { Producer, committed, fresh, untilConsuming } from './kafka.mjs';
import { token } from './jwt.mjs';
import { openPhoenix } from './phoenix.mjs';
import { SseStream } from './sse.mjs';
import { until } from './wait.mjs';

/** startBroker() returns a broker; see kafka.mjs. */
export function describeMessages(name, startBroker, options) {
  describe(`messages from Kafka: ${name}`, options, () => {
    let broker;
    let producer;
    let gateway;
    const group = fresh('group');
    const topic = fresh('either');        // carries whatever it says it is
    const events = fresh('events');       // only CloudEvents
    const messages = fresh('messages');   // only messages
    const send = (value, to = topic, more = {}) => producer.send(to, value, more);

    before(async () => {
      broker = await startBroker();
      for (const one of [topic, events, messages]) await broker.createTopic(one);
      producer = await Producer.open(broker.bootstrap);
      gateway = await Gateway.start({ env: {
        ...FIXTURE,
        KAFKA_BROKERS: broker.bootstrap,
        KAFKA_SOURCE_TOPICS: [topic, events, messages].join(),
        KAFKA_TOPIC_FORMATS: `${events}=cloudevents, ${messages}=messages`,
        KAFKATOFILTER_KAFKA_GROUP_ID: group,
      } });
      await untilConsuming(gateway, producer, topic);
      await untilConsuming(gateway, producer, events);
      await untilTelling(gateway, producer, messages);
    });
    after(async () => {
      await gateway?.stop();
      await producer?.close();
      await broker?.stop();
    });

    /** A socket that has joined a topic and read what a join brings. */
    async function joined(t, jwt, of, on = gateway) {
      const socket = await openWs(t, on, { token: jwt });
      assert.equal((await socket.join(of)).status, 'ok');
      return socket;
    }
    const told = async (socket, of) => (await socket.find(of, 'message')).payload;

    /** What a socket gets up to a message sent now to its user, whom it must have joined. */
    async function toldUntilLast(socket, user, to = topic) {
      const last = { username: user, last: fresh('last') };
      await send(last, to);
      const payloads = [];
      for (;;) {
        const payload = await told(socket, `user:${user}`);
        if (payload.last === last.last) return payloads;
        payloads.push(payload);
      }
    }
    const consumed = async () => ({
      all: await gateway.metric('rig_consumed_events_total', { topic }),
      failed: await gateway.metric('rig_consumed_events_failed_total', { topic }),
    });

    it('legacy-channels 58: every device of the user gets the whole object, nobody else', async (t) => {
      const { A, A2, B, ada, bob } = cast();
      const own = `user:${ada}`;
      const phone = await openPhoenix(t, gateway, { token: A });
      const { log } = await phone.join(own);
      const laptop = await joined(t, A2, own);
      const other = await joined(t, B, `user:${bob}`);
      const message = { username: ada, payload: 'x', more: { list: [1, null] } };
      await send(message);
      assert.deepEqual(await log.happened('message'), message);
      assert.deepEqual(await told(laptop, own), message);
      assert.deepEqual(await toldUntilLast(other, bob), []);
    });

    it('legacy-channels 59: who supports the user gets the message, too', async (t) => {
      const { S, ada } = cast();
      const support = await joined(t, S, `user:${ada}`);
      const message = { username: ada, payload: 'x' };
      await send(message);
      assert.deepEqual(await told(support, `user:${ada}`), message);
    });

    it('legacy-channels 60: bad messages are logged with their value, and passed over', async (t) => {
      const { A, ada } = cast();
      const own = `user:${ada}`;
      const socket = await joined(t, A, own);
      const before = await consumed();
      const good = { username: ada, n: fresh('good') };
      const bad = ['not-json', '{"payload":1}', '[1]', '"s"'];
      await producer.sendAll(topic, [...bad, good]);
      assert.deepEqual(await told(socket, own), good);
      assert.deepEqual(await consumed(), { all: before.all + 5, failed: before.failed + 4 });
      for (const value of bad) {
        const logged = JSON.stringify(value).slice(1, -1).replace(/[()[\]{}\\.]/g, '\\$&');
        await gateway.run.printed(
          new RegExp(`\\[warn\\] bad message skipped topic=${topic} partition=0 .* value="?${logged}"? `));
      }
      await until(async () => {
        const { offset, end } = await committed(broker.bootstrap, group, topic);
        return offset === end;
      }, 'the offset behind all of them is committed', 20000);
    });

    it('legacy-channels 61: a thousand messages of a partition arrive once and in order', async (t) => {
      const { A, A2, ada } = cast();
      const own = `user:${ada}`;
      const sockets = [await joined(t, A, own), await joined(t, A2, own)];
      const numbers = Array.from({ length: 1000 }, (_, n) => n);
      for (let i = 0; i < 1000; i += 100) {
        await producer.sendAll(topic, numbers.slice(i, i + 100).map((n) => ({ username: ada, n })));
      }
      await send({ username: ada, n: 'end' });
      for (const socket of sockets) {
        for (const n of [...numbers, 'end']) {
          assert.deepEqual(await told(socket, own), { username: ada, n });
        }
      }
    });

    it('legacy-channels 11.3: keys and headers of the message do not matter', async (t) => {
      const { A, ada } = cast();
      const own = `user:${ada}`;
      const socket = await joined(t, A, own);
      for (const headers of [{ 'content-type': 'application/json' }, { 'Content-Type': 'text/plain' },
        { 'content-type': '', 'x-other': 'y' }]) {
        const message = { username: ada, headers };
        await send(message, topic, { headers, key: 'somebody' });
        assert.deepEqual(await told(socket, own), message);
      }
      const message = { username: ada };
      await send(message, messages, { headers: { 'content-type': 'application/cloudevents+json' } });
      assert.deepEqual(await told(socket, own), message);
    });

    it('legacy-channels 11.5: a number is a name, nothing else that is no string', async (t) => {
      const name = `5${cast().n}.50`;
      const socket = await joined(
        t, token({ username: name, role: [], jti: fresh('j') }), `user:${name}`);
      const before = await consumed();
      for (const value of ['true', '{"a":1}', '["x"]', '""', 'null']) {
        await send(`{"username":${value}}`);
      }
      await send(`{"username":${name}}`);
      assert.equal((await told(socket, `user:${name}`)).username, Number(name));
      assert.deepEqual(await consumed(), { all: before.all + 6, failed: before.failed + 5 });
    });

    it('messages with roles reach the channels of these roles', async (t) => {
      const { S, A, ada, role } = cast();
      const support = await openWs(t, gateway, { token: S });
      for (const of of [`role:${role}`, `role:${role}-2`]) {
        assert.equal((await support.join(of)).status, 'ok');
      }
      const socket = await joined(t, A, `user:${ada}`);
      const both = { username: ada, roles: [role, `${role}-2`, role, `${role}-3`], n: 1 };
      const one = { roles: role, n: 2 };
      await send(both);
      await send(one);
      assert.deepEqual(await told(support, `role:${role}`), both);
      assert.deepEqual(await told(support, `role:${role}-2`), both);
      assert.deepEqual(await told(support, `role:${role}`), one);
      assert.deepEqual(await told(socket, `user:${ada}`), both);
    });

    it('what says that it is a CloudEvent is one, whomever it names', async (t) => {
      const { A, ada } = cast();
      const socket = await joined(t, A, `user:${ada}`);
      const stream = await SseStream.open(gateway, { subscriptions: [{ eventType: 'named' }, LAST] });
      t.after(() => stream.close());
      const event = ev('named', {}, { username: ada, roles: ['x'] });
      await send(event);
      await send({ specversion: '7', username: ada });
      assert.deepEqual(await stream.next('named'), event);
      assert.deepEqual(await toldUntilLast(socket, ada), []);
    });

    it('a topic has the format that is configured for it', async (t) => {
      const { A, ada } = cast();
      const own = `user:${ada}`;
      const socket = await joined(t, A, own);
      const failed = (of) => gateway.metric('rig_consumed_events_failed_total', { topic: of });
      const before = [await failed(events), await failed(messages)];
      const event = ev('named', {}, { username: ada });
      const value = `{"username":"${ada}","to":"events"}`;
      await send(value, events);
      await gateway.run.printed(
        new RegExp(`\\[error\\] bad message skipped topic=${events} .*to\\\\":\\\\"events`));
      await send(event, messages);
      assert.deepEqual(await told(socket, own), event);
      await send(ev('named', {}), messages);
      assert.deepEqual(await toldUntilLast(socket, ada, messages), []);
      assert.deepEqual([await failed(events), await failed(messages)], before.map((n) => n + 1));
    });

    it('legacy-channels 11.1: with KAFKA_HOSTS the topics rig and message are read', async (t) => {
      await broker.createTopic('rig');
      await broker.createTopic('message');
      const own = await testGateway(t, { env: { ...FIXTURE, KAFKA_HOSTS: broker.bootstrap,
        KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group') } });
      await untilConsuming(own, producer, 'rig');
      await untilTelling(own, producer, 'message');
    });
  });
}

/** Resolves when messages of a topic reach the channels of a gateway. As untilConsuming(). */
export async function untilTelling(gateway, producer, topic, ms = 30000) {
  const { A, ada } = cast();
  const probe = await WsSocket.open(gateway, { token: A });
  try {
    await probe.joinOwn(`user:${ada}`);
    await until(async () => {
      await producer.send(topic, { username: ada });
      return probe.mail.items.length > 0;
    }, `messages of ${topic} arrive`, ms);
  } finally {
    probe.close();
  }
}
