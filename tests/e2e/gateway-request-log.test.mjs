// A record of each request that is sent on to a service, as REQUEST_LOG asks.
//
// - To the console it is one line, to Kafka an event with the endpoint.
// - Who is refused has none, and what is wrong with REQUEST_LOG is told at the start.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { echoBackend, environment, safe, shop } from '../support/echo-backend.mjs';
import { Gateway, runToEnd, testGateway } from '../support/gateway.mjs';
import { EmbeddedKafka, Reader, fresh } from '../support/kafka.mjs';
import { until } from '../support/wait.mjs';

const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const LINE = /^CALL: \[get\] GET \/items\/\(\[\^\/\]\+\) => http:\/\/127\.0\.0\.1$/m;

describe('REQUEST_LOG', () => {
  const fails = async (env, ...names) => {
    const { code, stderr } = await runToEnd(['serve'], { env }, 2000);
    assert.equal(code, 1);
    for (const name of names) assert.match(stderr, new RegExp(name));
  };

  it('configuration 10: a name that nobody knows', () =>
    fails({ REQUEST_LOG: 'console,file' }, 'configuration error: REQUEST_LOG.*file'));

  it('configuration 10: kafka without brokers', () =>
    fails({ REQUEST_LOG: 'kafka' }, 'configuration error: REQUEST_LOG', 'KAFKA_BROKERS'));

  it('configuration 10: nothing means nowhere', async (t) => {
    const backend = await echoBackend(t);
    const gateway = await testGateway(t,
      { env: environment([shop(backend.port)], { REQUEST_LOG: '' }) });
    assert.equal((await gateway.get('/items/5')).status, 200);
    assert.doesNotMatch(gateway.run.output, /CALL:/);
  });

  it('configuration section 2.3: a topic with answers needs the name of one', () =>
    fails({ PROXY_KAFKA_RESPONSE_TOPICS: 'a b' }, 'configuration error: PROXY_KAFKA_RESPONSE_TOPICS'));

  it('api-gateway 81: a line for each request', async (t) => {
    const backend = await echoBackend(t);
    const gateway = await testGateway(t,
      { env: environment([shop(backend.port), safe(backend.port)], { REQUEST_LOG: 'console' }) });
    assert.equal((await gateway.get('/nothing')).status, 404);
    assert.equal((await gateway.get('/private')).status, 401);
    assert.equal((await gateway.get('/items/5')).status, 200);
    await gateway.run.printed(LINE);
    assert.match(gateway.run.stdout, LINE);
    assert.equal(gateway.run.output.match(/CALL:/g).length, 1);
  });

  it('api-gateway 81: in a log of JSON it is a message', async (t) => {
    const backend = await echoBackend(t);
    const gateway = await testGateway(t, { env: environment([shop(backend.port)],
      { REQUEST_LOG: 'console', LOG_FMT: 'json' }) });
    assert.equal((await gateway.get('/items/5')).status, 200);
    const [line] = await gateway.run.printed(/^\{.*CALL: .*$/m);
    assert.equal(JSON.parse(line).message, 'CALL: [get] GET /items/([^/]+) => http://127.0.0.1');
  });

  it('api-gateway 82: an event for each request', async (t) => {
    const broker = await EmbeddedKafka.start();
    const topic = fresh('log');
    const backend = await echoBackend(t);
    const definition = shop(backend.port);
    let gateway;
    let reader;
    t.after(async () => {
      await reader?.close();
      await gateway?.stop();
      await broker.stop();
    });
    await broker.createTopic(topic);
    gateway = await Gateway.start({ env: environment([definition, safe(backend.port)], {
      REQUEST_LOG: 'kafka,console', KAFKA_BROKERS: broker.bootstrap, KAFKA_LOG_TOPIC: topic,
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group') }) });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    assert.equal((await gateway.get('/nothing')).status, 404);
    assert.equal((await gateway.get('/private')).status, 401);
    assert.equal((await gateway.get('/items/5?a=b', { traceparent, tracestate: 'a=1' })).status, 200);
    await gateway.run.printed(LINE);

    reader = await Reader.open(broker.bootstrap, topic);
    const next = async () => {
      for (;;) {
        const message = await reader.next();
        if (message.json().type !== 'topic.made') return message;
      }
    };
    const { key, headers, json } = await next();
    assert.equal(key, 'partition');
    assert.deepEqual(headers, { ce_contenttype: 'application/json' });
    const { id, time, traceparent: trace, ...rest } = json();
    assert.match(id, UUID4);
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/);
    assert.match(trace, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    assert.deepEqual(rest, {
      specversion: '0.2', type: 'com.rig.proxy.api.call', source: '/rig',
      contenttype: 'application/json', tracestate: 'a=1',
      data: { endpoint: definition.version_data.default.endpoints.find((e) => e.id === 'get'),
        request_path: '/items/5', remote_ip: '127.0.0.1' },
    });

    assert.equal((await gateway.get('/old/7/part/9')).status, 200);
    assert.equal((await next()).json().data.request_path, '/old/7/part/9');
    await until(async () => await gateway.metric('rig_produced_events_total',
      { target: 'kafka', topic }) === 2, 'both are counted');
  });
});
