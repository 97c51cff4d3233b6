// Answers that come by another way than the request's.
//
// - A request whose service says 202 gets the answer that comes by /v3/responses or by Kafka, once,
//   byte for byte, also if that was first.
// - Nobody who has not got the id can answer; who gets no answer in time is told so.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SENT, SET_A, altered, ask, bus, corsOf, environment, respond, suiteApis }
  from '../support/echo-backend.mjs';
import { Gateway, testGateway } from '../support/gateway.mjs';
import { RawConnection } from '../support/http.mjs';
import { HttpService } from '../support/http-service.mjs';
import { EmbeddedKafka, Producer, committed, fresh } from '../support/kafka.mjs';
import { SseStream } from '../support/sse.mjs';
import { until } from '../support/wait.mjs';

const JSON_TYPE = { 'content-type': 'application/json;charset=utf-8' };

describe('answers by /v3/responses', () => {
  const suite = suiteApis((port) => [bus(port)]);
  const assertSent = ({ status, text }) => assert.deepEqual({ status, text }, { status: 202, text: SENT });

  it('api-gateway 69: an answer before the 202 of the service', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    assertSent(await respond(suite.gateway, id, 201, '{"a":1}', JSON_TYPE));
    answer(202, { 'x-of': 'the service' }, 'accepted');
    const { status, headers, text } = await client;
    assert.equal(status, 201);
    assert.equal(headers['content-type'], JSON_TYPE['content-type']);
    assert.equal(headers['x-of'], undefined);
    assert.equal(text, '{"a":1}');
    assert.deepEqual(corsOf(headers), SET_A);
  });

  it('api-gateway 69: an answer after it', async () => {
    const { id, client, answer } = await ask(suite, '/async?b=2&a=1');
    answer(202);
    assertSent(await respond(suite.gateway, id, 201, '{"a":1}', JSON_TYPE));
    const { status, headers, text } = await client;
    assert.equal(status, 201);
    assert.equal(text, '{"a":1}');
    assert.deepEqual(corsOf(headers), SET_A);
  });

  it('api-gateway 11.6: the id replaces a parameter of its name', async () => {
    const { id, client, answer } = await ask(suite, '/async?correlation=mine&b=2');
    assert.match(id, /^[A-Za-z0-9_=-]{20,256}$/);
    answer(202);
    assertSent(await respond(suite.gateway, id, 200, 'x'));
    assert.equal((await client).text, 'x');
    const { path } = suite.backend.requests.at(-1);
    assert.equal(path.match(/correlation=/g).length, 1);
    assert.match(path, /[?&]b=2(&|$)/);
  });

  for (const status of [200, 400]) {
    it(`api-gateway 70: a service that says ${status} has answered`, async () => {
      const { id, client, answer } = await ask(suite, '/async');
      assertSent(await respond(suite.gateway, id, 201, 'async'));
      answer(status, {}, 'sync');
      const got = await client;
      assert.deepEqual([got.status, got.text], [status, 'sync']);
      assertSent(await respond(suite.gateway, id, 201, 'late'));
    });
  }

  it('api-gateway 71: without an answer it is 504 after five seconds', async () => {
    const timeouts = () => suite.gateway.metric('rig_proxy_requests_total',
      { path: '/async', response_from: 'http_async', status: 'response_timeout' });
    const counted = await timeouts();
    const { client, answer } = await ask(suite, '/async');
    const started = Date.now();
    answer(202);
    const { status, headers, text } = await client;
    const ms = Date.now() - started;
    assert.deepEqual([status, text], [504, '']);
    assert.deepEqual(corsOf(headers), SET_A);
    assert.ok(ms > 4800 && ms < 6500, `after ${ms} ms`);
    assert.equal(await timeouts(), counted + 1);
  });

  it('api-gateway 74: of two answers the first is used', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    assertSent(await respond(suite.gateway, id, 201, 'first'));
    assertSent(await respond(suite.gateway, id, 500, 'second'));
    answer(202);
    const { status, text } = await client;
    assert.deepEqual([status, text], [201, 'first']);
  });

  it('api-gateway 77: the bytes stay what they are', async () => {
    const body = Buffer.concat([Buffer.from('{ "b":1, "a":2 }\n'), Buffer.from([0, 255, 13, 10])]);
    const { id, client, answer } = await ask(suite, '/async');
    answer(202);
    assertSent(await respond(suite.gateway, id, 200, body, { 'content-type': 'image/png' }));
    const { headers, text } = await client;
    assert.equal(text, body.toString('utf8'));
    assert.equal(headers['content-type'], 'image/png');
    assert.equal(headers['content-length'], String(body.length));
  });

  it('api-gateway 77: a body of eight megabytes', async () => {
    const body = 'x'.repeat(8_000_000);
    const { id, client, answer } = await ask(suite, '/async');
    answer(202);
    assertSent(await respond(suite.gateway, id, 200, body));
    assert.equal((await client).text, body);
  });

  it('api-gateway 78: what speaks of the caller stays inside', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    answer(202);
    assertSent(await respond(suite.gateway, id, 200, 'x', {
      'user-agent': 'x', accept: 'y', 'x-forwarded-for': '10.0.0.1', 'x-total': '7',
      'set-cookie': ['a=1', 'b=2'], location: '/there' }));
    const { headers } = await client;
    for (const name of ['user-agent', 'accept', 'host', 'x-forwarded-for', 'rig-correlation',
      'rig-response-code']) {
      assert.equal(headers[name], undefined, name);
    }
    assert.equal(headers['x-total'], '7');
    assert.equal(headers.location, '/there');
    assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
  });

  it('api-gateway 79: a connection token is no id', async (t) => {
    const stream = await SseStream.open(suite.gateway);
    t.after(() => stream.close());
    assert.equal((await respond(suite.gateway, stream.token, 200, 'x')).status, 400);
  });

  it('api-gateway 11.8: 204 has no body', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    answer(202);
    assertSent(await respond(suite.gateway, id, 204, 'body'));
    const { status, text } = await client;
    assert.deepEqual([status, text], [204, '']);
  });

  it('api-gateway 11.7: an answer by HTTP is good for who waits for Kafka', async () => {
    const { id, client, answer } = await ask(suite, '/viak');
    answer(202);
    assertSent(await respond(suite.gateway, id, 200, 'x'));
    assert.equal((await client).text, 'x');
  });

  it('api-gateway 11.7: who has gone is forgotten', async () => {
    let raw;
    const open = async () => {
      raw = await RawConnection.open(suite.gateway.port);
      raw.write('GET /async HTTP/1.1\r\nhost: a\r\n\r\n');
    };
    let got;
    const asked = new Promise((resolve) => {
      suite.backend.answer = (request, response) => resolve({ request, response });
    });
    await open();
    got = await asked;
    const id = new URL(got.request.path, 'http://e').searchParams.get('correlation');
    got.response.writeHead(202).end();
    raw.close();
    assertSent(await respond(suite.gateway, id, 200, 'late'));
    // And the gateway goes on.
    const next = await ask(suite, '/async');
    next.answer(202);
    assertSent(await respond(suite.gateway, next.id, 200, 'x'));
    assert.equal((await next.client).text, 'x');
  });
});

describe('answers that cannot be used', () => {
  const suite = suiteApis((port) => [bus(port)], { PROXY_HTTP_ASYNC_RESPONSE_TIMEOUT: '600' });
  const assertTimesOut = async ({ client, answer }) => {
    answer(202);
    const { status, headers, text } = await client;
    assert.deepEqual([status, text], [504, '']);
    assert.deepEqual(corsOf(headers), SET_A);
  };

  for (const code of ['abc201', '99', '199', '600', '1000', '']) {
    it(`api-gateway 72: the code ${JSON.stringify(code)} is refused`, async () => {
      const asked = await ask(suite, '/async');
      assert.equal((await respond(suite.gateway, asked.id, code, 'x')).status, 400);
      await assertTimesOut(asked);
    });
  }

  it('api-gateway 73: an id of which one character is another', async () => {
    const asked = await ask(suite, '/async');
    assert.equal((await respond(suite.gateway, altered(asked.id), 200, 'x')).status, 400);
    await assertTimesOut(asked);
  });

  it('api-gateway 11.6: an id of the start before reaches nobody', async (t) => {
    const env = environment([bus(suite.backend.port)],
      { NODE_COOKIE: 'the same', PROXY_HTTP_ASYNC_RESPONSE_TIMEOUT: '600' });
    const first = await Gateway.start({ env });
    const old = await ask({ backend: suite.backend, gateway: first }, '/async');
    old.answer(200);
    await old.client;
    await first.stop();
    const gateway = await testGateway(t, { env });
    const asked = await ask({ backend: suite.backend, gateway }, '/async');
    assert.equal((await respond(gateway, old.id, 200, 'x')).status, 202);
    await assertTimesOut(asked);
  });
});

describe('answers by Kafka', () => {
  const topic = fresh('answers');
  const group = fresh('group');
  const assigned = new RegExp(`kafka partitions assigned partitions=[1-9]\\d* group=${group}`);
  const suite = { backend: null, gateway: null };
  let broker;
  let producer;

  const kafkaEnvironment = (more = {}) => ({
    KAFKA_BROKERS: broker.bootstrap, KAFKA_SOURCE_TOPICS: fresh('unused'), LOG_LEVEL: 'info',
    PROXY_KAFKA_RESPONSE_TOPICS: topic, PROXY_KAFKA_RESPONSE_KAFKA_GROUP_ID: group, ...more });

  before(async () => {
    broker = await EmbeddedKafka.start();
    await broker.createTopic(topic);
    producer = await Producer.open(broker.bootstrap);
    suite.backend = await new HttpService().listen();
    suite.gateway = await Gateway.start({ env: environment(
      [bus(suite.backend.port)],
      kafkaEnvironment({ PROXY_KAFKA_RESPONSE_TIMEOUT: '2000' })) });
    await suite.gateway.run.printed(assigned, 30000);
  });
  after(async () => {
    await suite.gateway?.stop();
    await suite.backend?.close();
    await producer?.close();
    await broker?.stop();
  });

  const answerBy = (id, code, body, headers = {}) => producer.send(topic, body, { headers: {
    'rig-correlation': id, 'rig-response-code': String(code), ...headers } });
  const assertTea = async (client) => {
    const { status, headers, text } = await client;
    assert.deepEqual([status, text], [418, 'tea']);
    assert.equal(headers['content-type'], 'text/plain');
    return headers;
  };

  it('api-gateway 75: a message is the answer', async () => {
    const { id, client, answer } = await ask(suite, '/viak');
    answer(202);
    await answerBy(id, 418, 'tea', { 'content-type': 'text/plain', 'x-a': '1', date: 'never' });
    const headers = await assertTea(client);
    assert.equal(headers['x-a'], '1');
    assert.notEqual(headers.date, 'never');
    assert.equal(headers['rig-correlation'], undefined);
    assert.deepEqual(corsOf(headers), SET_A);
  });

  it('api-gateway 75: it may come first, and its headers in any case', async () => {
    const { id, client, answer } = await ask(suite, '/viak');
    await producer.send(topic, 'tea', { headers: {
      'RIG-Correlation': id, 'Rig-Response-Code': '418', 'Content-Type': 'text/plain' } });
    await until(async () => (await committed(broker.bootstrap, group, topic)).end > 0, 'it is there');
    answer(202);
    await assertTea(client);
  });

  it('api-gateway 11.8: what is no answer is counted, told, and passed over', async () => {
    const counts = async () => [await suite.gateway.metric('rig_consumed_events_total', { topic }),
      await suite.gateway.metric('rig_consumed_events_failed_total', { topic })];
    const before = await counts();
    const { id, client, answer } = await ask(suite, '/viak');
    answer(202);
    await producer.send(topic, 'nothing');
    await producer.send(topic, 'no code', { headers: { 'rig-correlation': id } });
    await answerBy(id, 'abc201', 'no number');
    await answerBy(id, 600, 'no status');
    await answerBy(altered(id), 200, 'not the id');
    await answerBy('!!!', 200, 'no id');
    await answerBy(id, 418, 'tea', { 'content-type': 'text/plain', 'x-bad': 'a\r\nx-b: 1' });
    const headers = await assertTea(client);
    assert.equal(headers['x-bad'], undefined);
    assert.equal(headers['x-b'], undefined);
    await until(async () => (await counts())[0] === before[0] + 7, 'all are counted');
    assert.equal((await counts())[1], before[1] + 6);
    await suite.gateway.run.printed(/bad message skipped topic=answers-\S+ .*reason="header rig-correlation is missing"/);
    assert.ok(!suite.gateway.run.output.includes(id), 'the log has no ids');
  });

  it('api-gateway 11.8: without an answer it is 504', async () => {
    const { client, answer } = await ask(suite, '/viak');
    answer(202);
    const { status, headers, text } = await client;
    assert.deepEqual([status, text], [504, '']);
    assert.deepEqual(corsOf(headers), SET_A);
  });

  it('api-gateway 11.8: answers are read once a definition waits for them', async (t) => {
    const mine = fresh('group');
    const gateway = await testGateway(t, { env: kafkaEnvironment({
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group'), PROXY_KAFKA_RESPONSE_KAFKA_GROUP_ID: mine }) });
    const { status } = await gateway.internal('/v3/apis', { method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(bus(suite.backend.port)) });
    assert.equal(status, 201);
    await gateway.run.printed(
      new RegExp(`kafka partitions assigned partitions=[1-9]\\d* group=${mine}`), 30000);
    const { id, client, answer } = await ask({ backend: suite.backend, gateway }, '/viak');
    answer(202);
    await answerBy(id, 418, 'tea', { 'content-type': 'text/plain' });
    await assertTea(client);
  });
});
