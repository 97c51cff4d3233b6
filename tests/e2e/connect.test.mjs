// Opening connections.
//
// - A stream or WebSocket that is accepted starts with who it is and what it is subscribed to.
// - What cannot be accepted is refused with the status and the sentence that clients rely on.
// - A connection that nobody writes to stays open and shows signs of life.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, publish, put, query, receivedUntilLast }
  from '../support/events.mjs';
import { RawConnection, exchange } from '../support/http.mjs';
import { bearer, token } from '../support/jwt.mjs';
import { SseStream, openEventSource } from '../support/sse.mjs';
import { OPCODE, RawWebSocket, WsClient, handshake } from '../support/websocket.mjs';
import { until } from '../support/wait.mjs';

const SSE = `${V1}/connection/sse`;
const WS = `${V1}/connection/ws`;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

async function openSse(t, gateway, parameters, headers) {
  const stream = await SseStream.open(gateway, parameters, headers);
  t.after(() => stream.close());
  return stream;
}

async function openWs(t, gateway, parameters) {
  const client = await WsClient.open(gateway, parameters);
  t.after(() => client.close());
  return client;
}

describe('connecting', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const refused = async (parameters, beginning) => {
    const { status, headers, text } = await suite.gateway.get(`${SSE}${query(parameters)}`);
    assert.equal(status, 400, text);
    assert.ok(text.startsWith(beginning), text);
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(headers['access-control-allow-origin'], '*');
  };

  it('client-api 1: health answers OK', async () => {
    const { status, headers, text } = await suite.gateway.get('/_rig/health');
    assert.equal(status, 200);
    assert.equal(text, 'OK');
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
  });

  it('client-api 2: an event stream opens with its headers', async (t) => {
    const { headers } = await openSse(t, suite.gateway);
    assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-cache');
    assert.equal(headers['access-control-allow-origin'], '*');
  });

  it('client-api 3: the first event tells the connection token', async (t) => {
    const { create } = await openSse(t, suite.gateway);
    assert.equal(create.lines.length, 2);
    assert.match(create.lines[0], /^event: rig\.connection\.create$/);
    assert.match(create.lines[1], /^data: /);
    const event = JSON.parse(create.data);
    assert.equal(event.specversion, '0.2');
    assert.equal(event.source, 'rig');
    assert.equal(event.type, 'rig.connection.create');
    assert.match(event.id, UUID);
    assert.match(event.time, RFC3339);
    assert.match(event.data.connection_token, /^[A-Za-z0-9_=-]+$/);
  });

  it('client-api 4: the second event lists no subscription', async (t) => {
    const { set } = await openSse(t, suite.gateway);
    assert.deepEqual(JSON.parse(set.data).data, []);
  });

  it('client-api 5: a subscription without constraints is listed with an empty oneOf', async (t) => {
    const { set } = await openSse(
      t, suite.gateway, { subscriptions: [{ eventType: 'chat.posted' }] });
    assert.deepEqual(JSON.parse(set.data).data, [{ eventType: 'chat.posted', oneOf: [] }]);
  });

  it('client-api 6: event_type and one_of are other names of the same', async (t) => {
    const { set } = await openSse(
      t, suite.gateway, { subscriptions: [{ event_type: 'a.b', one_of: [{ x: 1 }] }] });
    assert.deepEqual(JSON.parse(set.data).data, [{ eventType: 'a.b', oneOf: [{ x: 1 }] }]);
  });

  it('client-api 7: empty parameters count as absent', async (t) => {
    const { set } = await openSse(t, suite.gateway, { jwt: '', subscriptions: '' });
    assert.deepEqual(JSON.parse(set.data).data, []);
  });

  it('client-api 15: subscriptions that are not JSON are refused', () =>
    refused({ subscriptions: "can't { be" }, 'Failed to decode subscription list'));

  it('client-api 16: an object instead of a list is refused', () =>
    refused({ subscriptions: { subscriptions: [] } }, 'could not parse subscriptions'));

  for (const list of ['[{"eventType":""}]', '[{"eventType":5}]', '[{}]', '[1]',
    '[{"eventType":"a","oneOf":{}}]', '[{"eventType":"a","oneOf":null}]',
    '[{"eventType":"a","oneOf":[1]}]', '[{"eventType":"a","oneOf":[{"":1}]}]']) {
    it(`client-api 17: ${list} is refused`, () =>
      refused({ subscriptions: list }, 'could not parse subscriptions'));
  }

  it('client-api 18: of two parameters with one name the last counts', async (t) => {
    const first = encodeURIComponent("can't { be");
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(
      `GET ${SSE}?subscriptions=${first}&subscriptions=%5B%5D HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.equal((await connection.head()).status, 200);
  });

  it('client-api 19: an authorization header is not looked at', async (t) => {
    for (const jwt of [token({ username: 'ada' }), 'a.b.c']) {
      const { set } = await openSse(t, suite.gateway, {}, bearer(jwt));
      assert.deepEqual(JSON.parse(set.data).data, []);
    }
  });

  it('client-api 20: the stream has a preflight and takes no other method', async () => {
    const preflight = await suite.gateway.request({ method: 'OPTIONS', path: SSE });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], '*');
    assert.equal(preflight.headers['access-control-allow-methods'], 'GET');
    const posted = await suite.gateway.request({ method: 'POST', path: SSE });
    assert.equal(posted.status, 405);
    assert.equal(posted.headers.allow, 'GET, OPTIONS');
  });

  it('client-api 22: a WebSocket starts with the same two events', async (t) => {
    const { create, set } = await openWs(t, suite.gateway);
    assert.match(create.data.connection_token, /^[A-Za-z0-9_=-]+$/);
    assert.deepEqual(set.data, []);
  });

  for (const [number, parameters] of [
    [23, { jwt: 'foobar' }],
    [24, { subscriptions: 'oops' }],
    [24, { subscriptions: `"${'x'.repeat(500)}` }],
  ]) {
    it(`client-api ${number}: ${JSON.stringify(parameters).slice(0, 40)} closes the WebSocket at once`,
      async () => {
        const client = await WsClient.connect(suite.gateway, parameters);
        assert.deepEqual(await client.closed(), { code: 1000, reason: 'Bad request.' });
        assert.deepEqual(client.messages.drain(), []);
      });
  }

  it('client-api 25: a plain request to the WebSocket is told to upgrade', async () => {
    const { status, headers } = await suite.gateway.get(WS);
    assert.equal(status, 426);
    assert.equal(headers.upgrade.toLowerCase(), 'websocket');
    assert.match(headers.connection, /upgrade/i);
  });

  for (const [what, headers] of [
    ['without a key', { 'sec-websocket-key': undefined }],
    ['with a key of the wrong length', { 'sec-websocket-key': 'YWJj' }],
    ['with version 12', { 'sec-websocket-version': '12' }],
    ['without a version', { 'sec-websocket-version': undefined }],
  ]) {
    it(`client-api 25: an upgrade ${what} is refused`, async () => {
      const { status } = await exchange(suite.gateway.port, handshake(WS, headers));
      assert.equal(status, 400);
    });
  }

  it('client-api 25: sub-protocols and unknown extensions are not taken up', async (t) => {
    const client = await RawWebSocket.open(suite.gateway, {}, {
      'sec-websocket-extensions': 'x-webkit-deflate-frame, other; a=1',
      'sec-websocket-protocol': 'chat',
    });
    t.after(() => client.close());
    assert.equal(client.headers['sec-websocket-extensions'], undefined);
    assert.equal(client.headers['sec-websocket-protocol'], undefined);
  });

  for (const [what, data] of [['text', 'hi'], ['bytes', Buffer.from([1, 2, 3])]]) {
    it(`client-api 26: a client that sends ${what} is closed`, async (t) => {
      const client = await openWs(t, suite.gateway);
      client.socket.send(data);
      assert.deepEqual(await client.closed(), {
        code: 1000,
        reason: 'This WebSocket endpoint cannot be used for two-way communication.',
      });
    });
  }

  it('client-api 28: an empty ping has one pong and closes nothing', async (t) => {
    const client = await openWs(t, suite.gateway, { subscriptions: [LAST] });
    client.socket.ping('');
    assert.equal(await client.pongs.next('a pong'), '');
    assert.deepEqual(await receivedUntilLast(client), []);
    assert.equal(client.pongs.length, 0);
    assert.equal(client.isOpen, true);
  });

  for (const [what, code, send] of [
    ['an unmasked frame', 1002, (ws) => ws.send(OPCODE.ping, 'a', { masked: false })],
    ['a reserved bit', 1002, (ws) => ws.send(OPCODE.ping, 'a', { rsv: 4 })],
    ['an unknown opcode', 1002, (ws) => ws.send(3, 'a')],
    ['a fragmented ping', 1002, (ws) => ws.send(OPCODE.ping, 'a', { fin: false })],
    ['a ping of 126 bytes', 1002, (ws) => ws.send(OPCODE.ping, 'a'.repeat(126))],
    ['a continuation of nothing', 1002, (ws) => ws.send(OPCODE.continuation, 'a')],
    ['a close frame of one byte', 1002, (ws) => ws.send(OPCODE.close, 'a')],
    ['a close code that nobody may send', 1002, (ws) => ws.send(OPCODE.close, Buffer.from([3, 238]))],
    ['text that is not UTF-8', 1007, (ws) => ws.send(OPCODE.text, Buffer.from([0xff]))],
  ]) {
    it(`client-api 26: ${what} is answered with close ${code}`, async (t) => {
      const ws = await RawWebSocket.openAndGreet(suite.gateway);
      t.after(() => ws.close());
      send(ws);
      const frame = await ws.frame();
      assert.equal(frame.opcode, OPCODE.close);
      assert.equal(frame.code, code);
      await ws.closed();
    });
  }

  it('client-api 26: a close is answered with its own code', async (t) => {
    const ws = await RawWebSocket.openAndGreet(suite.gateway);
    t.after(() => ws.close());
    ws.send(OPCODE.close, Buffer.from([0x0f, 0xa0]));
    assert.deepEqual(await ws.frame(), { opcode: OPCODE.close, code: 4000, text: '' });
    await ws.closed();
  });

  it('client-api 3: a browser\'s EventSource opens and receives', async (t) => {
    const client = await openEventSource(
      suite.gateway, { subscriptions: [{ eventType: 'chat.posted' }] }, ['chat.posted']);
    t.after(() => client.close());
    assert.equal((await client.events.next()).type, 'rig.connection.create');
    assert.equal((await client.events.next()).type, 'rig.subscriptions_set');
    const event = await publish(suite.gateway, ev('chat.posted', { room: 'blue' }));
    const message = await client.events.next();
    assert.equal(message.type, 'chat.posted');
    assert.deepEqual(JSON.parse(message.data), event);
  });
});

// A client that sends a ping, or none at all, over many heartbeats. The 60 s of the cases come from
// the reference's refreshes; here as many heartbeats pass, only faster.
describe('signs of life', { concurrency: true }, () => {
  const suite = suiteGateway({ env: FIXTURE });
  const fast = suiteGateway({ env: { ...FIXTURE, HEARTBEAT_INTERVAL: '200' } });

  it('client-api 21: an idle stream has a heartbeat every 15 seconds', async (t) => {
    const stream = await openSse(t, suite.gateway, { subscriptions: [LAST] });
    const start = Date.now();
    const comment = async (n, ms) => {
      await until(() => stream.comments.length >= n, `heartbeat ${n}`, ms);
      return (Date.now() - start) / 1000;
    };
    assert.ok(Math.abs(await comment(1, 17000) - 15) < 1);
    assert.ok(Math.abs(await comment(2, 17000) - 30) < 1);
    assert.deepEqual(stream.comments, [': heartbeat', ': heartbeat']);
    assert.match(stream.text, /\n\n: heartbeat\n\n: heartbeat\n\n$/);
  });

  it('client-api 29: an idle WebSocket is pinged every 15 seconds', async (t) => {
    const client = await openWs(t, suite.gateway);
    const start = Date.now();
    assert.equal(await client.pings.next('a ping', 17000), '');
    assert.ok(Math.abs(Date.now() - start - 15000) < 1000);
    assert.equal(client.pings.length, 0);
  });

  it('client-api 29: a client that never answers pings stays connected', async (t) => {
    const ws = await RawWebSocket.openAndGreet(fast.gateway);
    t.after(() => ws.close());
    for (let i = 0; i < 20; i++) {
      assert.deepEqual(await ws.frame(), { opcode: OPCODE.ping, text: '' });
    }
  });

  it('client-api 27: a ping has one pong, and the connection lives on', async (t) => {
    const client = await openWs(t, fast.gateway);
    client.socket.ping('abc');
    assert.equal(await client.pongs.next('a pong'), 'abc');
    for (let i = 0; i < 20; i++) await client.pings.next('a ping');
    assert.equal(client.pongs.length, 0);
    assert.equal((await put(fast.gateway, client.token, { subscriptions: [] })).status, 204);
    assert.deepEqual((await client.next('rig.subscriptions_set')).data, []);
  });

  it('client-api 21: other traffic does not delay the heartbeat', async (t) => {
    const gateway = await testGateway(t, { env: { HEARTBEAT_INTERVAL: '300' } });
    const stream = await openSse(t, gateway, { subscriptions: [{ eventType: 'tick' }] });
    while (stream.comments.length < 3) {
      await publish(gateway, ev('tick', null));
      await stream.next('tick');
    }
  });
});
