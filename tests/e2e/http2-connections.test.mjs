// Many clients on one HTTP/2 connection, with prior knowledge (http2.test.mjs has TLS).
//
// - Whatever works over HTTP/1.1 works there: event streams, WebSockets, long-polling, requests.
// - An event for many clients of one connection leaves in one piece.
// - A client that does not read is cut off alone.
// - A peer that floods its connection loses it, and nobody else notices.
// - When the gateway stops, streams end in good order.
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { Gateway, V1, suiteGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, publish, query, receivedUntilLast } from '../support/events.mjs';
import { H2Client } from '../support/h2.mjs';
import { RawConnection } from '../support/http.mjs';
import { until } from '../support/wait.mjs';
import { OPCODE } from '../support/websocket.mjs';

const JSON_BODY = { 'content-type': 'application/json' };
const THOSE = { subscriptions: [{ eventType: 'those' }, LAST] };

describe('clients of one HTTP/2 connection', () => {
  const suite = suiteGateway({ env: FIXTURE });

  it('http2: a hundred streams get one event in one piece', async (t) => {
    let arrivals = 0;
    const client = await H2Client.open(t, suite.gateway, {
      createConnection: () => {
        const socket = net.connect(suite.gateway.port, '127.0.0.1');
        socket.on('data', () => { arrivals++; });
        return socket;
      },
    });
    const streams = await Promise.all(Array.from({ length: 100 }, () => client.stream(THOSE)));
    assert.equal(await suite.gateway.metric('rgate_http2_connections'), 1);
    assert.ok(await suite.gateway.metric('rgate_connections', { transport: 'sse' }) >= 100);
    arrivals = 0;
    const event = await publish(suite.gateway, ev('those', 'x'));
    for (const stream of streams) assert.deepEqual(await stream.next('those'), event);
    assert.ok(arrivals <= 4, `${arrivals} pieces`);
    for (const stream of streams) assert.equal(stream.frames.length, 0);
  });

  it('http2: publishing, subscribing and polling share the connection', async (t) => {
    const client = await H2Client.open(t, suite.gateway);
    const stream = await client.stream();
    const subscriptions = [{ eventType: 'chat.posted', oneOf: [{ room: 'a' }] }];
    const { status } = await client.request({
      method: 'PUT', path: `${V1}/connection/sse/${stream.token}/subscriptions`, headers: JSON_BODY,
      body: JSON.stringify({ subscriptions }),
    });
    assert.equal(status, 204);
    assert.deepEqual((await stream.next('rig.subscriptions_set')).data, subscriptions);

    const polling = `${V1}/connection/longpolling${query({ subscriptions })}`;
    const opened = await client.request({ path: polling });
    assert.equal(opened.text, '"ok"');
    // Cookies as HTTP/2 has them: each a field of its own.
    const cookie = opened.headers['set-cookie'].map((line) => line.split(';')[0]);
    const greeted = await client.request({ path: polling, headers: { cookie } });
    const types = greeted.json().events.map(({ type }) => type);
    assert.deepEqual(types, ['rig.connection.create', 'rig.subscriptions_set']);
    const next = greeted.headers['set-cookie'].map((line) => line.split(';')[0]);
    const poll = client.request({ path: polling, headers: { cookie: next } });

    const event = ev('chat.posted', { room: 'a', text: 'x'.repeat(200_000) });
    const published = await client.request({ method: 'POST', path: `${V1}/events`,
      headers: JSON_BODY, body: JSON.stringify(event) });
    assert.equal(published.status, 202, published.text);
    assert.deepEqual(await stream.next('chat.posted'), event);
    assert.deepEqual((await poll).json().events, [event]);
  });

  it('http2: a WebSocket on the same connection', async (t) => {
    const client = await H2Client.open(t, suite.gateway);
    assert.equal(client.session.remoteSettings.enableConnectProtocol, true);
    const stream = await client.stream(THOSE);
    const { status, headers, socket } =
      await client.connect(`${V1}/connection/ws${query(THOSE)}`);
    assert.equal(status, 200);
    assert.equal(headers['sec-websocket-accept'], undefined);
    const type = async () => JSON.parse((await socket.frame()).text).type;
    assert.deepEqual([await type(), await type()], ['rig.connection.create', 'rig.subscriptions_set']);
    const event = await publish(suite.gateway, ev('those', 'y'.repeat(100_000)));
    assert.deepEqual(JSON.parse((await socket.frame()).text), event);
    assert.deepEqual(await stream.next('those'), event);

    socket.send(OPCODE.ping, 'are you there');
    assert.deepEqual(await socket.frame(), { opcode: OPCODE.pong, text: 'are you there' });
    socket.send(OPCODE.close, Buffer.from([3, 232]));
    assert.equal((await socket.frame()).code, 1000);
    assert.equal(await socket.closed(), 'end');
    assert.equal((await client.request({ path: '/_rig/health' })).text, 'OK');
  });

  it('http2: a WebSocket must be asked for properly', async (t) => {
    const client = await H2Client.open(t, suite.gateway);
    const ws = `${V1}/connection/ws`;
    for (const [path, headers, expected] of [
      [ws, { 'sec-websocket-version': '12' }, 400],
      [ws, { ':protocol': 'webtransport' }, 501],
      ['/_rig/health', {}, 400],
      ['/nowhere', {}, 404],
    ]) {
      const { status, stream } = await client.connect(path, headers);
      assert.equal(status, expected, path);
      stream.close();
    }
    assert.equal((await client.request({ path: ws })).status, 400);
    assert.equal((await client.request({ path: '/_rig/health' })).text, 'OK');
  });

  it('http2: what is too large is refused like over HTTP/1.1', async (t) => {
    const client = await H2Client.open(t, suite.gateway);
    const status = async (options) => (await client.request(options)).status;
    const path = '/_rig/health';
    assert.equal(await status({ path: `${path}?${'x'.repeat(17_000)}` }), 414);
    assert.equal(await status({ path, headers: { x: 'y'.repeat(17_000) } }), 431);
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x${i}`, 'y']));
    assert.equal(await status({ path, headers: many }), 431);
    assert.equal(await status({
      method: 'POST', path: `${V1}/events`, headers: { ...JSON_BODY, 'content-length': 1 << 30 },
      body: 'x' }).catch(() => 413), 413);
    assert.equal(await status({ path }), 200);
  });

  it('http2: streams that come and go leave nothing behind', async (t) => {
    const { gateway } = suite;
    const sse = () => gateway.metric('rgate_connections', { transport: 'sse' });
    const before = await sse();
    const client = await H2Client.open(t, gateway);
    for (let round = 0; round < 5; round++) {
      const streams = await Promise.all(Array.from({ length: 50 }, () => client.stream(THOSE)));
      for (const stream of streams) stream.close();
    }
    await until(async () => await sse() === before, 'all streams are gone');
    await Promise.all(Array.from({ length: 50 }, () => client.stream(THOSE)));
    client.session.destroy();
    await until(async () => await sse() === before, 'all streams are gone with their connection');
  });
});

describe('a slow client of an HTTP/2 connection', () => {
  const suite = suiteGateway({ env: { CLIENT_QUEUE_BYTES: '65536', HTTP_WRITE_TIMEOUT: '1000' } });

  it('http2: a stream that is not read is cut off, its neighbours are not', async (t) => {
    const { gateway } = suite;
    const client = await H2Client.open(t, gateway);
    const fast = [await client.stream(THOSE), await client.stream(THOSE)];
    const slow = await client.stream(THOSE);
    const cut = () => gateway.metric('rgate_disconnects_total', { reason: 'slow' });
    slow.stream.pause();
    for (let i = 0; i < 100 && await cut() === 0; i++) {
      const event = await publish(gateway, ev('those', 'x'.repeat(20_000)));
      for (const stream of fast) assert.equal((await stream.next('those')).id, event.id);
    }
    assert.equal(await cut(), 1);
    // Its window is closed, so that only a reset can end it.
    await until(async () => await gateway.metric('rgate_http2_resets_total', { by: 'us' }) === 1,
      'the stream is reset');
    for (const stream of fast) assert.deepEqual(await receivedUntilLast(stream), []);
    assert.equal((await client.request({ path: '/_rig/health' })).text, 'OK');
  });
});

/** Bytes of frames. */
function frame(type, flags, id, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

describe('floods on HTTP/2 connections', () => {
  const suite = suiteGateway();
  const BEGIN = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)]);
  // GET http://h/, and a reset of it.
  const request = (id) => frame(1, 5, id, Buffer.from([0x82, 0x86, 0x84, 0x41, 1, 0x68]));
  const reset = (id) => frame(3, 0, id, Buffer.from([0, 0, 0, 8]));

  /** Sends pieces until the gateway has enough; the code of its GOAWAY. */
  async function flood(t, piece) {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(BEGIN);
    for (let i = 0; i < 4000; i++) connection.write(piece(2 * i + 1));
    for (;;) {
      const head = await connection.take(9);
      const payload = await connection.take(head.readUIntBE(0, 3));
      if (head[3] === 7) return payload.readUInt32BE(4);
    }
  }

  for (const [what, piece] of [
    ['rapid resets', (id) => Buffer.concat([request(id), reset(id)])],
    ['resets that it provokes', (id) => Buffer.concat([
      frame(1, 4, id, Buffer.from([0x83, 0x86, 0x84, 0x41, 1, 0x68])),
      frame(8, 0, id, Buffer.from([0x7f, 0xff, 0xff, 0xff]))])],
    ['pings', () => frame(6, 0, 0, Buffer.alloc(8))],
    ['settings', () => frame(4, 0, 0)],
    ['frames that nobody knows', () => frame(77, 0, 0)],
  ]) {
    it(`http2: a peer that floods with ${what} is cut off`, async (t) => {
      const neighbour = await H2Client.open(t, suite.gateway);
      const stream = await neighbour.stream(THOSE);
      const before = await suite.gateway.metric('rgate_http2_floods_total');
      assert.equal(await flood(t, piece), 11);
      assert.equal(await suite.gateway.metric('rgate_http2_floods_total'), before + 1);
      assert.deepEqual(await receivedUntilLast(stream), []);
    });
  }
});

describe('stopping with HTTP/2 connections', () => {
  it('shutdown: streams get their events and end in good order', async (t) => {
    const gateway = await Gateway.start();
    t.after(() => gateway.kill());
    const client = await H2Client.open(t, gateway);
    const streams = await Promise.all(Array.from({ length: 20 }, () => client.stream(THOSE)));
    const { socket } = await client.connect(`${V1}/connection/ws`);
    await socket.frame();
    await socket.frame();
    const idle = await H2Client.open(t, gateway);
    const event = await publish(gateway, ev('those', 'x'.repeat(30_000)));
    gateway.run.signal('SIGTERM');
    assert.equal(await client.goaway(), 0);
    for (const stream of streams) {
      assert.deepEqual(await stream.next('those'), event);
      assert.equal(await stream.ended(), 0);
    }
    const { opcode, code } = await socket.frame();
    assert.deepEqual({ opcode, code }, { opcode: OPCODE.close, code: 1001 });
    socket.send(OPCODE.close, Buffer.from([3, 233]));
    assert.equal(await idle.goaway(), 0);
    await Promise.all([client.closed(), idle.closed()]);
    const { code: status, signal } = await gateway.run.exit();
    gateway.run.assertHealthy();
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, gateway.run.output);
  });
});
