// HTTP/2, over TLS.
//
// - Streams of events, requests and refusals are what they are over HTTP/1.1; many of them share
//   one connection, WebSockets as well, and each client gets its own events.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, publish, query } from '../support/events.mjs';
import { bearer, token } from '../support/jwt.mjs';
import { Inbox, within } from '../support/wait.mjs';

/** How long the frame of a server is that begins here. */
function frameLength(bytes) {
  const n = bytes[1] & 0x7f;
  return n < 126 ? 2 + n : bytes.length < 4 ? 4 : 4 + bytes.readUInt16BE(2);
}

describe('clients over HTTP/2', () => {
  const suite = suiteCertificate();
  const shared = suiteGateway(() => ({ env: { ...FIXTURE, ...httpsVariables(suite.made) } }));
  let session;

  before(async () => {
    session = http2.connect(shared.gateway.overTls().url(''), { ca: suite.made.pem });
    await within(new Promise((resolve, reject) => {
      session.once('connect', resolve);
      session.once('error', reject);
    }), 'an HTTP/2 connection');
  });
  after(() => session?.destroy());

  /** One request on the shared connection: { status, headers, text }. */
  function ask(headers, body) {
    const stream = session.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    return within(new Promise((resolve, reject) => {
      let text = '';
      let head;
      stream.setEncoding('utf8');
      stream.on('response', (given) => { head = given; });
      stream.on('data', (chunk) => { text += chunk; });
      stream.on('end', () => resolve({ status: head[':status'], headers: head, text }));
      stream.on('error', reject);
    }), 'an answer over HTTP/2');
  }

  /** A stream of events, and their types and data as they come. */
  async function openStream(t, parameters) {
    const stream = session.request({ ':path': `${V1}/connection/sse${query(parameters)}` });
    t.after(() => stream.close());
    const events = new Inbox();
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      const frames = (rest + chunk).split('\n\n');
      rest = frames.pop();
      for (const frame of frames) {
        const data = frame.split('\n').filter((line) => line.startsWith('data: '));
        if (data.length > 0) events.put(JSON.parse(data.map((line) => line.slice(6)).join('\n')));
      }
    });
    const head = await within(new Promise((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('error', reject);
    }), 'the stream is answered');
    assert.equal(head[':status'], 200);
    assert.equal(head['content-type'], 'text/event-stream; charset=utf-8');
    const { data } = await events.next();
    return { events, token: data.connection_token, set: await events.next() };
  }

  it('http2: many streams on one connection, each with its own events', async (t) => {
    assert.equal(session.alpnProtocol, 'h2');
    const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    const streams = await Promise.all(users.map(
      (username) => openStream(t, { jwt: token({ username }), subscriptions: [LAST] })));
    const sent = [];
    for (const author of users) {
      const event = ev('chat.posted', { author });
      const { status, text } = await ask({ ':method': 'POST', ':path': `${V1}/events`,
        'content-type': 'application/json' }, JSON.stringify(event));
      assert.equal(status, 202, text);
      sent.push(event);
    }
    const last = await publish(shared.gateway, ev(LAST.eventType, null));
    for (const [i, { events }] of streams.entries()) {
      assert.deepEqual(await events.next(), sent[i]);
      assert.deepEqual(await events.next(), last);
    }
  });

  it('http2: requests and refusals are what they are over HTTP/1.1', async (t) => {
    assert.equal((await ask({ ':path': '/_rig/health' })).text, 'OK');
    const refused = await ask({ ':path': `${V1}/connection/sse?jwt=foobar` });
    assert.equal(refused.status, 400);
    assert.match(refused.text, /^could not parse subscriptions: could not decode JWT/);
    const { token: id, events } = await openStream(t, {});
    const { status } = await ask({ ':method': 'PUT',
      ':path': `${V1}/connection/sse/${id}/subscriptions`, 'content-type': 'application/json',
      ...bearer(token({ username: 'ada' })) }, '{"subscriptions":[]}');
    assert.equal(status, 204);
    assert.deepEqual((await events.next()).data,
      [{ eventType: 'chat.posted', oneOf: [{ author: 'ada' }] }]);
    const large = ev('chat.posted', { author: 'ada', text: 'x'.repeat(500000) });
    await publish(shared.gateway, large);
    assert.deepEqual(await events.next(), large);
  });

  it('http2: a WebSocket shares the connection, too', async (t) => {
    const authority = `127.0.0.1:${shared.gateway.httpsPort}`;
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket',
      ':scheme': 'https', ':authority': authority, 'sec-websocket-version': '13',
      ':path': `${V1}/connection/ws${query({ jwt: token({ username: 'ada' }), subscriptions: [LAST] })}` },
    { endStream: false });
    t.after(() => stream.close());
    const frames = new Inbox();
    let bytes = Buffer.alloc(0);
    stream.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let n; bytes.length >= 2 && (n = frameLength(bytes)) <= bytes.length;) {
        frames.put(bytes.subarray(0, n));
        bytes = bytes.subarray(n);
      }
    });
    const [head] = await within(once(stream, 'response'), 'the answer');
    assert.equal(head[':status'], 200);
    const event = async () => {
      const frame = await frames.next();
      assert.equal(frame[0], 0x81, 'a text in one frame');
      return JSON.parse(frame.subarray(frame[1] < 126 ? 2 : 4));
    };
    assert.equal((await event()).type, 'rig.connection.create');
    assert.deepEqual((await event()).data[0],
      { eventType: 'chat.posted', oneOf: [{ author: 'ada' }] });
    const sent = await publish(shared.gateway, ev('chat.posted', { author: 'ada' }));
    assert.deepEqual(await event(), sent);
    stream.write(Buffer.from('8a00', 'hex')); // not masked
    assert.equal((await frames.next()).toString('hex'), '880203ea', 'close 1002');
    stream.write(Buffer.from('88820000000003ea', 'hex'));
    await within(once(stream, 'end'), 'the end of the stream');
  });

  it('http2: HTTP2_MAX_STREAMS is announced and kept', async (t) => {
    const gateway = await testGateway(t, { env: { ...httpsVariables(suite.made), HTTP2_MAX_STREAMS: '3' } });
    const own = http2.connect(gateway.overTls().url(''), { ca: suite.made.pem });
    t.after(() => own.destroy());
    await within(once(own, 'remoteSettings'), 'the settings');
    assert.equal(own.remoteSettings.maxConcurrentStreams, 3);
    const streams = Array.from({ length: 3 }, () => own.request({ ':path': `${V1}/connection/sse` }));
    for (const stream of streams) await within(once(stream, 'response'), 'a stream');
    let isAnswered = false;
    const waiting = own.request({ ':path': '/_rig/health' });
    const answered = once(waiting, 'response').then(() => { isAnswered = true; });
    await gateway.get('/_rig/health');
    assert.equal(isAnswered, false, 'the client waits for room');
    streams[0].close();
    await within(answered, 'there is room');
  });

  it('http2: HTTP2=false leaves HTTP/1.1', async (t) => {
    const plain = await testGateway(t, { env: { ...httpsVariables(suite.made), HTTP2: 'false' } });
    const ca = suite.made.pem;
    const socket = tls.connect(
      { host: '127.0.0.1', port: plain.httpsPort, ca, ALPNProtocols: ['h2', 'http/1.1'] });
    t.after(() => socket.destroy());
    await within(new Promise((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    }), 'the handshake');
    assert.equal(socket.alpnProtocol, 'http/1.1');
    assert.equal((await plain.overTls({ ca }).get('/_rig/health')).text, 'OK');
  });
});
