// The configuration.
//
// - Every variable does what it says; empty is the same as unset.
// - A wrong value is told before any port is open: one line each, naming the variable.
// - Old names work or are told about.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { definition, withEndpoints } from '../support/apis.mjs';
import { runToEnd, suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE, ev, post, put } from '../support/events.mjs';
import { SigningKey } from '../support/jwt.mjs';
import { freePorts, isListening } from '../support/ports.mjs';
import { SseStream } from '../support/sse.mjs';
import { until } from '../support/wait.mjs';

const DEFAULT_PORTS = Object.fromEntries(
  ['INBOUND_PORT', 'API_HTTP_PORT', 'INBOUND_HTTPS_PORT', 'API_HTTPS_PORT'].map((name) => [name]));

/** Skips a test that needs a fixed port which something else on this machine holds. */
async function needPorts(t, ...ports) {
  for (const port of ports) {
    if (await isListening(port)) {
      t.skip(`port ${port} is in use`);
      return false;
    }
  }
  return true;
}

/** The program must refuse this environment: one line for each of these variables, and no more. */
async function assertFails(env, names) {
  const started = Date.now();
  const { code, stderr, stdout } = await runToEnd(['serve'], { env });
  assert.equal(code, 1, stderr);
  assert.ok(Date.now() - started < 2000);
  const lines = stderr.split('\n').filter((line) => line.startsWith('rgate: configuration error: '));
  assert.deepEqual(
    lines.map((line) => line.split(': ')[2]).sort(), [...names].sort(), stderr);
  assert.doesNotMatch(stdout, /port: http/);
  return stderr;
}

describe('values', () => {
  it('configuration 1: without variables the default ports answer, and no others', async (t) => {
    if (!await needPorts(t, 4000, 4001, 4010, 4011, 9568)) return;
    const gateway = await testGateway(t, { env: DEFAULT_PORTS });
    assert.equal(gateway.port, 4000);
    assert.equal(gateway.internalPort, 4010);
    for (const [port, is] of [[4000, true], [4010, true], [4001, false], [4011, false], [9568, false]]) {
      assert.equal(await isListening(port), is, `port ${port}`);
    }
  });

  it('configuration 2: ports as given', async (t) => {
    const [inbound, internal] = await freePorts(2);
    const gateway = await testGateway(
      t, { env: { INBOUND_PORT: String(inbound), API_HTTP_PORT: ` ${internal} ` } });
    assert.equal(gateway.port, inbound);
    assert.equal(gateway.internalPort, internal);
    assert.equal((await gateway.internal('/health')).text, 'OK');
  });

  for (const port of ['abc', '70000', '40 00', '-1', '4000x', '0x10', '4e3']) {
    it(`configuration 3: INBOUND_PORT=${port} is refused`, async () => {
      const stderr = await assertFails({ INBOUND_PORT: port }, ['INBOUND_PORT']);
      assert.ok(stderr.includes(`(got "${port}")`), stderr);
    });
  }

  it('configuration 4: two listeners cannot share a port', async () => {
    const { code, stderr } = await runToEnd(['serve'], { env: { INBOUND_PORT: '4010' } });
    assert.equal(code, 1);
    assert.match(stderr, /rgate: configuration error: (INBOUND_PORT|API_HTTP_PORT): /);
  });

  it('configuration 1: a port in use is told by the variable that chose it', async (t) => {
    const gateway = await testGateway(t);
    for (const name of ['INBOUND_PORT', 'API_HTTP_PORT']) {
      await assertFails({ INBOUND_PORT: '0', API_HTTP_PORT: '0', [name]: String(gateway.port) }, [name]);
    }
  });

  it('configuration 5: an empty value is no value', async (t) => {
    if (!await needPorts(t, 4000)) return;
    const gateway = await testGateway(t, { env: { INBOUND_PORT: '', LOG_LEVEL: '  ', CORS: '',
      KAFKA_BROKERS: '', EXTRACTORS: '', NODE_COOKIE: '' } });
    assert.equal(gateway.port, 4000);
    const { headers } = await post(gateway, ev('a', {}));
    assert.equal(headers['access-control-allow-origin'], '*');
  });

  it('configuration 6: all problems are told at once', async () => {
    await assertFails({ INBOUND_PORT: 'x', JWT_ALG: 'none', LOG_FMT: 'yaml' },
      ['INBOUND_PORT', 'JWT_ALG', 'LOG_FMT']);
    await assertFails(
      { INBOUND_PORT: 'x', LOG_LEVEL: 'loud', LOG_FMT: 'yaml', HEARTBEAT_INTERVAL: '1.5' },
      ['INBOUND_PORT', 'LOG_LEVEL', 'LOG_FMT', 'HEARTBEAT_INTERVAL']);
  });

  for (const [value, is] of [['0', false], ['no', false], ['FALSE', false], ['1', true], ['Yes', true]]) {
    it(`configuration 7: PROMETHEUS_METRICS_ENABLED=${value}`, async (t) => {
      const gateway = await testGateway(t, { env: { PROMETHEUS_METRICS_ENABLED: value } });
      const { status, headers, text } = await gateway.internal('/metrics');
      assert.equal(status, is ? 200 : 404);
      if (is) assert.equal(headers['content-type'], 'text/plain; version=0.0.4');
      else assert.deepEqual(JSON.parse(text), { errors: { detail: 'Not found' } });
    });
  }

  it('configuration 7: PROMETHEUS_METRICS_ENABLED=maybe is refused', () =>
    assertFails({ PROMETHEUS_METRICS_ENABLED: 'maybe' }, ['PROMETHEUS_METRICS_ENABLED']));

  it('configuration 8: LOG_LEVEL in any case; another word is refused', async (t) => {
    await testGateway(t, { env: { LOG_LEVEL: 'WARN' } });
    await assertFails({ LOG_LEVEL: 'loud' }, ['LOG_LEVEL']);
  });

  it('configuration 8: warnings that are not written keep nothing from starting', async (t) => {
    const gateway = await testGateway(t, { env: { LOG_LEVEL: 'error' } });
    assert.doesNotMatch(gateway.run.stdout, /warning/);
  });

  it('configuration 8: with LOG_FMT=JSON every line is an object', async (t) => {
    const gateway = await testGateway(t, { env: { LOG_FMT: 'JSON', LOG_LEVEL: 'debug' } });
    await gateway.get('/_rig/health');
    await post(gateway, ev('a', {}));
    await gateway.stop();
    const lines = gateway.run.stdout.trimEnd().split('\n');
    assert.ok(lines.length > 1);
    for (const line of lines) {
      const record = JSON.parse(line);
      assert.deepEqual(Object.keys(record).sort(), ['message', 'metadata', 'severity', 'time'], line);
      assert.match(record.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.ok(['debug', 'info', 'warn', 'error'].includes(record.severity), line);
    }
  });

  it('configuration 9: LOG_FMT=gcl tells of a request', async (t) => {
    const gateway = await testGateway(t, { env: { LOG_FMT: 'gcl', LOG_LEVEL: 'info' } });
    await gateway.request({ path: '/nowhere', headers: { 'x-request-id': 'a-request-of-twenty!' } });
    const [line] = await gateway.run.printed(/^\{.*\/nowhere.*$/m);
    const record = JSON.parse(line);
    assert.equal(record.severity, 'INFO');
    assert.ok('logging.googleapis.com/operation' in record, line);
  });

  for (const [alg, key] of [['RS256', 'hello'], ['ES256', 'hello'], ['EdDSA', 'hello'],
    ['ES256', new SigningKey('RS256').setting], ['RS256', new SigningKey('ES256').setting],
    ['ES256', new SigningKey('ES384').setting], ['RS256', '-----BEGIN PUBLIC KEY-----\nhello']]) {
    it(`configuration 11: JWT_ALG=${alg} with a key that does not fit (${key.slice(0, 40)}) is refused`,
      async () => {
        const stderr = await assertFails({ JWT_ALG: alg, JWT_SECRET_KEY: key }, ['JWT_SECRET_KEY']);
        assert.ok(!stderr.includes('hello'), stderr);
      });
  }

  for (const alg of ['ES', 'HS255', 'hs256', 'HS256,RS256']) {
    it(`configuration 6: JWT_ALG=${alg} is refused`, () =>
      assertFails({ JWT_ALG: alg, JWT_SECRET_KEY: 'secret' }, ['JWT_ALG']));
  }

  for (const name of ['SUBSCRIPTION_CHECK', 'SUBMISSION_CHECK']) {
    for (const value of ['jwt', 'check.example', 'ftp://check.example/', 'http://', 'https:/x']) {
      it(`configuration 13: ${name}=${value} is refused`, () =>
        assertFails({ [name]: value, ...FIXTURE }, [name]));
    }

    for (const value of ['NO_CHECK', 'no_check', ' JWT_Validation ', 'http://check.example:8080/Path',
      'HTTPS://check.example']) {
      it(`configuration 13: ${name}=${value} starts`, (t) =>
        testGateway(t, { env: { ...FIXTURE, [name]: value } }));
    }

    it(`configuration 13: ${name}=jwt_validation without a key is refused`, async () => {
      const { code, stderr } = await runToEnd(['serve'], { env: { [name]: 'jwt_validation' } });
      assert.equal(code, 1);
      assert.match(stderr, /rgate: configuration error: (JWT_SECRET_KEY|SUBSCRIPTION_CHECK|SUBMISSION_CHECK): /);
    });
  }

  for (const [name, values] of [
    ['JWT_SESSION_FIELD', ['sid', '#/sid']], ['JWT_JWKS', ['/no/such/file']],
    ['JWT_LEEWAY', ['-1', 'soon']], ['TICKET_LIFETIME', ['0', '1s']],
    ['JWT_EXPIRY_CLOSES', ['maybe']], ['JWT_CACHE_ENTRIES', ['-1']],
    ['MAX_CONNECTIONS_PER_MINUTE', ['-1', 'many']], ['MAX_CLIENTS', ['-1', 'many']],
    ['MAX_CONNECTIONS_PER_ADDRESS', ['-1', 'many']], ['COMPRESSION', ['zip']],
    ['INBOUND_HTTPS_PORT', ['70000']], ['API_HTTPS_PORT', ['x']], ['HTTP2', ['maybe']],
    ['HTTP2_MAX_STREAMS', ['-1']],
  ]) {
    for (const value of values) {
      it(`configuration section 2: ${name}=${value} is refused`, () =>
        assertFails({ [name]: value }, [name]));
    }
  }

  it('configuration section 11: a request is logged without its secrets', async (t) => {
    const gateway = await testGateway(t, { env: { LOG_LEVEL: 'debug' } });
    await gateway.get('/_rig/v1/connection/sse?jwt=secret-token&subscriptions=%5B%5D');
    const stream = await SseStream.open(gateway);
    t.after(() => stream.close());
    assert.equal((await put(gateway, stream.token, { subscriptions: [] })).status, 204);
    await gateway.request({ path: '/nowhere?a=1', headers: {
      cookie: 'connection_token=secret-cookie', authorization: 'Bearer secret-bearer' } });
    await gateway.run.printed(/nowhere/);
    await gateway.stop();
    assert.doesNotMatch(gateway.run.output, /secret-/);
    assert.ok(!gateway.run.output.includes(stream.token), 'a connection token is a secret, too');
  });

  it('configuration section 11: what a client sends cannot forge a line of the log', async (t) => {
    const gateway = await testGateway(t, { env: { LOG_LEVEL: 'debug' } });
    await gateway.get('/a%0Aforged%1B%5B31m');
    await post(gateway, `{"specversion":"0.2","type":"a\\nforged","id":"\\u001b[31m"}`);
    await gateway.stop();
    assert.doesNotMatch(gateway.run.output, /^forged|\x1b\[31m/m);
  });

  for (const [what, value, place] of [
    ['no index', '{"greeting":{"name":{"event":{"json_pointer":"/data/name"}}}}', /stable_field_index/],
    ['an index twice', '{"a":{"x":{"stable_field_index":0,"event":{"json_pointer":"/x"}},'
      + '"y":{"stable_field_index":0,"event":{"json_pointer":"/y"}}}}', /stable_field_index/],
    ['a negative index', '{"a":{"x":{"stable_field_index":-1,"event":{"json_pointer":"/x"}}}}',
      /stable_field_index/],
    ['no pointer', '{"a":{"x":{"stable_field_index":0}}}', /json_pointer/],
    ['an empty pointer', '{"a":{"x":{"stable_field_index":0,"event":{"json_pointer":""}}}}', /json_pointer/],
    ['a pointer without slash', '{"a":{"x":{"stable_field_index":0,"event":{"json_pointer":"x"}}}}',
      /json_pointer/],
    ['broken JSON', '{"a":', /line 1|column|place|end/],
    ['a file that does not exist', '/no/such/file', /no\/such\/file/],
  ]) {
    it(`configuration 12: EXTRACTORS with ${what} is refused`, async () => {
      assert.match(await assertFails({ EXTRACTORS: value }, ['EXTRACTORS']), place);
    });
  }
});

describe('routes', () => {
  const route = { host: 'UP_HOST', port: 1, path: '/a/{id}', method: 'GET', auth: false };

  it('configuration 14: an empty list of routes starts', (t) =>
    testGateway(t, { env: { PROXY_CONFIG_FILE: '[]' } }));

  for (const value of ['{}', '/no/such/file', '[{', '[5]']) {
    it(`configuration 14: PROXY_CONFIG_FILE=${value} is refused`, () =>
      assertFails({ PROXY_CONFIG_FILE: value }, ['PROXY_CONFIG_FILE']));
  }

  it('configuration 14: what is no JSON is told by line and column', async () => {
    assert.match(await assertFails({ PROXY_CONFIG_FILE: '[\n  {]' }, ['PROXY_CONFIG_FILE']),
      /PROXY_CONFIG_FILE: not JSON: line 2 column 4: /);
  });

  it('configuration 15: a file of definitions below priv/ is loaded', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'rgate-priv-'));
    t.after(() => rm(directory, { recursive: true }));
    await mkdir(join(directory, 'priv'));
    await writeFile(join(directory, 'priv', 'apis.json'),
      JSON.stringify([definition('b'), definition('a')]));
    const gateway = await testGateway(t, { env: { PROXY_CONFIG_FILE: 'apis.json' }, cwd: directory });
    const { json } = await gateway.internal('/v3/apis');
    assert.deepEqual(json().map(({ id }) => id), ['a', 'b']);
  });

  it('configuration 16: an endpoint without a method is told by its ids', async () => {
    const stderr = await assertFails({ PROXY_CONFIG_FILE: JSON.stringify(
      [definition('good'), withEndpoints('shop', [{ id: 'items', path_regex: '/items' }])]) },
    ['PROXY_CONFIG_FILE']);
    assert.match(stderr,
      /: \/1\/version_data\/default\/endpoints\/0\/method: API "shop", endpoint "items": method must be string$/m);
  });

  it('configuration 16: every mistake is told, and once', async () => {
    const stderr = await assertFails({ PROXY_CONFIG_FILE: JSON.stringify(
      [{ id: 'x' }, withEndpoints('y', [{ id: 'e', method: 'GET', path_regex: '/x(' }])]) },
    Array(4).fill('PROXY_CONFIG_FILE'));
    assert.match(stderr, /API "y", endpoint "e": path_regex must be a valid regular expression: ./);
  });

  it('configuration 17: two definitions of one id are refused', async () => {
    const stderr = await assertFails(
      { PROXY_CONFIG_FILE: JSON.stringify([definition('a'), definition('b'), definition('a')]) },
      ['PROXY_CONFIG_FILE']);
    assert.match(stderr, /PROXY_CONFIG_FILE: \/2\/id: API "a": id is that of \/0 already$/m);
  });

  it('configuration 17: definitions and routes of 2017 do not mix', () => assertFails(
    { PROXY_CONFIG_FILE: JSON.stringify([definition('a'), route]) }, ['PROXY_CONFIG_FILE']));

  it('configuration: rgate check shows what definitions lead to', async () => {
    const { code, stdout, stderr } = await runToEnd(['check', '--no-connect'], { env: { ...FIXTURE,
      ORDERS: 'orders.example', PROXY_CONFIG_FILE: JSON.stringify([
        withEndpoints('orders', [
          { id: 'list', method: 'get', path_regex: '/orders', secured: true },
          { id: 'place', method: 'POST', path_regex: '/orders', target: 'kafka', topic: 'in' },
        ], { auth_type: 'jwt', proxy: { use_env: true, target_url: 'ORDERS', port: 8080 } }),
        definition('none'), definition('old', { versioned: true }),
      ]) } });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^routes +orders: GET \/orders to orders\.example, port 8080, with a token$/m);
    assert.match(stdout, /^ +orders: POST \/orders to kafka topic in$/m);
    assert.match(stdout, /^ +none: no endpoints$/m);
    assert.match(stdout, /^ +old: not used, because it is versioned$/m);
    assert.match(stderr, /API .*old.* is never used: it is versioned/);
  });

  it('configuration 15: the file is looked for below priv/, too', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'rgate-priv-'));
    t.after(() => rm(directory, { recursive: true }));
    await mkdir(join(directory, 'priv'));
    await writeFile(join(directory, 'priv', 'routes.json'), JSON.stringify([route]));
    const gateway = await testGateway(
      t, { env: { PROXY_CONFIG_FILE: 'routes.json' }, cwd: directory });
    assert.equal((await gateway.get('/a/1')).status, 502); // nobody listens on port 1
  });

  it('legacy-channels 14.1.1: every mistake in a list of routes is told with its place', async () => {
    const stderr = await assertFails({ PROXY_CONFIG_FILE: JSON.stringify(
      [route, { ...route, port: 0, auth: 'yes' }, { ...route, path: '/a/{name}', host: undefined }]) },
    Array(4).fill('PROXY_CONFIG_FILE'));
    for (const place of ['/1/port', '/1/auth', '/2/path', '/2/host']) {
      assert.match(stderr, new RegExp(`PROXY_CONFIG_FILE: ${place}: `));
    }
  });

  it('legacy-channels 14.1: rgate check shows routes', async () => {
    const { code, stdout } = await runToEnd(['check', '--no-connect'],
      { env: { ...FIXTURE, UP_HOST: 'up.example',
        PROXY_CONFIG_FILE: JSON.stringify([route, { ...route, path: 'b', auth: true }]) } });
    assert.equal(code, 0);
    assert.match(stdout, /^routes +GET \/a\/\{id\} to up\.example, port 1$/m);
    assert.match(stdout, /^ +GET \/b to up\.example, port 1, with a token$/m);
  });
});

describe('old names', () => {
  it('configuration 19: PORT is the old name of INBOUND_PORT', async (t) => {
    const [port, other] = await freePorts(2);
    const gateway = await testGateway(
      t, { env: { INBOUND_PORT: undefined, PORT: String(port) } });
    assert.equal(gateway.port, port);
    await gateway.run.printed(/PORT/);
    const both = await testGateway(
      t, { env: { INBOUND_PORT: String(other), PORT: String(port + 1) } });
    assert.equal(both.port, other);
    await both.run.printed(/\bPORT\b/);
  });

  it('configuration 20: ORIGIN is the old name of CORS', async (t) => {
    const origin = async (env) => {
      const gateway = await testGateway(t, { env });
      return (await post(gateway, ev('a', {}))).headers['access-control-allow-origin'];
    };
    assert.equal(await origin({ ORIGIN: 'https://a.example' }), 'https://a.example');
    assert.equal(await origin({ ORIGIN: 'https://a.example', CORS: '*' }), '*');
  });

  it('configuration 23: a retired name has one warning and no effect', async (t) => {
    if (!await needPorts(t, 4010, 4444)) return;
    const gateway = await testGateway(t, { env: { API_PORT: '4444', API_HTTP_PORT: undefined } });
    assert.equal(gateway.internalPort, 4010);
    assert.equal(await isListening(4444), false);
    await gateway.run.printed(/API_PORT/);
    assert.equal(gateway.run.output.match(/\bAPI_PORT\b/g).length, 1);
  });
});

describe('Kafka settings', () => {
  it('configuration 29: a closed port instead of a broker keeps nothing from starting', async (t) => {
    const started = Date.now();
    const gateway = await testGateway(t, { env: { ...FIXTURE, KAFKA_BROKERS: '127.0.0.1:1' } });
    assert.equal((await gateway.internal('/health')).status, 200);
    assert.ok(Date.now() - started < 3000);
    const stream = await SseStream.open(gateway, { subscriptions: [{ eventType: 'a' }] });
    t.after(() => stream.close());
    await post(gateway, ev('a', {}));
    await stream.next('a');
  });

  it('configuration 30: a broker without port has 9092', async (t) => {
    await testGateway(t, { env: { KAFKA_BROKERS: 'localhost' } });
    const { stdout } = await runToEnd(
      ['check', '--no-connect'], { env: { KAFKA_BROKERS: 'localhost' } });
    assert.match(stdout, /localhost:9092/);
  });

  for (const brokers of ['localhost:xyz', ':9092', 'localhost:0', 'localhost:70000', 'a:1,b:x']) {
    it(`configuration 30: KAFKA_BROKERS=${brokers} is refused`, () =>
      assertFails({ KAFKA_BROKERS: brokers }, ['KAFKA_BROKERS']));
  }

  for (const sasl of ['scram:u:p', 'plain:u', 'plain', 'plain::p']) {
    it(`configuration 36: KAFKA_SASL=${sasl} is refused, and not shown`, async () => {
      const { code, stderr } = await runToEnd(
        ['serve'], { env: { KAFKA_BROKERS: '127.0.0.1:1', KAFKA_SASL: sasl } });
      assert.equal(code, 1);
      assert.match(stderr, /rgate: configuration error: KAFKA_SASL: /);
      assert.ok(!stderr.includes(sasl), stderr);
    });
  }

  it('configuration 37: TLS without the default files is refused', async () => {
    const { code, stderr } = await runToEnd(
      ['serve'], { env: { KAFKA_BROKERS: '127.0.0.1:1', KAFKA_SSL_ENABLED: '1' }, cwd: '/' });
    assert.equal(code, 1);
    assert.match(stderr, /rgate: configuration error: KAFKA_SSL_CA_CERTFILE: /);
  });

  for (const [name, value] of [['KAFKA_SOURCE_TOPICS', 'a b'], ['KAFKA_CONSUME', 'some'],
    ['KAFKA_RESTART_DELAY_MS', 'soon'], ['KAFKA_PROPERTIES', 'no.such.property=1']]) {
    it(`configuration section 2.4: ${name}=${value} is refused`, () =>
      assertFails({ KAFKA_BROKERS: '127.0.0.1:1', [name]: value }, [name]));
  }
});

describe('the internal port', () => {
  const suite = suiteGateway({});

  it('management-api 1: health', async () => {
    const { status, text, headers } = await suite.gateway.internal('/health');
    assert.equal(status, 200);
    assert.equal(text, 'OK');
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    const head = await suite.gateway.internal('/health', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
  });

  it('management-api 2: what is not there', async () => {
    const { status, text } = await suite.gateway.internal('/x');
    assert.equal(status, 404);
    assert.deepEqual(JSON.parse(text), { errors: { detail: 'Not found' } });
  });

  it('management-api 50: metrics have their types even before there is a value', async () => {
    const { text } = await suite.gateway.internal('/metrics');
    for (const name of ['rig_consumed_events_total', 'rig_consumed_events_failed_total',
      'rig_consumed_events_forwarded_total', 'rig_subscriptions_total', 'process_cpu_seconds_total',
      'process_resident_memory_bytes', 'process_open_fds', 'process_start_time_seconds']) {
      assert.match(text, new RegExp(`^# TYPE ${name} `, 'm'));
    }
  });

  it('management-api 53: an event for two clients is forwarded once', async (t) => {
    const { gateway } = suite;
    const subscriptions = [{ eventType: 'for.two' }];
    const before = await gateway.metric('rig_subscriptions_total');
    const streams = [await SseStream.open(gateway, { subscriptions }),
      await SseStream.open(gateway, { subscriptions })];
    t.after(() => streams.forEach((stream) => stream.close()));
    assert.equal(await gateway.metric('rig_subscriptions_total'), before + 2);
    await post(gateway, ev('for.two', {}));
    for (const stream of streams) await stream.next('for.two');
    await until(
      async () => await gateway.metric('rig_consumed_events_forwarded_total', { type: 'for.two' }) === 1,
      'the event is counted once');
    streams[0].close();
    await until(async () => await gateway.metric('rig_subscriptions_total') === before + 1,
      'a closed client has no subscriptions');
  });
});
