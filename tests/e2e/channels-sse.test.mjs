// Channels over Server-Sent Events.
//
// - The topics are named by the request; each is joined, and what follows is as over a WebSocket.
// - What cannot be is refused: with a status while there is one, in the stream afterwards.
// - A stream shows signs of life, and says goodbye.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Gateway, suiteGateway } from '../support/gateway.mjs';
import { FIXTURE } from '../support/events.mjs';
import { OK, SseSocket, ban, cast, openSse, openWs, refusal, tell } from '../support/channels.mjs';
import { H2Client, H2Stream } from '../support/h2.mjs';
import { load } from '../support/packages.mjs';
import { suiteMessages } from '../support/user-messages.mjs';
import { deferred, within } from '../support/wait.mjs';
import { OPCODE } from '../support/websocket.mjs';

const { EventSource } = load('eventsource');
const USAGE = /^Bad request\./;
const CLOSING = 'event: closing connection';

describe('channels over SSE', { concurrency: true }, () => {
  const suite = suiteMessages({ env: FIXTURE });
  const open = (t, query, headers) => openSse(t, suite.gateway, query, headers);

  /** Case 49, whatever the query's form: opens, and takes the first three frames. */
  async function assertOpens(t, query, { ada }) {
    const stream = await open(t, query);
    assert.match(stream.headers['content-type'], /^text\/event-stream(; charset=utf-8)?$/);
    assert.equal(stream.headers['cache-control'], 'no-cache');
    assert.equal(stream.headers['access-control-allow-origin'], '*');
    const reply = await stream.nextFrame('phx_reply');
    assert.deepEqual(reply.lines.map((line) => line.split(':')[0]), ['event', 'data']);
    const { topic, event, ref, payload } = JSON.parse(reply.data);
    assert.deepEqual({ topic, event, ref, payload },
      { topic: `user:${ada}`, event: 'phx_reply', ref: null, payload: OK });
    const state = await stream.nextFrame('presence_state');
    assert.deepEqual(JSON.parse(state.data), {});
    const diff = await stream.nextFrame('presence_diff');
    const { joins, leaves } = JSON.parse(diff.data);
    assert.deepEqual([Object.keys(joins), leaves], [[ada], {}]);
    for (const { lines } of [state, diff]) {
      assert.deepEqual(lines.map((line) => line.split(':')[0]), ['event', 'data']);
    }
    return stream;
  }

  it('legacy-channels 49: a stream joins and is told of its presence', async (t) => {
    const people = cast();
    await assertOpens(t, `users[]=${people.ada}&token=${people.A}`, people);
  });

  it('legacy-channels 49: the brackets may be encoded', async (t) => {
    const people = cast();
    await assertOpens(t, `users%5B%5D=${people.ada}&token=${people.A}`, people);
  });

  it('legacy-channels 50: users and roles are joined in order, and once', async (t) => {
    const { S, ada, bob, role } = cast();
    const stream = await open(t,
      `roles[]=${role}&users[]=${ada}&users[]=${ada}&users[]=${bob}&roles[]=${role}&token=${S}`);
    const topics = [];
    for (let i = 0; i < 3; i++) topics.push((await stream.frames.find(
      ({ event }) => event === 'phx_reply', 'a reply')));
    assert.deepEqual(topics.map(({ data }) => JSON.parse(data).topic),
      [`user:${ada}`, `user:${bob}`, `role:${role}`]);
    for (const { data } of topics) assert.deepEqual(JSON.parse(data).payload, OK);
  });

  it('legacy-channels 51: without users and roles there is nothing', async () => {
    const { status, headers, text } = await suite.gateway.get(`/socket/sse?token=${cast().A}`);
    assert.deepEqual({ status, text }, { status: 404, text: 'no channels selected\n' });
    assert.equal(headers['access-control-allow-origin'], '*');
  });

  it('legacy-channels 52: without a token, or with another method, it is a bad request', async () => {
    const { A, ada } = cast();
    for (const [method, query] of [['GET', `users[]=${ada}`],
      ['POST', `users[]=${ada}&token=${A}`], ['PUT', `users[]=${ada}&token=${A}`], ['GET', '']]) {
      const { status, headers, text } = await suite.gateway.request(
        { method, path: `/socket/sse?${query}` });
      assert.equal(status, 400, `${method} ${query}`);
      assert.match(text, USAGE);
      for (const name of ['token', 'users', 'roles']) assert.ok(text.includes(name), text);
      assert.equal(headers['access-control-allow-origin'], '*');
    }
  });

  it('legacy-channels 53: with a bad token it is refused', async () => {
    const { status, headers, text } = await suite.gateway.get('/socket/sse?users[]=a&token=bad');
    assert.deepEqual({ status, text }, { status: 401, text: 'event: unauthorized\n\n' });
    assert.equal(headers['access-control-allow-origin'], '*');
  });

  it('legacy-channels 8.2: errors are told in order', async () => {
    const { A } = cast();
    for (const [query, status] of [['', 400], ['token=bad', 404], ['users[]=a', 400],
      [`users[]=a&token=${A}&vsn=2.0.0`, 401], [`users[]=a&token=${A}&vsn=abc`, 401]]) {
      assert.equal((await suite.gateway.get(`/socket/sse?${query}`)).status, status, query);
    }
  });

  it('legacy-channels 54: a refused join is told, and the stream ends', async (t) => {
    const { A, ada, bob } = cast();
    const stream = await open(t, `users[]=${bob}&token=${A}`);
    const { topic, payload } = await stream.next('phx_reply');
    assert.deepEqual({ topic, payload },
      { topic: `user:${bob}`, payload: refusal(ada, `user:${bob}`) });
    assert.equal((await stream.nextFrame()).text, CLOSING);
    assert.equal(await stream.ended(), 'end');
  });

  it('legacy-channels 8.6: one refused join among others ends the stream, too', async (t) => {
    const { A, A2, ada, bob, role } = cast();
    const other = await openWs(t, suite.gateway, { token: A2 });
    await other.joinOwn(`user:${ada}`);
    const stream = await open(t, `users[]=${ada}&users[]=${bob}&roles[]=${role}&token=${A}`);
    assert.equal(await stream.ended(), 'end');
    const replies = stream.frames.drain().filter(({ event }) => event === 'phx_reply')
      .map(({ data }) => JSON.parse(data));
    assert.deepEqual(replies.map(({ payload }) => payload),
      [OK, refusal(ada, `user:${bob}`), refusal(ada, `role:${role}`)]);
    assert.ok(stream.text.endsWith(`${CLOSING}\n\n`), stream.text);
    // Whatever was announced of it is taken back.
    const present = new Set();
    const seen = () => other.mail.drain().filter(({ event }) => event === 'presence_diff')
      .forEach(({ payload: { joins, leaves } }) => {
        joins[ada]?.metas.forEach(({ phx_ref: ref }) => present.add(ref));
        leaves[ada]?.metas.forEach(({ phx_ref: ref }) => present.delete(ref));
      });
    await new Promise((later) => setTimeout(later, 1000));
    seen();
    assert.deepEqual([...present], []);
  });

  it('legacy-channels 55: a message arrives as what was sent', async (t) => {
    const people = cast();
    const { ada } = people;
    const stream = await assertOpens(t, `users[]=${ada}&token=${people.A}`, people);
    const sent = { username: ada, n: 1 };
    await suite.tell(sent);
    const frame = await stream.nextFrame('message');
    assert.deepEqual(frame.lines.map((line) => line.split(':')[0]), ['event', 'data']);
    assert.deepEqual(JSON.parse(frame.data), sent);
  });

  it('legacy-channels 8.10: a message with line breaks is one line of data', async (t) => {
    const people = cast();
    const { ada } = people;
    const stream = await assertOpens(t, `users[]=${ada}&token=${people.A}`, people);
    await suite.tell(`{\r\n  "username":\n"${ada}",\r"text": "a\\nb\\u2028" }\n`);
    const frame = await stream.nextFrame('message');
    assert.deepEqual(frame.lines.map((line) => line.split(':')[0]), ['event', 'data']);
    assert.deepEqual(JSON.parse(frame.data), { username: ada, text: 'a\nb\u2028' });
  });

  it('legacy-channels 56: an idle stream shows signs of life', async (t) => {
    const people = cast();
    const stream = await assertOpens(t, `users[]=${people.ada}&token=${people.A}`, people);
    await new Promise((later) => setTimeout(later, 21_000));
    assert.deepEqual(stream.frames.drain().map(({ text }) => text),
      ['event: heartbeat', 'event: heartbeat']);
  });

  it('legacy-channels 8.7: heartbeats come whatever else is sent', async (t) => {
    const people = cast();
    const { ada } = people;
    const stream = await assertOpens(t, `users[]=${ada}&token=${people.A}`, people);
    const telling = setInterval(() => suite.tell({ username: ada }).catch(() => {}), 700);
    t.after(() => clearInterval(telling));
    const beat = await stream.frames.find(({ event }) => event === 'heartbeat', 'a heartbeat', 11_000);
    assert.equal(beat.text, 'event: heartbeat');
  });

  it('legacy-channels 57: the brackets may be missing', async (t) => {
    const people = cast();
    await assertOpens(t, `users=${people.ada}&token=${people.A}`, people);
  });

  it('legacy-channels 8.9: a ban ends the stream with a goodbye', async (t) => {
    const people = cast();
    const stream = await assertOpens(t, `users[]=${people.ada}&token=${people.A}`, people);
    await ban(suite.gateway, people.claims.A.jti);
    assert.equal(await stream.ended(), 'end');
    assert.ok(stream.text.endsWith(`${CLOSING}\n\n`), stream.text);
    assert.equal((await suite.gateway.get(
      `/socket/sse?users[]=${people.ada}&token=${people.A}`)).status, 401);
  });

  it('legacy-channels 10: a stream that is cut is no longer present', async (t) => {
    const people = cast();
    const { ada } = people;
    const stream = await assertOpens(t, `users[]=${ada}&token=${people.A}`, people);
    const other = await openWs(t, suite.gateway, { token: people.A2 });
    const { state } = await other.joinOwn(`user:${ada}`);
    stream.close();
    const { payload } = await other.find(`user:${ada}`, 'presence_diff');
    assert.deepEqual(payload, { joins: {}, leaves: state });
  });

  it('legacy-channels 8: EventSource understands it', async (t) => {
    const { A, ada } = cast();
    const source = new EventSource(
      suite.gateway.url(`/socket/sse?users[]=${ada}&token=${A}`));
    t.after(() => source.close());
    const [joined, told] = [deferred(), deferred()];
    source.addEventListener('presence_diff', ({ data }) => joined.resolve(JSON.parse(data)));
    source.addEventListener('message', ({ data }) => told.resolve(JSON.parse(data)));
    assert.deepEqual(Object.keys((await within(joined.promise, 'a presence')).joins), [ada]);
    await suite.tell({ username: ada, n: 1 });
    assert.deepEqual(await within(told.promise, 'a message'), { username: ada, n: 1 });
  });
});

describe('channels over HTTP/2', () => {
  const suite = suiteGateway({ env: FIXTURE });

  it('legacy-channels 8: a stream over HTTP/2 is the same', async (t) => {
    const { A, ada, claims } = cast();
    const client = await H2Client.open(t, suite.gateway);
    const request = client.session.request(
      { ':path': `/socket/sse?users[]=${ada}&token=${A}` });
    const stream = new H2Stream(request);
    let text = '';
    request.on('data', (chunk) => { text += chunk; });
    const { payload } = await stream.next('phx_reply');
    assert.deepEqual(payload, OK);
    assert.deepEqual(await stream.next('presence_state'), {});
    assert.deepEqual(Object.keys((await stream.next('presence_diff')).joins), [ada]);
    const sent = { username: ada, text: 'x'.repeat(50_000) };
    await tell(suite.gateway, ada, sent);
    assert.deepEqual(await stream.next('message'), sent);
    await ban(suite.gateway, claims.A.jti);
    assert.equal(await stream.ended(), 0);
    assert.ok(text.startsWith('event: phx_reply\n'), text.slice(0, 100));
    assert.ok(text.endsWith(`\n\n${CLOSING}\n\n`), text.slice(-100));
  });

  it('legacy-channels 7: long-polling over HTTP/2 is the same', async (t) => {
    const { A, ada } = cast();
    const topic = `user:${ada}`;
    const client = await H2Client.open(t, suite.gateway);
    const base = `/socket/longpoll?token=${A}&vsn=2.0.0`;
    const { status, token: id } = (await client.request({ path: base })).json();
    assert.equal(status, 410);
    const path = `${base}&token=${id}`;
    const joined = await client.request({ method: 'POST', path,
      headers: { 'content-type': 'application/x-ndjson' },
      body: JSON.stringify(['1', '1', topic, 'phx_join', {}]) });
    assert.deepEqual(joined.json(), { status: 200 });
    const seen = [];
    while (seen.length < 3) {
      seen.push(...(await client.request({ path }, 15_000)).json().messages.map((m) => JSON.parse(m)));
    }
    assert.deepEqual(seen.map(([, , , event]) => event),
      ['phx_reply', 'presence_state', 'presence_diff']);
    const waiting = client.request({ path }, 15_000);
    const sent = { username: ada, n: 1 };
    await tell(suite.gateway, ada, sent);
    assert.deepEqual((await waiting).json().messages.map((m) => JSON.parse(m)),
      [[null, null, topic, 'message', sent]]);
  });

  it('legacy-channels 6: a WebSocket over HTTP/2 is the same', async (t) => {
    const { A, ada } = cast();
    const topic = `user:${ada}`;
    const client = await H2Client.open(t, suite.gateway);
    const refused = await client.connect('/socket/websocket?token=bad&vsn=2.0.0');
    assert.equal(refused.status, 403);
    const { status, headers, socket } = await client.connect(
      `/socket/websocket?token=${A}&vsn=2.0.0`, { 'sec-websocket-protocol': 'phoenix' });
    assert.equal(status, 200);
    assert.equal(headers['sec-websocket-protocol'], 'phoenix');
    socket.send(OPCODE.text, JSON.stringify(['1', '1', topic, 'phx_join', {}]));
    const events = [];
    for (let i = 0; i < 3; i++) events.push(JSON.parse((await socket.frame()).text)[3]);
    assert.deepEqual(events, ['phx_reply', 'presence_state', 'presence_diff']);
    const sent = { username: ada, n: 1 };
    await tell(suite.gateway, ada, sent);
    assert.deepEqual(JSON.parse((await socket.frame()).text), [null, null, topic, 'message', sent]);
  });
});

describe('the end of a channel stream', () => {
  it('legacy-channels 8.8: a gateway that stops says goodbye', async () => {
    const gateway = await Gateway.start({ env: FIXTURE });
    try {
      const { A, ada } = cast();
      const stream = await SseSocket.open(gateway, `users[]=${ada}&token=${A}`);
      await stream.next('phx_reply');
      await gateway.stop();
      assert.equal(await stream.ended(), 'end');
      assert.ok(stream.text.endsWith(`${CLOSING}\n\n`), stream.text);
    } finally {
      gateway.kill();
    }
  });
});
