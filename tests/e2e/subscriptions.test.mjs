// Setting the subscriptions of a live connection.
//
// - A set that is acknowledged is in force, and replaces everything that was there before.
// - A request that is refused changes nothing, and says why with the sentence clients rely on.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, publish, put, receivedUntilLast, subscribe }
  from '../support/events.mjs';
import { bearer, token } from '../support/jwt.mjs';
import { SseStream } from '../support/sse.mjs';
import { WsClient } from '../support/websocket.mjs';
import { until } from '../support/wait.mjs';

const CHAT = { eventType: 'chat.posted' };
const A = { eventType: 'type.a' };
const B = { eventType: 'type.b' };
const asSet = (...list) => list.map((one) => ({ oneOf: [], ...one }));

describe('setting subscriptions', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const open = async (t, subscriptions = []) => {
    const stream = await SseStream.open(suite.gateway, { subscriptions });
    t.after(() => stream.close());
    return stream;
  };
  const refused = (response, status, beginning) => {
    assert.equal(response.status, status, response.text);
    assert.ok(response.text.startsWith(beginning), response.text);
    assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(response.headers['access-control-allow-origin'], '*');
  };

  for (const transport of ['sse', 'ws', 'longpolling']) {
    const number = transport === 'sse' ? 43 : 44;
    it(`client-api ${number}: a PUT below /${transport}/ sets what it says`, async (t) => {
      const stream = await open(t);
      const set = await subscribe(stream, [CHAT], { transport });
      assert.deepEqual(set.data, asSet(CHAT));
    });
  }

  it('client-api 44: another transport\'s name is no path of ours', async (t) => {
    const stream = await open(t);
    const { status } = await put(suite.gateway, stream.token, { subscriptions: [] },
      { transport: 'smoke-signals' });
    assert.equal(status, 404);
  });

  it('client-api 45: the content type may have parameters', async (t) => {
    const stream = await open(t);
    await subscribe(stream, [], { headers: { 'content-type': 'application/json; charset=utf-8' } });
  });

  for (const type of ['text/plain', 'nonsense', undefined]) {
    it(`client-api 46: content type ${type} is refused`, async (t) => {
      const stream = await open(t);
      const headers = { 'content-type': type, 'content-length': '20' };
      if (type === undefined) delete headers['content-type'];
      const response = await suite.gateway.request({
        method: 'PUT', path: `${V1}/connection/sse/${stream.token}/subscriptions`, headers,
        body: '{"subscriptions":[]}',
      });
      refused(response, 400, 'Expected JSON encoded body.');
    });
  }

  it('client-api 47: a body that is not JSON is refused', async (t) => {
    const stream = await open(t);
    refused(await put(suite.gateway, stream.token, '{'), 400, 'Expected JSON encoded body.');
  });

  for (const body of ['{"foo":1}', '[]']) {
    it(`client-api 48: the body ${body} is refused`, async (t) => {
      const stream = await open(t);
      refused(await put(suite.gateway, stream.token, body), 400,
        'Expected field "subscriptions" is not present.');
    });
  }

  for (const [number, body] of [[49, '{"subscriptions":[{"a":1}]}'], [50, '{"subscriptions":"x"}']]) {
    it(`client-api ${number}: ${body} is refused and changes nothing`, async (t) => {
      const stream = await open(t, [CHAT, LAST]);
      refused(await put(suite.gateway, stream.token, body), 400,
        'cannot accept subscription request: could not parse given subscriptions');
      const event = await publish(suite.gateway, ev('chat.posted', {}));
      assert.deepEqual(await receivedUntilLast(stream), [event]);
    });
  }

  for (const [accept, status] of [['text/html', 406], ['text/html, */*;q=0.1', 204],
    ['application/*', 406], ['application/json', 204], ['nonsense, application/json', 204]]) {
    it(`client-api 51: accept: ${accept} is answered ${status}`, async (t) => {
      const stream = await open(t);
      const response = await put(suite.gateway, stream.token, { subscriptions: [] },
        { headers: { accept } });
      assert.equal(response.status, status, response.text);
    });
  }

  for (const token of ['!!!', 'abcd', 'A'.repeat(64), 'A'.repeat(5000)]) {
    it(`client-api 52: the token ${token.slice(0, 10)}${token.length > 10 ? '…' : ''} is refused`,
      async () => {
        refused(await put(suite.gateway, token, { subscriptions: [] }), 400,
          'Invalid connection token.');
      });
  }

  it('client-api 52: a token with one changed character is refused', async (t) => {
    const { token } = await open(t);
    const changed = token.slice(0, 8) + (token[8] === 'x' ? 'y' : 'x') + token.slice(9);
    refused(await put(suite.gateway, changed, { subscriptions: [] }), 400,
      'Invalid connection token.');
  });

  for (const Client of [SseStream, WsClient]) {
    it(`client-api 53: the token of a ${Client.name} that has gone is recognised`, async () => {
      const client = await Client.open(suite.gateway);
      client.close();
      const response = await until(async () => {
        const answer = await put(suite.gateway, client.token, { subscriptions: [] });
        return answer.status !== 204 && answer;
      }, 'the gateway notices that the client has gone', 2000);
      refused(response, 410, 'Connection no longer exists.');
    });
  }

  it('client-api 54: a bearer that does not verify is refused', async (t) => {
    const stream = await open(t, [CHAT, LAST]);
    refused(await put(suite.gateway, stream.token, { subscriptions: [] },
      { headers: { authorization: 'Bearer nonsense' } }), 400,
    'cannot accept subscription request: invalid authorization header');
    const event = await publish(suite.gateway, ev('chat.posted', {}));
    assert.deepEqual(await receivedUntilLast(stream), [event]);
  });

  it('client-api 55: other schemes are not looked at', async (t) => {
    const stream = await open(t);
    await subscribe(stream, [], { headers: { authorization: 'Basic eDp5' } });
  });

  it('client-api 56: one bearer that does not verify among others is enough', async (t) => {
    const stream = await open(t);
    refused(await put(suite.gateway, stream.token, { subscriptions: [] },
      { headers: bearer(token({ username: 'ada' }), 'nonsense') }), 400,
    'cannot accept subscription request: invalid authorization header');
    refused(await put(suite.gateway, stream.token, { subscriptions: [] },
      { headers: { authorization: 'Basic eDp5, Bearer nonsense' } }), 400,
    'cannot accept subscription request: invalid authorization header');
  });

  it('client-api 57: the preflight', async () => {
    const { status, headers, text } = await suite.gateway.request({
      method: 'OPTIONS', path: `${V1}/connection/sse/whatever/subscriptions`,
    });
    assert.equal(status, 204);
    assert.equal(text, '');
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.equal(headers['access-control-allow-methods'], 'PUT');
    assert.equal(headers['access-control-allow-headers'].replaceAll(' ', ''),
      'content-type,authorization');
  });

  it('client-api 58: a second set replaces the first', async (t) => {
    const stream = await open(t);
    await subscribe(stream, [A, LAST]);
    assert.deepEqual((await subscribe(stream, [B, LAST])).data, asSet(B, LAST));
    await publish(suite.gateway, ev('type.a', {}));
    const event = await publish(suite.gateway, ev('type.b', {}));
    assert.deepEqual(await receivedUntilLast(stream), [event]);
  });

  it('client-api 59: an empty set ends what matched before', async (t) => {
    const stream = await open(t, [A]);
    assert.deepEqual((await subscribe(stream, [])).data, []);
    await publish(suite.gateway, ev('type.a', {}));
    await subscribe(stream, [LAST]);
    assert.deepEqual(await receivedUntilLast(stream), []);
  });

  it('client-api 10.9: constraints are listed as they were given', async (t) => {
    const stream = await open(t);
    const given = { eventType: 'chat.posted',
      oneOf: [{ room: null, unknown: { deep: [1, 'x'] } }, {}, { size: 1.5 }] };
    assert.deepEqual((await subscribe(stream, [given])).data, [given]);
  });
});
