// HTTP/2, over TLS.
//
// - Streams of events, requests and refusals are what they are over HTTP/1.1; many of them share
//   one connection, and each client gets its own events.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, publish, query } from '../support/events.mjs';
import { bearer, token } from '../support/jwt.mjs';
import { Inbox, within } from '../support/wait.mjs';

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
