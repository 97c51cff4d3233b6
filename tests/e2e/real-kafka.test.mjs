// Apache Kafka itself: one broker, three brokers, brokers that come, go and are killed.
//
// - Everything that holds with the embedded broker: kafka-cases.mjs.
// - The gateway needs no broker to start, and loses no client with it.
// - Brokers may be killed and gateways added and removed: every event reaches every subscriber that
//   stayed connected, at least once and in the order of its partition.
// - SASL and TLS are spoken as configured, and a broker that cannot prove who it is gets nothing.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Gateway, testGateway } from '../support/gateway.mjs';
import { ev } from '../support/events.mjs';
import { describeKafka } from '../support/kafka-cases.mjs';
import { Producer, RealKafka, fresh, kafkaUnavailable, untilConsuming } from '../support/kafka.mjs';
import { freePortRange } from '../support/ports.mjs';
import { SseStream } from '../support/sse.mjs';
import { until } from '../support/wait.mjs';

const skip = await kafkaUnavailable();
const NUMBERED = { subscriptions: [{ eventType: 'numbered' }] };

/** Sends numbers, the same row to each partition, until it is told to stop. */
class Stream {
  sent = [];                      // per partition: how many are acknowledged
  #isOn = true;
  #done;

  constructor(producer, topic, partitions) {
    this.sent = Array(partitions).fill(0);
    this.#done = Promise.all(this.sent.map((_, partition) => this.#feed(producer, topic, partition)));
    this.#done.catch(() => {}); // see stop()
  }

  async #feed(producer, topic, partition) {
    while (this.#isOn) {
      const n = this.sent[partition];
      await producer.send(topic, ev('numbered', [partition, n]), { partition });
      this.sent[partition] = n + 1;
    }
  }

  get total() {
    return this.sent.reduce((a, b) => a + b, 0);
  }

  /** Resolves when n more messages are acknowledged. */
  more(n, ms = 60000) {
    const wanted = this.total + n;
    return until(() => this.total >= wanted, `${n} more messages are acknowledged`, ms);
  }

  stop() {
    this.#isOn = false;
    return this.#done;
  }
}

/** A client that writes down the numbers it gets. */
class Witness {
  seen = new Map();               // partition to the numbers, in the order of their first arrival
  #stream;

  static async open(gateway) {
    const witness = new Witness();
    witness.#stream = await SseStream.open(gateway, NUMBERED);
    witness.#watch();
    return witness;
  }

  async #watch() {
    try {
      for (;;) {
        const [partition, n] = (await this.#stream.next('numbered', 600_000)).data;
        if (!this.seen.has(partition)) this.seen.set(partition, new Set());
        this.seen.get(partition).add(n);
      }
    } catch {
      // The stream is over.
    }
  }

  has(partition, n) {
    return this.seen.get(partition)?.has(n) ?? false;
  }

  assertOrder() {
    for (const [partition, numbers] of this.seen) {
      const first = [...numbers];
      assert.deepEqual(first, [...first].sort((a, b) => a - b), `order of partition ${partition}`);
    }
  }

  close() {
    this.#stream.close();
  }
}

/** Every acknowledged number has reached one of the witnesses, and each saw them in order. */
async function assertComplete(stream, witnesses, ms = 60000) {
  const missing = () => stream.sent.flatMap((sent, partition) =>
    Array.from({ length: sent }, (_, n) => n)
      .filter((n) => !witnesses.some((witness) => witness.has(partition, n)))
      .map((n) => `${partition}/${n}`));
  await until(() => missing().length === 0, 'every number arrives', ms).catch(() => {});
  assert.deepEqual(missing(), [], 'numbers that never arrived');
  for (const witness of witnesses) witness.assertOrder();
}

describeKafka('Apache Kafka', () => RealKafka.start(), { skip });

describe('a broker that comes and goes', { skip }, () => {
  it('configuration 29: the gateway starts first, the broker later', async (t) => {
    const base = await freePortRange(4);
    const topic = fresh('late');
    const started = Date.now();
    const gateway = await testGateway(t, { env: {
      KAFKA_BROKERS: `127.0.0.1:${base}`, KAFKA_SOURCE_TOPICS: topic,
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group'), KAFKA_RESTART_DELAY_MS: '2000' } });
    assert.ok(Date.now() - started < 3000);
    assert.equal((await gateway.internal('/health')).text, 'OK');

    const broker = await RealKafka.start({ base });
    t.after(() => broker.stop());
    await broker.createTopic(topic);
    const producer = await Producer.open(broker.bootstrap);
    t.after(() => producer.close());
    await untilConsuming(gateway, producer, topic, 1, 7000);
  });

  it('supervision: a broker is killed under load and comes back', async (t) => {
    const broker = await RealKafka.start();
    t.after(() => broker.stop());
    const topic = fresh('killed');
    await broker.createTopic(topic, 2);
    const producer = await Producer.open(broker.bootstrap);
    t.after(() => producer.close());
    const gateway = await testGateway(t, { env: {
      KAFKA_BROKERS: broker.bootstrap, KAFKA_SOURCE_TOPICS: topic,
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group'), KAFKA_RESTART_DELAY_MS: '2000' } });
    await untilConsuming(gateway, producer, topic, 2);

    const witness = await Witness.open(gateway);
    t.after(() => witness.close());
    const stream = new Stream(producer, topic, 2);
    for (let i = 0; i < 2; i++) {
      await stream.more(200);
      await broker.kill(1);
      assert.equal((await gateway.internal('/health')).status, 200);
      await broker.restart(1);
      await stream.more(200);
    }
    await stream.stop();
    await assertComplete(stream, [witness]);
  });
});

describe('three brokers and two gateways', { skip }, () => {
  const partitions = 6;
  let broker;
  let producer;

  before(async () => {
    broker = await RealKafka.start({ nodes: 3 });
    producer = await Producer.open(broker.bootstrap);
  });
  after(async () => {
    await producer?.close();
    await broker?.stop();
  });

  async function prepare(t, consume) {
    const topic = fresh('shared');
    await broker.createTopic(topic, partitions);
    const env = {
      KAFKA_BROKERS: broker.bootstrap, KAFKA_SOURCE_TOPICS: topic, KAFKA_CONSUME: consume,
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group') };
    const start = async () => {
      const gateway = await Gateway.start({ env });
      t.after(() => gateway.kill());
      return gateway;
    };
    const watch = async (gateway) => {
      const witness = await Witness.open(gateway);
      t.after(() => witness.close());
      return witness;
    };
    return { topic, start, watch };
  }

  it('supervision: in group mode a second gateway joins and leaves during a stream', async (t) => {
    const { topic, start, watch } = await prepare(t, 'group');
    const first = await start();
    await untilConsuming(first, producer, topic, partitions);
    const witnesses = [await watch(first)];
    const stream = new Stream(producer, topic, partitions);
    await stream.more(300);

    const second = await start();
    witnesses.push(await watch(second));
    await until(() => witnesses[1].seen.size > 0, 'the second gateway has its share', 30000);
    await stream.more(300);
    await second.stop();
    await stream.more(300);
    const third = await start();
    witnesses.push(await watch(third));
    await until(() => witnesses[2].seen.size > 0, 'the third gateway has its share', 30000);
    await stream.stop();
    await assertComplete(stream, witnesses);
    await third.stop();
    await first.stop();
  });

  it('supervision: in group mode a gateway that is killed loses nothing for the others', async (t) => {
    const { topic, start, watch } = await prepare(t, 'group');
    const first = await start();
    await untilConsuming(first, producer, topic, partitions);
    const second = await start();
    const witnesses = [await watch(first), await watch(second)];
    const stream = new Stream(producer, topic, partitions);
    await until(() => witnesses[1].seen.size > 0, 'the second gateway has its share', 30000);
    await stream.more(300);
    second.kill();
    // Its partitions are given to the first once the broker misses its heartbeats.
    await stream.more(100);
    await stream.stop();
    await assertComplete(stream, witnesses, 90000);
    await first.stop();
  });

  it('supervision: with KAFKA_CONSUME=all each gateway delivers everything', async (t) => {
    const { topic, start, watch } = await prepare(t, 'all');
    const first = await start();
    await untilConsuming(first, producer, topic, partitions);
    const witness = await watch(first);
    const stream = new Stream(producer, topic, partitions);
    await stream.more(200);
    const second = await start();
    await untilConsuming(second, producer, topic, partitions);
    const late = await watch(second);
    await stream.more(200);
    await stream.stop();
    await assertComplete(stream, [witness]);
    for (const [partition, numbers] of late.seen) {
      // From the first one that it saw on, there is no gap.
      const from = Math.min(...numbers);
      await until(() => numbers.size === stream.sent[partition] - from, 'no gap', 10000);
    }
    late.assertOrder();
    await second.stop();
    await first.stop();
  });

  it('supervision: of three brokers each may be killed in turn', async (t) => {
    const { topic, start, watch } = await prepare(t, 'group');
    const gateway = await start();
    await untilConsuming(gateway, producer, topic, partitions);
    const witness = await watch(gateway);
    const stream = new Stream(producer, topic, partitions);
    for (let node = 1; node <= 3; node++) {
      await stream.more(100);
      await broker.kill(node);
      await stream.more(100);
      await broker.restart(node);
    }
    await stream.more(100);
    await stream.stop();
    await assertComplete(stream, [witness]);
    await gateway.stop();
  });
});

describe('secured brokers', { skip }, () => {
  let broker;
  let producer;
  const topic = fresh('secured');

  before(async () => {
    broker = await RealKafka.start({ secure: true });
    await broker.createTopic(topic);
    producer = await Producer.open(broker.bootstrap);
  });
  after(async () => {
    await producer?.close();
    await broker?.stop();
  });

  const start = (t, brokers, env) => testGateway(t, { env: {
    KAFKA_BROKERS: brokers, KAFKA_SOURCE_TOPICS: topic,
    KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group'), KAFKA_RESTART_DELAY_MS: '1000', ...env } });
  const tls = (name) => `${broker.directory}/tls/${name}`;

  it('configuration 36: the password is all behind the second colon', async (t) => {
    const gateway = await start(t, broker.saslBootstrap, { KAFKA_SASL: 'plain:alice:a:b' });
    await untilConsuming(gateway, producer, topic);
    assert.ok(!gateway.run.output.includes('a:b'));
  });

  it('configuration 36: with a wrong password nothing is consumed and the gateway goes on', async (t) => {
    const gateway = await start(t, broker.saslBootstrap, { KAFKA_SASL: 'plain:alice:wrong' });
    await gateway.run.printed(/\[error\].*authenticat|authenticat.*error|Authentication failed/i, 15000);
    assert.equal((await gateway.internal('/health')).status, 200);
    assert.ok(!gateway.run.output.includes('alice:wrong'));
  });

  it('configuration 37: TLS without a client certificate', async (t) => {
    const gateway = await start(t, broker.tlsBootstrap, {
      KAFKA_SSL_ENABLED: '1', KAFKA_SSL_CA_CERTFILE: tls('ca.crt.pem'),
      KAFKA_SSL_CERTFILE: '', KAFKA_SSL_KEYFILE: '' });
    await untilConsuming(gateway, producer, topic);
  });

  it('configuration 37: TLS with a client certificate', async (t) => {
    const gateway = await start(t, broker.tlsBootstrap, {
      KAFKA_SSL_ENABLED: '1', KAFKA_SSL_CA_CERTFILE: tls('ca.crt.pem'),
      KAFKA_SSL_CERTFILE: tls('client.crt.pem'), KAFKA_SSL_KEYFILE: tls('client.key.pem') });
    await untilConsuming(gateway, producer, topic);
  });

  it('configuration 38: a broker with another authority\'s certificate is refused', async (t) => {
    const gateway = await start(t, broker.tlsBootstrap, {
      KAFKA_SSL_ENABLED: '1', KAFKA_SSL_CA_CERTFILE: tls('other-ca.crt.pem'),
      KAFKA_SSL_CERTFILE: '', KAFKA_SSL_KEYFILE: '' });
    await gateway.run.printed(/certificate/i, 15000);
    await producer.send(topic, ev('a', {}));
    assert.equal(await gateway.metric('rig_consumed_events_total', { source: 'kafka' }), 0);
    assert.equal((await gateway.internal('/health')).status, 200);
  });
});
