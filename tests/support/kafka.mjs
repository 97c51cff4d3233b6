// Brokers and producers.
//
// Two kinds of broker answer the same tests: the one inside of `rgate dev`, and real Apache Kafka by
// tools/kafka. Both have { bootstrap, createTopic(name, partitions), stop() }.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Gateway } from './gateway.mjs';
import { ev } from './events.mjs';
import { load } from './packages.mjs';
import { freePortRange } from './ports.mjs';
import { Inbox, until, within } from './wait.mjs';
import { WsClient } from './websocket.mjs';

const kafkajs = load('kafkajs');
const run = promisify(execFile);
const tool = fileURLToPath(new URL('../../tools/kafka', import.meta.url));

function client(bootstrap) {
  return new kafkajs.Kafka({
    clientId: 'rgate-tests',
    brokers: bootstrap.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 60 },
  });
}

/** A name that no other test has. */
export const fresh = (what) => `${what}-${randomUUID().slice(0, 8)}`;

/** Why real Kafka cannot be had here, or false. */
export async function kafkaUnavailable() {
  try {
    await run(tool, ['fetch'], { timeout: 400_000 });
    return false;
  } catch (error) {
    if (error.code === 77) return error.stderr.trim();
    throw error;
  }
}

/** The broker inside of `rgate dev`. Makes a topic when it is first asked for. */
export class EmbeddedKafka {
  #gateway;

  static async start() {
    const broker = new EmbeddedKafka();
    broker.#gateway = await Gateway.start({ command: 'dev' });
    return broker;
  }

  get bootstrap() {
    return this.#gateway.kafkaBootstrap;
  }

  async createTopic(topic) {
    const producer = await Producer.open(this.bootstrap);
    await producer.send(topic, '{"type":"topic.made"}');
    await producer.close();
  }

  stop() {
    return this.#gateway.stop();
  }
}

/** Nodes of Apache Kafka. */
export class RealKafka {
  directory;
  nodes;
  base;

  /** With secure there are listeners for SASL and TLS, too; see tools/kafka. */
  static async start({ nodes = 1, secure = false, base } = {}) {
    const broker = new RealKafka();
    broker.nodes = nodes;
    broker.base = base ?? await freePortRange(4 * nodes);
    broker.directory = await mkdtemp(join(tmpdir(), 'rgate-kafka-'));
    try {
      await broker.#tool(['start', broker.directory, String(nodes), String(broker.base)],
        { KAFKA_SECURE: secure ? '1' : '0' });
      await broker.#untilComplete();
    } catch (error) {
      await broker.stop();
      throw error;
    }
    return broker;
  }

  #tool(args, env = {}) {
    return run(tool, args, { env: { ...process.env, ...env }, timeout: 150_000 });
  }

  async #admin(work, bootstrap = this.bootstrap) {
    const admin = client(bootstrap).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  #untilComplete() {
    return this.#admin((admin) => until(
      async () => (await admin.describeCluster()).brokers.length === this.nodes,
      'all nodes are members of the cluster', 30000));
  }

  /** kind: 0 clear text, 2 SASL, 3 TLS. */
  #listeners(kind) {
    return Array.from({ length: this.nodes }, (_, i) => `127.0.0.1:${this.base + 4 * i + kind}`)
      .join(',');
  }

  get bootstrap() {
    return this.#listeners(0);
  }

  get saslBootstrap() {
    return this.#listeners(2);
  }

  get tlsBootstrap() {
    return this.#listeners(3);
  }

  async createTopic(topic, partitions = 1) {
    await this.#admin((admin) => admin.createTopics({ waitForLeaders: false, topics: [
      { topic, numPartitions: partitions, replicationFactor: Math.min(3, this.nodes) }] }));
    // Every node must know it, whichever the gateway asks.
    for (const node of this.bootstrap.split(',')) {
      await this.#admin((admin) => until(async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        return topics[0].partitions.length === partitions
          && topics[0].partitions.every(({ leader }) => leader > 0);
      }, `the topic ${topic} at ${node}`), node);
    }
  }

  kill(node) {
    return this.#tool(['kill', this.directory, String(node)]);
  }

  restart(node) {
    return this.#tool(['restart', this.directory, String(node)]);
  }

  async stop() {
    await this.#tool(['stop', this.directory]);
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Sends messages and waits until they are acknowledged. */
export class Producer {
  #producer;

  static async open(bootstrap) {
    const producer = new Producer();
    producer.#producer = client(bootstrap).producer({
      allowAutoTopicCreation: true,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await within(producer.#producer.connect(), 'the producer connects', 30000);
    return producer;
  }

  /** value: an event, a text or bytes. */
  async send(topic, value, { headers = {}, partition = 0, key } = {}) {
    await this.sendAll(topic, [value], { headers, partition, key });
  }

  /** Several in one request, in this order. */
  async sendAll(topic, values, { headers = {}, partition = 0, key } = {}) {
    await this.#producer.send({
      topic,
      acks: -1,
      timeout: 5000,
      messages: values.map((value) => ({
        key, headers, partition,
        value: typeof value === 'string' || Buffer.isBuffer(value) || value === null
          ? value : JSON.stringify(value),
      })),
    });
  }

  close() {
    return this.#producer.disconnect();
  }
}

/** Reads a topic from its beginning: { key, value, partition, headers, json() } one by one. */
export class Reader {
  messages = new Inbox();
  #consumer;

  static async open(bootstrap, topic) {
    const reader = new Reader();
    reader.#consumer = client(bootstrap).consumer(
      { groupId: fresh('reader'), maxWaitTimeInMs: 100 });
    await within(reader.#consumer.connect(), 'the reader connects', 30000);
    await reader.#consumer.subscribe({ topic, fromBeginning: true });
    await reader.#consumer.run({
      eachMessage: async ({ partition, message }) => {
        const value = message.value.toString('utf8');
        reader.messages.put({
          key: message.key?.toString('utf8') ?? null, value, partition,
          headers: Object.fromEntries(Object.entries(message.headers ?? {})
            .map(([name, header]) => [name, header.toString('utf8')])),
          json: () => JSON.parse(value),
        });
      },
    });
    return reader;
  }

  next(ms = 30000) {
    return this.messages.next('a message', ms);
  }

  close() {
    return this.#consumer.disconnect();
  }
}

/** Of a group and partition 0 of a topic: { offset, end }, both numbers; offset -1: none yet. */
export async function committed(bootstrap, groupId, topic) {
  const admin = client(bootstrap).admin();
  await admin.connect();
  try {
    const isFirst = ({ partition }) => partition === 0;
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const { offset } = partitions.find(isFirst);
    const { high } = (await admin.fetchTopicOffsets(topic)).find(isFirst);
    return { offset: Number(offset), end: Number(high) };
  } finally {
    await admin.disconnect();
  }
}

/**
 * Resolves when events of all these partitions reach clients of the gateway. A new consumer group
 * starts at the end of a topic, wherever that is when it gets there: so probes are sent until one of
 * each partition has arrived.
 */
export async function untilConsuming(gateway, producer, topic, partitions = 1, ms = 30000) {
  const type = fresh('probe');
  const probe = await WsClient.open(gateway, { subscriptions: [{ eventType: type }] });
  const missing = new Set(Array.from({ length: partitions }, (_, i) => i));
  const take = async () => {
    while (missing.size > 0) missing.delete((await probe.next(type, ms)).data);
  };
  const taking = take();
  taking.catch(() => {}); // awaited below
  try {
    await until(async () => {
      for (const partition of missing) {
        await producer.send(topic, ev(type, partition), { partition });
      }
      return missing.size === 0;
    }, `events of ${partitions} partitions of ${topic} arrive`, ms);
    await taking;
  } finally {
    probe.close();
  }
}
