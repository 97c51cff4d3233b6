// Channels over long-polling.
//
// - A socket opens, is polled, is spoken to, and ends when nobody polls it any more.
// - What arrives is there once, in order, whether a poll waits for it or comes later.
// - phoenix.js works over it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testGateway } from '../support/gateway.mjs';
import { FIXTURE } from '../support/events.mjs';
import { LongPollSocket, OK, WsSocket, ban, cast, openLongPoll, openWs, path, refusal, tell }
  from '../support/channels.mjs';
import { openPhoenix } from '../support/phoenix.mjs';
import { suiteMessages } from '../support/user-messages.mjs';
import { until } from '../support/wait.mjs';

const join = (ref, topic) => JSON.stringify([ref, ref, topic, 'phx_join', {}]);
const heartbeat = (ref) => JSON.stringify([null, ref, 'phoenix', 'heartbeat', {}]);

describe('channels over long-polling', { concurrency: true }, () => {
  const suite = suiteMessages({ env: FIXTURE });

  /** A socket of A that has joined nothing yet. */
  async function open(t, options = {}) {
    const people = cast();
    const client = await openLongPoll(t, suite.gateway, { token: people.A, ...options });
    return { ...people, client, own: `user:${people.ada}` };
  }

  /** The same, joined, with everything fetched that comes of it. */
  async function openJoined(t, options) {
    const all = await open(t, options);
    await all.client.send(join('1', all.own));
    for (let found = 0; found < 3;) found += (await all.client.poll()).messages.length;
    all.client.mail.drain();
    return all;
  }

  it('legacy-channels 36: the first request opens a socket', async () => {
    const { A } = cast();
    const { status, headers, json } = await suite.gateway.get(
      `${path('longpoll', [['token', A], ['vsn', '2.0.0']])}&`);
    assert.equal(status, 200);
    const body = json();
    assert.deepEqual(Object.keys(body).sort(), ['messages', 'status', 'token']);
    assert.equal(body.status, 410);
    assert.deepEqual(body.messages, []);
    assert.ok(typeof body.token === 'string' && body.token.length >= 20, body.token);
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-store');
  });

  for (const [what, token] of [['with a bad token', 'bad'], ['without a token', undefined]]) {
    it(`legacy-channels 37: ${what} it is refused`, async () => {
      const client = new LongPollSocket(suite.gateway, { token });
      assert.deepEqual(await client.get(), { status: 403 });
    });
  }

  it('legacy-channels 37: in a version that we do not speak it is refused', async () => {
    const client = new LongPollSocket(suite.gateway, { token: cast().A, vsn: '3.0.0' });
    assert.deepEqual(await client.get(), { status: 403 });
  });

  it('legacy-channels 38: a join is posted, its reply fetched', async (t) => {
    const { client, own } = await open(t);
    assert.deepEqual(await client.post(join('1', own)), { status: 200 });
    const { status, token, messages } = await client.get();
    assert.deepEqual({ status, token }, { status: 200, token: client.id });
    for (const one of messages) assert.equal(typeof one, 'string');
    assert.deepEqual(JSON.parse(messages[0]), ['1', '1', own, 'phx_reply', OK]);
  });

  it('legacy-channels 39: two lines are two messages, and a refusal is no failure', async (t) => {
    const { client, own, ada, bob } = await open(t);
    const body = `${join('1', own)}\n${join('2', `user:${bob}`)}`;
    assert.deepEqual(await client.post(body), { status: 200 });
    client.start();
    const replies = [];
    while (replies.length < 2) {
      const one = await client.next();
      if (one.event === 'phx_reply') replies.push(one);
    }
    assert.deepEqual(replies.map(({ ref, payload }) => [ref, payload]),
      [['1', OK], ['2', refusal(ada, `user:${bob}`)]]);
  });

  it('legacy-channels 7.6: lines end with LF or CRLF, empty ones do not count', async (t) => {
    const { client } = await open(t);
    const body = `\n\r\n${heartbeat('1')}\r\n\n${heartbeat('2')}\n\r\n${heartbeat('3')}\r\n`;
    assert.deepEqual(await client.post(body), { status: 200 });
    client.start();
    for (const ref of ['1', '2', '3']) assert.equal((await client.next('phx_reply')).ref, ref);
  });

  it('legacy-channels 7.6: a hundred lines are taken in order', async (t) => {
    const { client } = await open(t);
    const refs = Array.from({ length: 100 }, (_, i) => String(i));
    assert.deepEqual(await client.post(refs.map(heartbeat).join('\n')), { status: 200 });
    client.start();
    for (const ref of refs) assert.equal((await client.next('phx_reply')).ref, ref);
  });

  it('legacy-channels 40: a poll that finds nothing is answered after ten seconds', async (t) => {
    const { client } = await open(t);
    const began = Date.now();
    const body = await client.get();
    const seconds = (Date.now() - began) / 1000;
    assert.deepEqual(body, { status: 204, token: client.id, messages: [] });
    assert.ok(seconds >= 9 && seconds <= 11, `${seconds} s`);
  });

  it('legacy-channels 41: a message ends the waiting at once', async (t) => {
    const { client, ada, own } = await openJoined(t);
    const waiting = client.get();
    await new Promise((later) => setTimeout(later, 300));
    const began = Date.now();
    const sent = { username: ada, n: 1 };
    await suite.tell(sent);
    const { status, messages } = await waiting;
    assert.equal(status, 200);
    assert.deepEqual(messages.map((one) => JSON.parse(one)), [[null, null, own, 'message', sent]]);
    assert.ok(Date.now() - began <= 200, `${Date.now() - began} ms`);
  });

  it('legacy-channels 42: in V1 messages are objects', async (t) => {
    const { client, own } = await open(t, { vsn: null });
    const said = { topic: own, event: 'phx_join', payload: {}, ref: '1' };
    assert.deepEqual(await client.post(JSON.stringify(said), { type: 'application/json' }),
      { status: 200 });
    const { status, messages } = await client.get();
    assert.equal(status, 200);
    const { topic, event, ref, payload } = messages[0];
    assert.deepEqual({ topic, event, ref, payload },
      { topic: own, event: 'phx_reply', ref: '1', payload: OK });
  });

  for (const [what, id] of [['unknown', 'unknown'], ['empty', ''], ['of no socket any more', null]]) {
    it(`legacy-channels 43: who posts with a poll id that is ${what} is told so`, async (t) => {
      const { client, own } = await open(t);
      const tokens = [cast().A, id ?? `${client.id.slice(0, -2)}AA`];
      assert.deepEqual(await client.post(join('1', own), { tokens }), { status: 410 });
      assert.deepEqual(await client.post(join('1', own), { tokens: [tokens[1]] }), { status: 410 });
    });
  }

  it('legacy-channels 44: a socket that is not polled ends, and its user is no longer present',
    async (t) => {
      const { client, A2, ada, own } = await openJoined(t);
      const other = await openWs(t, suite.gateway, { token: A2 });
      await other.joinOwn(own);
      const beating = setInterval(() => other.heartbeat().catch(() => {}), 20_000);
      t.after(() => clearInterval(beating));
      const began = Date.now();
      // What it says does not keep it.
      const saying = setInterval(() => client.post(heartbeat('h')).catch(() => {}), 4000);
      t.after(() => clearInterval(saying));
      const gone = await other.find(own, 'presence_diff', 31_000);
      assert.deepEqual(Object.keys(gone.payload.leaves), [ada]);
      const seconds = (Date.now() - began) / 1000;
      assert.ok(seconds >= 14 && seconds <= 30, `${seconds} s`);
      await new Promise((later) => setTimeout(later, 35_000 - (Date.now() - began)));
      assert.deepEqual(await client.get([client.id]), { status: 403 });
      assert.deepEqual(await client.post(heartbeat('1')), { status: 410 });
      const { status, token } = await client.get();
      assert.equal(status, 410);
      assert.notEqual(token, client.id);
    });

  it('legacy-channels 7.8: a poll that waits keeps the socket', async (t) => {
    const { client, own, ada } = await openJoined(t);
    client.start();
    await new Promise((later) => setTimeout(later, 35_000));
    await suite.tell({ username: ada });
    assert.deepEqual((await client.find(own, 'message')).payload, { username: ada });
  });

  it('legacy-channels 45: preflights are answered', async () => {
    for (const transport of ['longpoll', 'sse']) {
      const { status, headers, text } = await suite.gateway.request({ method: 'OPTIONS',
        path: `/socket/${transport}`,
        headers: { 'access-control-request-headers': 'content-type,x-phoenix-authtoken' } });
      assert.deepEqual({ status, text }, { status: 200, text: '' });
      assert.equal(headers['access-control-allow-headers'], 'content-type,x-phoenix-authtoken');
      assert.equal(headers['access-control-allow-methods'], 'get, post, options');
      assert.equal(headers['access-control-max-age'], '3600');
      assert.equal(headers['access-control-allow-origin'], '*');
    }
  });

  for (const method of ['PUT', 'DELETE', 'PATCH']) {
    it(`legacy-channels 46: ${method} is answered 400`, async () => {
      const { status, text } = await suite.gateway.request(
        { method, path: path('longpoll', [['token', cast().A]]) });
      assert.deepEqual({ status, text }, { status: 400, text: '' });
    });
  }

  it('legacy-channels 47: the token may be a header', async () => {
    const client = new LongPollSocket(
      suite.gateway, { headers: { 'x-phoenix-authtoken': cast().A } });
    assert.equal((await client.get()).status, 410);
    const bad = new LongPollSocket(suite.gateway, { headers: { 'x-phoenix-authtoken': 'bad' } });
    assert.deepEqual(await bad.get(), { status: 403 });
  });

  it('legacy-channels 48: phoenix.js joins, receives and leaves', async (t) => {
    const { A, ada } = cast();
    const user = await openPhoenix(t, suite.gateway, { token: A, longPoll: true });
    const { channel, log, presence } = await user.join(`user:${ada}`);
    await until(() => presence.list().length === 1, 'the presence is there');
    const sent = { username: ada, n: 1 };
    await suite.tell(sent);
    assert.deepEqual(await log.happened('message'), sent);
    channel.leave();
    await log.happened('closed');
    assert.deepEqual(user.log.of('error'), []);
    assert.deepEqual(log.of('failed'), []);
    assert.deepEqual(user.log.of('close'), []);
  });

  it('legacy-channels 7.1: the poll id alone fetches, whoever else\'s token is beside it', async (t) => {
    const { client, own, B } = await open(t);
    await client.send(join('1', own));
    const { status, messages } = await client.get([client.id]);
    assert.equal(status, 200);
    assert.equal(JSON.parse(messages[0])[3], 'phx_reply');
    await client.send(heartbeat('2'));
    assert.equal((await client.get([client.id, B])).status, 200);
    await client.send(heartbeat('3'));
    assert.equal((await client.get(['bad', client.id])).status, 200);
  });

  it('legacy-channels 7.2: a dead poll id behind a good token opens a new socket at once', async (t) => {
    const { client } = await open(t);
    const began = Date.now();
    const { status, token } = await client.get([cast().A, 'dead']);
    assert.equal(status, 410);
    assert.notEqual(token, client.id);
    assert.ok(Date.now() - began < 1000);
  });

  it('legacy-channels 7.4: a second poll sends the first away', async (t) => {
    const { client } = await open(t);
    const first = client.get();
    await new Promise((later) => setTimeout(later, 200));
    const second = client.get();
    assert.deepEqual(await first, { status: 204, token: client.id, messages: [] });
    await client.send(heartbeat('1'));
    const { status, messages } = await second;
    assert.equal(status, 200);
    assert.equal(JSON.parse(messages[0])[1], '1');
  });

  it('legacy-channels 7.4: messages wait for a poll, in order and once', async (t) => {
    const { client, ada } = await openJoined(t);
    for (let n = 0; n < 20; n++) await suite.tell({ username: ada, n });
    client.start();
    for (let n = 0; n < 20; n++) assert.equal((await client.next('message')).payload.n, n);
    await client.send(heartbeat('end'));
    assert.equal((await client.next()).ref, 'end');
  });

  it('legacy-channels 7.7: what cannot be read is refused, and the socket lives on', async (t) => {
    const { client, own, ada } = await openJoined(t);
    for (const [body, type] of [['garbage', 'application/x-ndjson'], ['{}', 'application/x-ndjson'],
      ['[1]', 'application/json'], ['', 'application/json'], ['[', 'application/x-ndjson'],
      [`${heartbeat('1')}\n[`, 'application/json']]) {
      assert.deepEqual(await client.post(body, { type }), { status: 400 }, body);
    }
    client.start();
    await suite.tell({ username: ada });
    assert.deepEqual((await client.find(own, 'message')).payload, { username: ada });
  });

  it('legacy-channels 7.9: poll ids look like nothing and are never the same', async (t) => {
    const { A } = cast();
    const ids = new Set();
    for (let i = 0; i < 20; i++) {
      ids.add((await openLongPoll(t, suite.gateway, { token: A })).id);
    }
    assert.equal(ids.size, 20);
    for (const id of ids) assert.match(id, /^[A-Za-z0-9._~-]{22,}$/);
  });

  it('legacy-channels 7.10: a ban answers a poll that waits, and refuses the next', async (t) => {
    const { client, claims } = await openJoined(t);
    const began = Date.now();
    const waiting = client.get();
    await new Promise((later) => setTimeout(later, 200));
    await ban(suite.gateway, claims.A.jti);
    let answer = await waiting;
    // What is told last may come first.
    if (answer.status === 200) answer = await client.get();
    assert.deepEqual(answer, { status: 403 });
    assert.ok(Date.now() - began < 2000);
    assert.deepEqual(await client.get(), { status: 403 });
    assert.deepEqual(await client.post(heartbeat('1')), { status: 410 });
  });

  it('legacy-channels 10.5: a socket over long-polling is told of others', async (t) => {
    const { client, own, S, sam } = await openJoined(t);
    client.start();
    const support = await WsSocket.open(suite.gateway, { token: S });
    assert.deepEqual(await support.join(own), OK);
    const came = await client.find(own, 'presence_diff');
    assert.deepEqual(Object.keys(came.payload.joins), [sam]);
    support.close();
    const left = await client.find(own, 'presence_diff');
    assert.deepEqual(left.payload, { joins: {}, leaves: came.payload.joins });
  });

  it('legacy-channels 7: HEAD is no way to poll, and takes nothing away', async (t) => {
    const { client, own } = await open(t);
    await client.send(join('1', own));
    const { status } = await suite.gateway.request({ method: 'HEAD', path: client.path() });
    assert.equal(status, 400);
    assert.equal(JSON.parse((await client.get()).messages[0])[3], 'phx_reply');
  });
});

describe('channels over long-polling on several event loops', () => {
  it('hardening: a socket is found from whatever connection it is polled', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, REACTORS: '4' } });
    const { A, ada } = cast();
    const client = await openLongPoll(t, gateway, { token: A });
    await client.send(join('1', `user:${ada}`));
    let sent = 0;
    for (const received = []; received.length < 100;) {
      await tell(gateway, ada, { username: ada, n: sent++ });
      const { messages } = await client.get();
      for (const [, , , event, payload] of messages.map((one) => JSON.parse(one))) {
        if (event === 'message') received.push(payload.n);
      }
      assert.deepEqual(received, [...received.keys()]);
    }
  });
});
