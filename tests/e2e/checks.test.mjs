// SUBSCRIPTION_CHECK and SUBMISSION_CHECK.
//
// - Who may subscribe and publish is decided by a token or by a service of the operator's.
// - A service that is asked learns what the client has sent, and its answer is not second-guessed:
//   what is not a clear yes is a no.
// - However slow that service is, only those who wait for its answer notice.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { suiteCheckService } from '../support/check-service.mjs';
import { TRANSPORTS, assertRefused, connect } from '../support/clients.mjs';
import { FIXTURE, LAST, ev, post, publish, put, receivedUntilLast, subscribe }
  from '../support/events.mjs';
import { freePorts } from '../support/ports.mjs';
import { bearer, now, token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';

const NOT_AUTHORIZED = { text: /^Subscription denied \(not authorized\)\./ };
const A = { eventType: 'a' };
const AN_HOUR_AGO = () => token({ exp: now() - 3600 });

function assertDenied(response, text) {
  assert.equal(response.status, 403, response.text);
  assert.ok(response.text.startsWith(text), response.text);
  assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(response.headers['access-control-allow-origin'], '*');
}
const assertSubscriptionDenied = (response) => assertDenied(response, 'Subscription denied.');
const assertSubmissionDenied = (response) => assertDenied(response, 'Submission denied.');

for (const value of ['jwt_validation', 'JWT_Validation']) {
  describe(`SUBSCRIPTION_CHECK=${value}`, () => {
    const suite = suiteGateway({ env: { ...FIXTURE, SUBSCRIPTION_CHECK: value } });

    it('client-api 108: who asks for nothing needs no token', async (t) => {
      await connect(t, 'sse', suite.gateway);
      await connect(t, 'sse', suite.gateway, { subscriptions: '' });
      await connect(t, 'sse', suite.gateway, { jwt: token() });
    });

    for (const transport of TRANSPORTS) {
      const number = transport === 'longpolling' ? 111 : 108;
      it(`client-api ${number}: who asks for something does (${transport})`, async (t) => {
        for (const subscriptions of [[], [A]]) {
          await assertRefused(transport, suite.gateway, { subscriptions }, NOT_AUTHORIZED);
          await connect(t, transport, suite.gateway, { subscriptions, jwt: token() });
          await assertRefused(transport, suite.gateway, { subscriptions, jwt: AN_HOUR_AGO() });
        }
      });
    }

    it('client-api 109: a set needs a good token, however it is written', async (t) => {
      const { token: id } = await connect(t, 'sse', suite.gateway);
      const attempt = (headers, subscriptions = []) =>
        put(suite.gateway, id, { subscriptions }, { headers });
      assertSubscriptionDenied(await attempt({}));
      assertSubscriptionDenied(await attempt({}, [A]));
      assertSubscriptionDenied(await attempt({ authorization: 'Basic eDp5' }));
      assertSubscriptionDenied(await attempt(bearer(AN_HOUR_AGO())));
      for (const scheme of ['Bearer ', 'bearer ', 'BEARER ', '']) {
        const { status, text } = await attempt({ authorization: scheme + token() });
        assert.equal(status, 204, text);
      }
    });

    it('client-api 110: the check comes before the connection token', async () => {
      assertSubscriptionDenied(await put(suite.gateway, 'abcd', { subscriptions: [] }));
    });

    it('client-api 110: and behind the body', async (t) => {
      const { token: id } = await connect(t, 'sse', suite.gateway);
      assert.equal((await put(suite.gateway, id, '{')).status, 400);
    });

    it('client-api 109: what is denied changes nothing', async (t) => {
      const client = await connect(t, 'sse', suite.gateway, { subscriptions: [LAST], jwt: token() });
      assertSubscriptionDenied(await put(suite.gateway, client.token, { subscriptions: [A] }));
      await publish(suite.gateway, ev('a', {}));
      assert.deepEqual(await receivedUntilLast(client), []);
    });

    it('client-api 14.4: publishing is not concerned', () => publish(suite.gateway, ev('a', {})));
  });
}

describe('SUBSCRIPTION_CHECK=<url>', () => {
  const service = suiteCheckService();
  const suite = suiteGateway(
    () => ({ env: { ...FIXTURE, SUBSCRIPTION_CHECK: service.address, REACTORS: '1' } }));
  const asked = async () => {
    const request = await service.asked.next('a question');
    assert.equal(service.asked.length, 0, 'one question');
    return request;
  };

  it('client-api 112: who asks for nothing is not asked about', async (t) => {
    const before = service.requests.length;
    await connect(t, 'sse', suite.gateway);
    await connect(t, 'sse', suite.gateway, { jwt: token() });
    assert.equal(service.requests.length, before);
  });

  for (const transport of TRANSPORTS) {
    it(`client-api 112: a connect is asked about (${transport})`, async (t) => {
      service.says(200);
      const jwt = token({ username: 'ada' });
      const subscriptions = [{ eventType: 'a', oneOf: [{ x: 'Grüß "dich"' }] }];
      await connect(t, transport, suite.gateway, { jwt, subscriptions });
      const request = await asked();
      assert.equal(request.method, 'POST');
      assert.equal(request.path, '/Check/Here');
      assert.equal(request.headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(request.headers.authorization, `Bearer ${jwt}`);
      assert.deepEqual(JSON.parse(request.body), { subscriptions });
    });

    it(`client-api 112: without a token there is no authorization (${transport})`, async (t) => {
      service.says(204);
      await connect(t, transport, suite.gateway, { subscriptions: [] });
      const request = await asked();
      assert.equal('authorization' in request.headers, false);
      assert.deepEqual(JSON.parse(request.body), { subscriptions: [] });
    });

    for (const status of [401, 403, 400, 404, 500, 304]) {
      it(`client-api 113: ${status} is a no (${transport})`, async (t) => {
        service.says(status);
        await assertRefused(transport, suite.gateway, { subscriptions: [A] }, NOT_AUTHORIZED);
        const { token: id } = await connect(t, transport, suite.gateway);
        assertSubscriptionDenied(await put(suite.gateway, id, { subscriptions: [A] }));
        service.asked.drain();
      });
    }
  }

  for (const status of [301, 302, 307]) {
    it(`client-api 113: ${status} is a no, and not followed`, async (t) => {
      service.answer = ({ path }, response) => response.writeHead(
        path === '/allowed' ? 200 : status, { location: service.url('/allowed') }).end();
      await assertRefused('sse', suite.gateway, { subscriptions: [A] }, NOT_AUTHORIZED);
      const { token: id } = await connect(t, 'sse', suite.gateway);
      assertSubscriptionDenied(await put(suite.gateway, id, { subscriptions: [A] }));
      assert.ok(service.asked.drain().every(({ path }) => path === '/Check/Here'));
    });
  }

  it('client-api 113: an answer that breaks off is a no', async () => {
    service.answer = (request, response) => response.destroy();
    await assertRefused('sse', suite.gateway, { subscriptions: [A] }, NOT_AUTHORIZED);
    service.asked.drain();
  });

  it('client-api 114: a set is asked about as it was sent', async (t) => {
    service.says(200);
    const client = await connect(t, 'sse', suite.gateway);
    const body = '{ "more": [1.50],\n\t"subscriptions":[ {"eventType":"a","x":null} ]}';
    const headers = { 'content-type': 'application/json;charset=UTF-8; x="y"',
      authorization: `Basic eDp5, Bearer ${token()}` };
    const response = await put(suite.gateway, client.token, body, { headers });
    assert.equal(response.status, 204, response.text);
    const request = await asked();
    assert.equal(request.body, body);
    assert.equal(request.headers.authorization, headers.authorization);
    assert.equal(request.headers['content-type'], headers['content-type']);
    assert.deepEqual((await client.next('rig.subscriptions_set')).data,
      [{ eventType: 'a', oneOf: [] }]);
  });

  it('client-api 114: a set without authorization is asked about without', async (t) => {
    service.says(200);
    const client = await connect(t, 'sse', suite.gateway);
    await subscribe(client, []);
    assert.equal('authorization' in (await asked()).headers, false);
  });

  it('client-api 114: the service may decide by what is asked for', async (t) => {
    service.decides(({ body }) => (body.includes('forbidden') ? 403 : 200));
    const client = await connect(t, 'sse', suite.gateway, { subscriptions: [LAST] });
    await subscribe(client, [A, LAST]);
    assertSubscriptionDenied(
      await put(suite.gateway, client.token, { subscriptions: [{ eventType: 'forbidden' }] }));
    const event = await publish(suite.gateway, ev('a', {}));
    await publish(suite.gateway, ev('forbidden', {}));
    assert.deepEqual(await receivedUntilLast(client), [event]);
    service.asked.drain();
  });

  it('client-api 14.2: a token that is not good is not asked about', async () => {
    service.says(200);
    const before = service.requests.length;
    await assertRefused('sse', suite.gateway, { subscriptions: [A], jwt: AN_HOUR_AGO() });
    assert.equal(service.requests.length, before);
  });

  it('client-api 14.5: who waits for the answer keeps nobody else waiting', async (t) => {
    service.says(200);
    const client = await connect(t, 'sse', suite.gateway, { subscriptions: [LAST, A] });
    service.asked.drain();
    service.holds();
    const waiting = TRANSPORTS.map((transport) =>
      connect(t, transport, suite.gateway, { subscriptions: [LAST] }));
    const setting = put(suite.gateway, client.token, { subscriptions: [LAST] });
    for (let i = 0; i < 4; i++) await service.asked.next('a question');

    const started = Date.now();
    for (const transport of TRANSPORTS) await connect(t, transport, suite.gateway);
    const event = await publish(suite.gateway, ev('a', {}));
    assert.deepEqual(await receivedUntilLast(client), [event]);
    assert.ok(Date.now() - started < 2000);

    service.release();
    const clients = await Promise.all(waiting);
    assert.equal((await setting).status, 204);
    await client.next('rig.subscriptions_set');
    for (const one of clients) assert.deepEqual(await receivedUntilLast(one), []);
  });

  it('client-api 14.5: who goes away while waiting leaves nothing behind', async () => {
    service.asked.drain();
    service.holds();
    const before = await suite.gateway.metric('rig_subscriptions_total');
    const leaving = new AbortController();
    const url = suite.gateway.url(
      `${V1}/connection/sse?subscriptions=${encodeURIComponent(JSON.stringify([A]))}`);
    const gone = fetch(url, { signal: leaving.signal }).catch(() => {});
    await service.asked.next('a question');
    leaving.abort();
    await gone;
    service.release();
    await suite.gateway.get('/_rig/health');
    await until(async () => await suite.gateway.metric('rig_subscriptions_total') === before,
      'no subscription of a client that has gone');
  });
});

describe('a service that does not answer', { concurrency: true }, () => {
  const service = suiteCheckService();
  const never = suiteGateway(() => ({ env: { ...FIXTURE, SUBSCRIPTION_CHECK: service.address } }));

  it('client-api 113: no answer in time is a no', async (t) => {
    service.holds();
    const { token: id } = await connect(t, 'sse', never.gateway);
    const started = Date.now();
    const [response, setting] = await Promise.all([
      never.gateway.request({ path: `${V1}/connection/sse?subscriptions=[]` }, 20000),
      never.gateway.request({ method: 'PUT', path: `${V1}/connection/sse/${id}/subscriptions`,
        headers: { 'content-type': 'application/json' }, body: '{"subscriptions":[]}' }, 20000)]);
    assert.equal(response.status, 400, response.text);
    assertSubscriptionDenied(setting);
    const seconds = (Date.now() - started) / 1000;
    assert.ok(seconds > 3 && seconds < 15, `${seconds} s`);
  });

  it('client-api 113: a service that is down is a no', async (t) => {
    const [port] = await freePorts(1);
    const gateway = await testGateway(
      t, { env: { ...FIXTURE, SUBSCRIPTION_CHECK: `http://127.0.0.1:${port}/` } });
    for (const transport of TRANSPORTS) {
      await assertRefused(transport, gateway, { subscriptions: [A], jwt: token() }, NOT_AUTHORIZED);
    }
    const { token: id } = await connect(t, 'sse', gateway);
    assertSubscriptionDenied(await put(gateway, id, { subscriptions: [] }));
    await gateway.run.printed(/SUBSCRIPTION_CHECK/);
  });
});

describe('SUBMISSION_CHECK=jwt_validation', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, SUBMISSION_CHECK: 'jwt_validation' } });
  const event = () => ev('a', {});

  it('client-api 115: an event needs a good token', async (t) => {
    const client = await connect(t, 'sse', suite.gateway, { subscriptions: [A, LAST] });
    assertSubmissionDenied(await post(suite.gateway, event()));
    assertSubmissionDenied(await post(suite.gateway, event(), bearer(AN_HOUR_AGO())));
    assertSubmissionDenied(await post(suite.gateway, event(), bearer(token({}, { key: 'wrong' }))));
    assertSubmissionDenied(await post(suite.gateway, event(), { authorization: 'Basic eDp5' }));
    const accepted = [];
    for (const headers of [bearer(token()), bearer(AN_HOUR_AGO(), token()),
      { authorization: token() }, { authorization: `bearer ${token()}` }]) {
      accepted.push(await publish(suite.gateway, event(), headers));
    }
    const last = await publish(suite.gateway, ev(LAST.eventType, null), bearer(token()));
    for (const wanted of [...accepted, last]) assert.deepEqual(await client.next(), wanted);
  });

  it('client-api 115: what is no event is 400, whoever posts it', async () => {
    assert.equal((await post(suite.gateway, '{}')).status, 400);
  });

  it('client-api 115: the internal port asks nobody', async () => {
    const { status } = await suite.gateway.internal('/v3/messages', { method: 'POST',
      headers: { 'content-type': 'application/json' }, body: JSON.stringify(event()) });
    assert.equal(status, 202);
  });

  it('client-api 115: subscribing is not concerned', (t) =>
    connect(t, 'sse', suite.gateway, { subscriptions: [A] }));
});

describe('SUBMISSION_CHECK=<url>', () => {
  const service = suiteCheckService();
  const suite = suiteGateway(
    () => ({ env: { ...FIXTURE, SUBMISSION_CHECK: service.address, REACTORS: '1' } }));

  it('client-api 116: the service gets the event and says yes or no', async (t) => {
    service.decides(({ body }) => (body.includes('forbidden') ? 403 : 200));
    const client = await connect(t, 'sse', suite.gateway, { subscriptions: [A, LAST] });
    const authorization = `Bearer ${token()}`;
    const event = await publish(suite.gateway, ev('a', { text: 'Grüß dich' }), { authorization });
    const request = await service.asked.next();
    assert.equal(request.method, 'POST');
    assert.equal(request.path, '/Check/Here');
    assert.equal(request.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(request.headers.authorization, authorization);
    assert.deepEqual(JSON.parse(request.body), event);
    assertSubmissionDenied(await post(suite.gateway, ev('a', 'forbidden')));
    assert.equal('authorization' in (await service.asked.next()).headers, false);
    assert.deepEqual(await receivedUntilLast(client), [event]);
    service.asked.drain();
  });

  it('client-api 116: of an event in binary mode it gets the structured form', async () => {
    service.says(200);
    const response = await post(suite.gateway, '{"room":"blue"}', {
      'ce-specversion': '0.2', 'ce-type': 'chat.posted', 'ce-source': '/t', 'ce-id': '9' });
    assert.equal(response.status, 202, response.text);
    const request = await service.asked.next();
    assert.equal(request.headers['content-type'], 'application/json; charset=utf-8');
    assert.deepEqual(JSON.parse(request.body), { specversion: '0.2', type: 'chat.posted',
      source: '/t', id: '9', data: { room: 'blue' } });
  });

  for (const status of [401, 403, 500, 302]) {
    it(`client-api 116: ${status} is a no`, async () => {
      service.says(status, { location: service.url('/elsewhere') });
      assertSubmissionDenied(await post(suite.gateway, ev('a', {}), bearer(token())));
      assert.equal(service.asked.drain().length, 1);
    });
  }

  it('client-api 116: what is no event is not asked about', async () => {
    service.says(200);
    assert.equal((await post(suite.gateway, '{"specversion":"0.2"}')).status, 400);
    assert.equal(service.asked.drain().length, 0);
  });

  it('client-api 116: who waits for the answer keeps nobody else waiting', async (t) => {
    service.holds();
    const event = ev('a', {});
    const client = await connect(t, 'sse', suite.gateway, { subscriptions: [A] });
    const waiting = post(suite.gateway, event);
    await service.asked.next();
    await connect(t, 'ws', suite.gateway, { subscriptions: [A] });
    service.release();
    assert.equal((await waiting).status, 202);
    assert.deepEqual(await client.next('a'), event);
  });
});
