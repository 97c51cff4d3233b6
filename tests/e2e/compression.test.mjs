// Compressed events.
//
// - A stream whose client takes gzip is one gzip file: readable as it comes, whole when the gateway
//   ends it, in every version of HTTP. Small events stand in it as they are.
// - A WebSocket that offers permessage-deflate gets large events compressed, small ones not, and no
//   message refers to another. Offers that cannot be satisfied are declined.
// - Compressed messages from clients are as unwelcome as all others, and never inflated into much.
// - Browsers read both.
// - Who does not ask for it, or COMPRESSION=false, gets every byte as it is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { LAST, ev, publish, query } from '../support/events.mjs';
import { Gateway, V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { RawConnection } from '../support/http.mjs';
import { SseStream } from '../support/sse.mjs';
import { deferred, until, within } from '../support/wait.mjs';
import { OPCODE, RawWebSocket, WsClient, handshake } from '../support/websocket.mjs';

const SSE = `${V1}/connection/sse`;
const ALL = { subscriptions: [{ eventType: 'news' }, LAST] };
const PATH = `${SSE}${query(ALL)}`;
const DEFLATE = { 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits' };
const NO_TALK = 'This WebSocket endpoint cannot be used for two-way communication.';

const words = ['lorem', 'ipsum', 'dolor', 'sit', 'amet'];
const large = (n = 500) => ev('news', { text: Array.from({ length: n }, (_, i) => words[(i * i) % 5]).join(' ') });
const small = () => ev('news', { text: 'short' });

/** A stream as it comes over the wire, and its text as far as that can be read. */
class Gzip {
  raw = Buffer.alloc(0);
  text = '';
  ended = deferred();             // 'end', or the code of what was wrong with the gzip stream
  #gunzip = zlib.createGunzip({ finishFlush: zlib.constants.Z_FINISH });

  constructor(source) {
    this.#gunzip.setEncoding('utf8').on('data', (text) => { this.text += text; });
    this.#gunzip.on('end', () => this.ended.resolve('end'));
    this.#gunzip.on('error', (error) => this.ended.resolve(error.code));
    source.on('data', (chunk) => {
      this.raw = Buffer.concat([this.raw, chunk]);
      this.#gunzip.write(chunk);
    });
    source.on('end', () => this.#gunzip.end());
    source.on('error', () => this.#gunzip.end());
  }

  events() {
    return [...this.text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json));
  }

  has(event) {
    return until(() => this.events().some(({ id }) => id === event.id), 'the event arrives');
  }

  end() {
    return within(this.ended.promise, 'the stream ends', 15000);
  }
}

/** A stream over HTTP/1.1: { headers, stream, close() }. */
async function openGzip(gateway, headers = { 'accept-encoding': 'gzip, deflate, br' }) {
  const req = http.get({ host: '127.0.0.1', port: gateway.port, path: PATH, headers, agent: false });
  const res = await within(new Promise((resolve, reject) => {
    req.on('response', resolve);
    req.on('error', reject);
  }), 'the stream is answered');
  req.on('error', () => {});
  return { headers: res.headers, stream: new Gzip(res), close: () => req.destroy() };
}

const ready = (stream) => until(() => stream.text.includes('rig.subscriptions_set'), 'the stream is set');

/** What `gzip -t` says: 0 for a whole file with nothing behind it. */
function gzipTest(bytes) {
  return new Promise((resolve) => {
    const child = execFile('gzip', ['-t'], (error) => resolve(error ? error.code : 0));
    child.stdin.on('error', () => {});
    child.stdin.end(bytes);
  });
}

describe('gzip for event streams', () => {
  const suite = suiteGateway({ env: { HEARTBEAT_INTERVAL: '200' } });

  it('events can be read as they come, and large ones take little room', async (t) => {
    const { headers, stream, close } = await openGzip(suite.gateway);
    t.after(close);
    assert.equal(headers['content-encoding'], 'gzip');
    assert.match(headers.vary, /accept-encoding/i);
    assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    await ready(stream);
    for (let i = 0; i < 5; i++) {
      const before = stream.raw.length;
      const event = await publish(suite.gateway, large());
      await stream.has(event);
      assert.deepEqual(stream.events().at(-1), event);
      assert.ok(stream.raw.length - before < JSON.stringify(event).length / 2);
    }
  });

  it('small events and heartbeats stand in the stream as they are', async (t) => {
    const { stream, close } = await openGzip(suite.gateway);
    t.after(close);
    const event = await publish(suite.gateway, small());
    await stream.has(event);
    assert.ok(stream.raw.includes(`data: ${JSON.stringify(event)}\n\n`));
    await until(() => stream.raw.includes(': heartbeat\n\n'), 'a heartbeat');
    await until(() => stream.text.includes(': heartbeat\n\n'), 'a heartbeat that can be read');
  });

  it('all clients read the same', async (t) => {
    const packed = [await openGzip(suite.gateway), await openGzip(suite.gateway)];
    const plain = await SseStream.open(suite.gateway, ALL);
    t.after(() => [...packed, plain].forEach((client) => client.close()));
    await Promise.all(packed.map(({ stream }) => ready(stream)));
    const events = [large(), small(), large(200), large(3000), small()];
    for (const event of events) await publish(suite.gateway, event);
    for (const event of events) assert.deepEqual(await plain.next('news'), event);
    for (const { stream } of packed) {
      await stream.has(events.at(-1));
      assert.deepEqual(stream.events().slice(2), events);
    }
  });

  it('whoever does not take gzip gets none', async (t) => {
    for (const accept of [undefined, 'identity', 'br', 'gzip;q=0, *', 'identity, gzip;q=0.5']) {
      const stream = await SseStream.open(suite.gateway, ALL, accept && { 'accept-encoding': accept });
      t.after(() => stream.close());
      assert.equal(stream.headers['content-encoding'], undefined, accept);
      const event = await publish(suite.gateway, large());
      assert.deepEqual(await stream.next('news'), event);
    }
  });

  it('HTTP/1.0 has no chunks around it', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(`GET ${PATH} HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n`);
    const head = (await connection.take('\r\n\r\n')).toString('latin1');
    assert.match(head, /\r\ncontent-encoding: gzip\r\n/i);
    assert.doesNotMatch(head, /transfer-encoding/i);
    const first = await connection.take(10);
    assert.deepEqual([...first.subarray(0, 4)], [0x1f, 0x8b, 8, 0]);
    await connection.take('rig.subscriptions_set');
    const event = await publish(suite.gateway, small());
    await connection.take(`data: ${JSON.stringify(event)}\n\n`);
  });

  it('HTTP/2 has the same stream', async (t) => {
    const session = http2.connect(suite.gateway.url(''));
    t.after(() => session.destroy());
    const req = session.request({ ':path': PATH, 'accept-encoding': 'gzip' });
    const headers = await within(new Promise((resolve, reject) => {
      req.on('response', resolve);
      req.on('error', reject);
    }), 'the stream is answered');
    assert.equal(headers['content-encoding'], 'gzip');
    const stream = new Gzip(req);
    await ready(stream);
    const event = await publish(suite.gateway, large());
    await stream.has(event);
  });
});

describe('the end of a gzip stream', () => {
  it('is that of a whole file when the gateway stops', async (t) => {
    const gateway = await Gateway.start();
    t.after(() => gateway.kill());
    const { stream } = await openGzip(gateway);
    const session = http2.connect(gateway.url(''));
    t.after(() => session.destroy());
    session.on('error', () => {});
    const second = new Gzip(session.request({ ':path': PATH, 'accept-encoding': 'gzip' }));
    await ready(stream);
    await ready(second);
    const events = [large(), small(), large(100)];
    for (const event of events) await publish(gateway, event);
    await stream.has(events.at(-1));
    await second.has(events.at(-1));
    await gateway.stop();
    for (const one of [stream, second]) {
      assert.equal(await one.end(), 'end');
      assert.equal(await gzipTest(one.raw), 0);
      assert.deepEqual(one.events().slice(2, 5), events);
    }
  });

  it('is missing for a client that was too slow', async (t) => {
    const gateway = await testGateway(t, { env: { CLIENT_QUEUE_BYTES: '65536' } });
    const slow = await RawConnection.open(gateway.port, { readsSlowly: true });
    t.after(() => slow.close());
    slow.write(`GET ${PATH} HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n`);
    const clients = () => gateway.metric('rgate_connections', { transport: 'sse' });
    await until(async () => await clients() === 1, 'the client is there');
    // The kernel's buffers take some megabytes before the queue fills.
    for (let i = 0; i < 400 && await clients() === 1; i++) {
      await publish(gateway, ev('news', randomBytes(60_000).toString('base64')));
    }
    await until(async () => await gateway.metric('rgate_disconnects_total', { reason: 'slow' }) === 1,
      'the slow client is dropped');
    let received = Buffer.alloc(0);
    slow.socket.on('data', (chunk) => { received = Buffer.concat([received, chunk]); });
    slow.socket.resume();
    await slow.closed(15000);
    const body = received.subarray(received.indexOf('\r\n\r\n') + 4);
    assert.notEqual(await gzipTest(body), 0);
    assert.throws(() => zlib.gunzipSync(body), { code: 'Z_BUF_ERROR' });
  });
});

describe('permessage-deflate', () => {
  const suite = suiteGateway();

  /** The text of a frame, inflated where it says so; every message stands alone. */
  const textOf = ({ rsv, payload, text }) => (rsv === 4 ? zlib.inflateRawSync(
    Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]),
    { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString('utf8') : text);

  it('large events are compressed, small ones are not', async (t) => {
    const socket = await RawWebSocket.openAndGreet(suite.gateway, ALL, DEFLATE);
    t.after(() => socket.close());
    assert.equal(socket.headers['sec-websocket-extensions'],
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
    for (const [event, rsv] of [[large(), 4], [small(), 0], [large(), 4], [large(5000), 4]]) {
      await publish(suite.gateway, event);
      const frame = await socket.frame();
      assert.equal(frame.opcode, OPCODE.text);
      assert.equal(frame.rsv, rsv);
      assert.deepEqual(JSON.parse(textOf(frame)), event);
      if (rsv) assert.ok(frame.payload.length < JSON.stringify(event).length / 2);
    }
  });

  it('the package that people use reads them', async (t) => {
    const client = await WsClient.open(suite.gateway, ALL, { perMessageDeflate: true });
    t.after(() => client.close());
    assert.match(client.socket.extensions, /^permessage-deflate/);
    for (const event of [large(), small(), large(20)]) {
      await publish(suite.gateway, event);
      assert.deepEqual(await client.next('news'), event);
    }
  });

  it('whoever does not offer it gets none', async (t) => {
    const socket = await RawWebSocket.openAndGreet(suite.gateway, ALL);
    t.after(() => socket.close());
    assert.equal(socket.headers['sec-websocket-extensions'], undefined);
    const event = await publish(suite.gateway, large());
    const frame = await socket.frame();
    assert.equal(frame.rsv, 0);
    assert.deepEqual(JSON.parse(frame.text), event);
  });

  for (const [offer, answer] of [
    ['permessage-deflate; server_max_window_bits=9', undefined],
    ['permessage-deflate; server_max_window_bits=15', 'permessage-deflate; '
      + 'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15'],
    ['permessage-deflate; unknown=1', undefined],
    ['permessage-deflate; client_max_window_bits=16', undefined],
    ['permessage-deflate; server_max_window_bits=9, permessage-deflate',
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover'],
    ['x-webkit-deflate-frame', undefined],
  ]) {
    it(`the offer "${offer}" is ${answer ? 'taken' : 'declined'}`, async (t) => {
      const socket = await RawWebSocket.openAndGreet(
        suite.gateway, ALL, { 'sec-websocket-extensions': offer });
      t.after(() => socket.close());
      assert.equal(socket.headers['sec-websocket-extensions'], answer);
      const event = await publish(suite.gateway, large());
      const frame = await socket.frame();
      assert.equal(frame.rsv, answer ? 4 : 0);
      assert.deepEqual(JSON.parse(textOf(frame)), event);
    });
  }

  it('what is no list of extensions fails the handshake', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(handshake(undefined, { 'sec-websocket-extensions': 'permessage-deflate;' }));
    assert.equal((await connection.response()).status, 400);
  });

  const pack = (data) => zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH })
    .subarray(0, -4);
  for (const [what, payload, code, text] of [
    ['a compressed message', pack('hello'), 1000, NO_TALK],
    ['a bomb', pack(Buffer.alloc(3_000_000)), 1000, NO_TALK],
    ['a bomb larger than any message', pack(Buffer.alloc(30_000_000)), 1000, NO_TALK],
    ['compressed bytes that are no text', pack(Buffer.from([0xff])), 1007, ''],
    ['what cannot be inflated', Buffer.from('hello'), 1007, ''],
  ]) {
    it(`${what} from a client is closed with ${code}`, async (t) => {
      const socket = await RawWebSocket.openAndGreet(suite.gateway, ALL, DEFLATE);
      t.after(() => socket.close());
      socket.send(OPCODE.text, payload, { rsv: 4 });
      assert.deepEqual(await socket.frame(), { opcode: OPCODE.close, code, text });
    });
  }

  it('a compressed message of a client that has not offered it is a violation', async (t) => {
    const socket = await RawWebSocket.openAndGreet(suite.gateway, ALL);
    t.after(() => socket.close());
    socket.send(OPCODE.text, pack('hello'), { rsv: 4 });
    assert.deepEqual(await socket.frame(), { opcode: OPCODE.close, code: 1002, text: '' });
  });
});

describe('COMPRESSION=false', () => {
  const suite = suiteGateway({ env: { COMPRESSION: 'false' } });

  it('nothing is compressed for anybody', async (t) => {
    const stream = await SseStream.open(suite.gateway, ALL, { 'accept-encoding': 'gzip' });
    const socket = await RawWebSocket.openAndGreet(suite.gateway, ALL, DEFLATE);
    t.after(() => [stream, socket].forEach((client) => client.close()));
    assert.equal(stream.headers['content-encoding'], undefined);
    assert.equal(socket.headers['sec-websocket-extensions'], undefined);
    const event = await publish(suite.gateway, large());
    assert.deepEqual(await stream.next('news'), event);
    assert.deepEqual(JSON.parse((await socket.frame()).text), event);
  });
});

describe('COMPRESSION_MIN_BYTES', () => {
  const suite = suiteGateway({ env: { COMPRESSION_MIN_BYTES: '5000' } });

  it('says what is small', async (t) => {
    const socket = await RawWebSocket.openAndGreet(suite.gateway, ALL, DEFLATE);
    const { stream, close } = await openGzip(suite.gateway);
    t.after(() => [socket, { close }].forEach((client) => client.close()));
    await ready(stream);
    const shorter = await publish(suite.gateway, large());
    assert.equal((await socket.frame()).rsv, 0);
    await stream.has(shorter);
    assert.ok(stream.raw.includes(JSON.stringify(shorter)));
    await publish(suite.gateway, large(2000));
    assert.equal((await socket.frame()).rsv, 4);
  });
});

describe('compression in a browser', { skip: browserUnavailable }, () => {
  const suite = suiteGateway();
  let browser;
  let page;
  before(async () => {
    browser = await launchBrowser();
    page = await browser.newPage();
    await page.goto(suite.gateway.url('/'));
    await page.evaluate(() => {
      globalThis.seen = { sse: [], ws: [] };
    });
  });
  after(() => browser?.close());

  /** The events of this kind that the page has seen, once the last of those given is there. */
  const untilSeen = async (kind, events) => {
    const last = events.at(-1).id;
    await until(() => page.evaluate(([k, id]) => globalThis.seen[k].some((e) => e.id === id), [kind, last]),
      'the events arrive');
    return page.evaluate((k) => globalThis.seen[k], kind);
  };
  const mixed = () => [large(), small(), large(100), large(4000), small()];

  it('EventSource reads a gzip stream as it comes', async () => {
    const answered = page.waitForResponse((response) => response.url().includes(SSE));
    await page.evaluate((path) => new Promise((resolve, reject) => {
      const source = new EventSource(path);
      source.addEventListener('rig.subscriptions_set', resolve);
      source.addEventListener('error', () => reject(new Error('the EventSource failed')));
      source.addEventListener('news', (message) => globalThis.seen.sse.push(JSON.parse(message.data)));
    }), PATH);
    assert.equal((await answered).headers()['content-encoding'], 'gzip');
    for (let round = 0; round < 3; round++) {
      const events = mixed();
      for (const event of events) await publish(suite.gateway, event);
      assert.deepEqual((await untilSeen('sse', events)).slice(-events.length), events);
    }
  });

  it('WebSocket reads compressed events', async () => {
    const extensions = await page.evaluate((path) => new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://${location.host}${path}`);
      socket.addEventListener('error', () => reject(new Error('the WebSocket failed')));
      socket.addEventListener('message', ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === 'rig.subscriptions_set') resolve(socket.extensions);
        if (event.type === 'news') globalThis.seen.ws.push(event);
      });
    }), `${V1}/connection/ws${query(ALL)}`);
    assert.match(extensions, /^permessage-deflate/);
    const events = mixed();
    for (const event of events) await publish(suite.gateway, event);
    assert.deepEqual(await untilSeen('ws', events), events);
  });
});
