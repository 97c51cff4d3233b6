// A record in Kafka of each request that a token let through to a service.
//
// - It says who asked whom for what, and is keyed by the user's name.
// - It never holds a request up, whatever state Kafka is in.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { cast, openWs } from '../support/channels.mjs';
import { Gateway, testGateway } from '../support/gateway.mjs';
import { now, token } from '../support/jwt.mjs';
import { HttpService } from '../support/http-service.mjs';
import { EmbeddedKafka, Reader, RealKafka, fresh, kafkaUnavailable } from '../support/kafka.mjs';
import { freePorts } from '../support/ports.mjs';
import { echo, environment } from '../support/routes.mjs';
import { until } from '../support/wait.mjs';

const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const as = (claims) => ({ authorization: token(claims) });
const ADA = { username: 'ada', role: ['customer'], jti: 'ja' };

function describeRequestLog(name, startBroker, options) {
  describe(`the request log: ${name}`, options, () => {
    const topic = fresh('log');
    let broker;
    let service;
    let gateway;
    let reader;
    let seen = 0;

    before(async () => {
      broker = await startBroker();
      await broker.createTopic(topic);
      service = await new HttpService(echo).listen();
      gateway = await Gateway.start({ env: environment(service.port,
        { KAFKA_BROKERS: broker.bootstrap, KAFKA_LOG_TOPIC: topic }) });
      reader = await Reader.open(broker.bootstrap, topic);
    });
    after(async () => {
      await reader?.close();
      await gateway?.stop();
      await service?.close();
      await broker?.stop();
    });

    /** The next record; what a broker's createTopic() may have left is passed over. */
    const record = async () => {
      for (;;) {
        const message = await reader.next();
        if (message.json().type !== 'PROXY_API_CALL') continue;
        seen++;
        return message;
      }
    };

    it('legacy-channels 86: a request with a token has a record', async () => {
      assert.equal((await gateway.get('/v1/users/7?a=b', as(ADA))).status, 200);
      const { key, json } = await record();
      assert.equal(key, 'ada');
      const { id, timestamp, ...rest } = json();
      assert.match(id, UUID4);
      assert.ok(Number.isInteger(timestamp) && Math.abs(timestamp - now()) < 10);
      assert.deepEqual(rest, {
        username: 'ada', jti: 'ja', type: 'PROXY_API_CALL', version: '1.0', level: 0,
        payload: {
          service_def: '%{"auth" => true, "host" => "UP_HOST", "method" => "GET", '
            + `"path" => "/v1/users/{id}", "port" => ${service.port}}`,
          request_path: '/v1/users/7',
          remote_ip: '127.0.0.1',
        },
      });
    });

    it('legacy-channels 15.4: so has one whose token is in the query', async () => {
      const { authorization } = as({ ...ADA, username: 'bob' });
      assert.equal((await gateway.get(`/v1/items?token=${authorization}`)).status, 200);
      const { key, json } = await record();
      assert.equal(key, 'bob');
      assert.equal(json().payload.request_path, '/v1/items');
    });

    it('legacy-channels 15.4: and one that came by IPv6', async () => {
      const { status } = await gateway.request(
        { host: '::1', path: '/v1/items', headers: as(ADA) });
      assert.equal(status, 200);
      assert.equal((await record()).json().payload.remote_ip, '::1');
    });

    it('legacy-channels 88: who needs no token, has no name or is refused has none', async () => {
      const warned = gateway.run.printed(/request not recorded.*the token names no user/);
      assert.equal((await gateway.request({ method: 'POST', path: '/v1/login' })).status, 200);
      assert.equal((await gateway.get('/v1/users/1', as({ jti: 'j' }))).status, 200);
      assert.equal((await gateway.get('/v1/users/2', as({ username: 'ada' }))).status, 200);
      assert.equal((await gateway.get('/v1/users/3')).status, 401);
      assert.equal((await gateway.get('/nowhere', as(ADA))).status, 404);
      await warned;
      assert.equal((await gateway.get('/v1/users/last', as(ADA))).status, 200);
      assert.equal((await record()).json().payload.request_path, '/v1/users/last');
    });

    it('management 7.1: records are counted', async () => {
      assert.equal((await gateway.get('/v1/users/7', as(ADA))).status, 200);
      await record();
      // A reader may have a record before its sender knows that it was taken.
      await until(async () => await gateway.metric('rig_produced_events_total',
        { target: 'kafka', topic }) === seen, `${seen} records are counted`);
      assert.equal(await gateway.metric('rig_produced_events_failed_total'), 0);
    });

    it('shutdown: what was recorded is sent before the end', async (t) => {
      const ending = await testGateway(t, { env: environment(service.port,
        { KAFKA_BROKERS: broker.bootstrap, KAFKA_LOG_TOPIC: topic }) });
      // Once, so that it knows its broker.
      assert.equal((await ending.get('/v1/users/first', as(ADA))).status, 200);
      assert.equal((await record()).json().payload.request_path, '/v1/users/first');
      assert.equal((await ending.get('/v1/users/end', as(ADA))).status, 200);
      await ending.stop();
      assert.equal((await record()).json().payload.request_path, '/v1/users/end');
    });
  });
}

describeRequestLog('embedded broker', () => EmbeddedKafka.start());

const skip = await kafkaUnavailable();
describeRequestLog('Apache Kafka', () => RealKafka.start(), { skip });

describe('partitions of the request log', { skip }, () => {
  it('legacy-channels 15.3: the name decides, by MurmurHash3', async (t) => {
    const broker = await RealKafka.start();
    const service = await new HttpService(echo).listen();
    const topic = fresh('log');
    let gateway;
    let reader;
    t.after(async () => {
      await reader?.close();
      await gateway?.stop();
      await service.close();
      await broker.stop();
    });
    await broker.createTopic(topic, 6);
    gateway = await Gateway.start({ env: environment(service.port,
      { KAFKA_BROKERS: broker.bootstrap, KAFKA_LOG_TOPIC: topic }) });
    reader = await Reader.open(broker.bootstrap, topic);
    const users = { a: 2, k1: 4, hello: 1, partition: 3 };
    for (const username of Object.keys(users)) {
      assert.equal((await gateway.get('/v1/users/7', as({ ...ADA, username }))).status, 200);
    }
    const found = {};
    while (Object.keys(found).length < 4) {
      const { key, partition } = await reader.next();
      found[key] = partition;
    }
    assert.deepEqual(found, users);
  });
});

describe('the request log and channels', () => {
  it('legacy-channels 87: a user sees the records of his requests', async (t) => {
    const broker = await EmbeddedKafka.start();
    const service = await new HttpService(echo).listen();
    let gateway;
    t.after(async () => {
      await gateway?.stop();
      await service.close();
      await broker.stop();
    });
    // The names of 2017, with which records and messages share the topic "message".
    gateway = await Gateway.start({ env: environment(service.port,
      { KAFKA_HOSTS: broker.bootstrap, KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group') }) });
    const { A, B, ada, bob } = cast();
    const socket = await openWs(t, gateway, { token: A });
    const other = await openWs(t, gateway, { token: B });
    await socket.joinOwn(`user:${ada}`);
    await other.joinOwn(`user:${bob}`);
    const ask = async (n, who = A) => assert.equal(
      (await gateway.get(`/v1/users/${n}`, { authorization: who })).status, 200);

    // A new group begins at the end of the topic, wherever that is when it gets there.
    let n = 0;
    await until(async () => {
      await ask(n++);
      return socket.mail.items.some(({ event }) => event === 'message');
    }, 'a record arrives', 30000);
    await ask('last');
    let payload;
    do {
      ({ payload } = await socket.find(`user:${ada}`, 'message'));
      assert.equal(payload.type, 'PROXY_API_CALL');
      assert.equal(payload.username, ada);
    } while (payload.payload.request_path !== '/v1/users/last');
    assert.ok(!other.mail.items.some(({ event }) => event === 'message'));
    await ask('other', B);
    assert.equal((await other.find(`user:${bob}`, 'message')).payload.payload.request_path,
      '/v1/users/other');
  });
});

describe('the request log without a broker', () => {
  it('legacy-channels 89: requests are answered without delay', async (t) => {
    const [port] = await freePorts(1);
    const service = await new HttpService(echo).listen();
    t.after(() => service.close());
    const gateway = await testGateway(t, { env: environment(service.port,
      { KAFKA_BROKERS: `127.0.0.1:${port}` }) });
    for (let i = 0; i < 50; i++) {
      const started = Date.now();
      assert.equal((await gateway.get('/v1/users/7', as(ADA))).status, 200);
      assert.ok(Date.now() - started < 500, `${Date.now() - started} ms`);
    }
    assert.equal(service.requests.length, 50);
  });

  it('legacy-channels 89: what cannot be recorded is warned of', async (t) => {
    const [port] = await freePorts(1);
    const service = await new HttpService(echo).listen();
    t.after(() => service.close());
    const gateway = await testGateway(t, { env: environment(service.port,
      { KAFKA_BROKERS: `127.0.0.1:${port}`, KAFKA_PROPERTIES: 'message.timeout.ms=1000' }) });
    assert.equal((await gateway.get('/v1/users/7', as(ADA))).status, 200);
    await gateway.run.printed(/request not recorded.*topic="?message/, 10000);
    assert.equal(await gateway.metric('rig_produced_events_failed_total', { topic: 'message' }), 1);
  });

  it('legacy-channels 15: without Kafka there are no records and no warnings', async (t) => {
    const service = await new HttpService(echo).listen();
    t.after(() => service.close());
    const gateway = await testGateway(t, { env: environment(service.port) });
    assert.equal((await gateway.get('/v1/users/7', as(ADA))).status, 200);
    assert.equal((await gateway.get('/v1/users/7', as({ jti: 'j' }))).status, 200);
    assert.doesNotMatch(gateway.run.output, /not recorded/);
    assert.doesNotMatch((await gateway.internal('/metrics')).text, /^rig_produced_events/m);
  });
});
