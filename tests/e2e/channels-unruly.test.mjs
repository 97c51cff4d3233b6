// Clients of channels that do what they should not.
//
// - Frames, messages and references that are wrong, too long or too many end at most the socket
//   that sent them, with the code that says why; its neighbours notice nothing.
// - Whatever a crowd of them does, nothing of it stays behind.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { Gateway, suiteGateway } from '../support/gateway.mjs';
import { LongPollSocket, OK, UNMATCHED, WsSocket, ban, cast, openLongPoll, openSse, openWs, path, tell }
  from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { RawConnection, request } from '../support/http.mjs';
import { token } from '../support/jwt.mjs';
import { Random } from '../support/random.mjs';
import { until } from '../support/wait.mjs';
import { OPCODE, RawWebSocket, handshake } from '../support/websocket.mjs';

const MAX_MESSAGE = 65536;
const { text, binary, continuation, ping, close } = OPCODE;
const HEARTBEAT = '[null,"1","phoenix","heartbeat",{}]';

/** A socket whose every frame is the test's own, joined to its own topic. */
async function openRaw(t, gateway, jwt, topic, options = {}) {
  const connection = await RawConnection.open(gateway.port, options);
  t.after(() => connection.close());
  connection.write(handshake(path('websocket', [['token', jwt], ['vsn', '2.0.0']])));
  const socket = RawWebSocket.over(connection);
  if (options.readsSlowly) return { socket, connection };
  assert.equal((await connection.head()).status, 101);
  if (topic) {
    socket.send(text, JSON.stringify(['1', '1', topic, 'phx_join', {}]));
    for (let frames = 0; frames < 3; frames++) await socket.frame();
  }
  return { socket, connection };
}

/** The code of the close frame that is next, whatever messages are in front of it. */
async function closeCode(socket) {
  for (;;) {
    const { opcode, code } = await socket.frame();
    if (opcode === close) return code;
  }
}

describe('unruly channel sockets', { concurrency: true }, () => {
  const suite = suiteGateway({ env: { ...FIXTURE, REACTORS: '2' } });

  /** A socket of A beside a neighbour, who sees A's presence end and nothing else. */
  async function beside(t) {
    const people = cast();
    const topic = `user:${people.ada}`;
    const neighbour = await openWs(t, suite.gateway, { token: people.A2 });
    await neighbour.joinOwn(topic);
    const { socket } = await openRaw(t, suite.gateway, people.A, topic);
    const came = await neighbour.find(topic, 'presence_diff');
    const untilGone = async () => {
      const { payload } = await neighbour.find(topic, 'presence_diff');
      assert.deepEqual(payload, { joins: {}, leaves: came.payload.joins });
      await neighbour.heartbeat();
    };
    return { ...people, topic, socket, untilGone };
  }

  const nested = (n) => `${'['.repeat(n)}${']'.repeat(n)}`;
  for (const [what, misbehave, codes] of [
    ['an unmasked frame', (s) => s.send(text, HEARTBEAT, { masked: false }), [1002]],
    ['a reserved bit', (s) => s.send(text, HEARTBEAT, { rsv: 4 }), [1002]],
    ['an unknown opcode', (s) => s.send(3, 'x'), [1002]],
    ['a ping in fragments', (s) => s.send(ping, 'x', { fin: false }), [1002]],
    ['a long ping', (s) => s.send(ping, 'x'.repeat(126)), [1002]],
    ['a continuation of nothing', (s) => s.send(continuation, 'x'), [1002]],
    ['a message within a message',
      (s) => { s.send(text, '[', { fin: false }); s.send(text, HEARTBEAT); }, [1002]],
    ['a close of one byte', (s) => s.send(close, 'x'), [1002]],
    ['a close with a code that is none', (s) => s.send(close, Buffer.from([3, 237])), [1002]],
    ['text that is no UTF-8', (s) => s.send(text, Buffer.from('5b22ff225d', 'hex')), [1007]],
    ['binary that is no UTF-8', (s) => s.send(binary, Buffer.from('5b22ff225d', 'hex')),
      [1003, 1007, 1011]],
    ['a message that is too long', (s) => s.send(text, 'x'.repeat(MAX_MESSAGE + 1)), [1009]],
    ['a message that claims to be endless', (s) => s.send(text, '', { length: 0xffffffff }), [1009]],
    ['fragments that are too long together', (s) => {
      s.send(text, '[', { fin: false });
      for (let i = 0; i < 5; i++) s.send(continuation, ' '.repeat(20_000), { fin: false });
    }, [1009]],
    ['fragments that never end', (s) => {
      s.send(text, '[', { fin: false });
      for (let i = 0; i < 2000; i++) s.send(continuation, '', { fin: false });
    }, [1002, 1008, 1009]],
    ['an empty message', (s) => s.send(text, ''), [1003, 1011]],
    ['no JSON', (s) => s.send(text, '["1","1"'), [1003, 1011]],
    ['another shape', (s) => s.send(text, '{"topic":"a","event":"b","payload":{},"ref":"1"}'),
      [1003, 1011]],
    ['too few elements', (s) => s.send(text, '["1","1","phoenix","heartbeat"]'), [1003, 1011]],
    ['a topic that is a number', (s) => s.send(text, '[null,"1",5,"heartbeat",{}]'), [1003, 1011]],
    ['an event that is null', (s) => s.send(text, '[null,"1","phoenix",null,{}]'), [1003, 1011]],
    ['a reference that is an object', (s) => s.send(text, '[null,{},"phoenix","heartbeat",{}]'),
      [1003, 1011]],
    ['a reference that is too long',
      (s) => s.send(text, JSON.stringify([null, 'r'.repeat(1000), 'phoenix', 'heartbeat', {}])),
      [1003, 1011]],
    ['a payload that is too deep',
      (s) => s.send(text, `[null,"1","phoenix","heartbeat",${nested(20_000)}]`), [1003, 1011]],
    ['two messages in one', (s) => s.send(text, HEARTBEAT + HEARTBEAT), [1003, 1011]],
  ]) {
    it(`hardening: ${what} ends the socket, and no other`, async (t) => {
      const { socket, untilGone } = await beside(t);
      misbehave(socket);
      const code = await closeCode(socket);
      assert.ok(codes.includes(code), `closed with ${code}`);
      await untilGone();
    });
  }

  it('hardening: the longest message that is allowed is taken', async (t) => {
    const { A, ada } = cast();
    const client = await openWs(t, suite.gateway, { token: A });
    const said = (n) => JSON.stringify([null, '1', 'phoenix', 'heartbeat', { x: 'y'.repeat(n) }]);
    client.send(said(MAX_MESSAGE - said(0).length));
    assert.deepEqual(await client.replyTo('1'), OK);
    assert.deepEqual(await client.join(`user:${ada}`), OK);
  });

  it('hardening: messages in fragments, with pings between them, are whole', async (t) => {
    const { A } = cast();
    const { socket } = await openRaw(t, suite.gateway, A);
    for (const [i, byte] of [...HEARTBEAT].entries()) {
      socket.send(i === 0 ? text : continuation, byte, { fin: i === HEARTBEAT.length - 1 });
      if (i === 5) socket.send(ping, 'between');
    }
    assert.deepEqual((await socket.frame()).text, 'between');
    assert.deepEqual(JSON.parse((await socket.frame()).text),
      [null, '1', 'phoenix', 'phx_reply', OK]);
  });

  it('hardening: frames that arrive byte by byte are frames', async (t) => {
    const { A } = cast();
    const { connection, socket } = await openRaw(t, suite.gateway, A);
    const bytes = [];
    RawWebSocket.over({ write: (chunk) => bytes.push(chunk) }).send(text, HEARTBEAT);
    for (const byte of Buffer.concat(bytes)) {
      connection.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    assert.equal(JSON.parse((await socket.frame()).text)[3], 'phx_reply');
  });

  it('hardening: events nobody knows, stale references and strange leaves change nothing', async (t) => {
    const { A, ada } = cast();
    const topic = `user:${ada}`;
    const client = await openWs(t, suite.gateway, { token: A });
    await client.joinOwn(topic);
    for (const event of ['phx_close', 'phx_error', 'phx_reply', 'presence_state', 'presence_diff',
      'message', 'heartbeat', '', '\u0000', 'access_token']) {
      client.say('1', 'x', topic, event, { joins: { bob: {} } });
      client.say('77', 'x', topic, event);
    }
    client.say('77', 'x', topic, 'phx_leave');
    await client.heartbeat();
    assert.deepEqual(client.mail.drain(), []);
    for (const [to, event] of [['phoenix', 'phx_join'], ['phoenix', 'hello'], ['', 'heartbeat']]) {
      assert.deepEqual(await client.ask(to, event, {}, null), UNMATCHED, `${to} ${event}`);
    }
    assert.deepEqual(await client.ask('phoenix', 'phx_leave', {}, null), OK);
    assert.equal((await client.leave(topic)).status, 'ok');
  });

  it('hardening: joins beyond MAX_CHANNELS are refused, and a leave makes room', async (t) => {
    const { S, n } = cast();
    const client = await openWs(t, suite.gateway, { token: S });
    const topic = (i) => `user:crowd-${n}-${i}`;
    for (let i = 0; i < 100; i++) assert.deepEqual(await client.join(topic(i)), OK, topic(i));
    for (let i = 100; i < 120; i++) {
      const { status, response } = await client.join(topic(i));
      assert.equal(status, 'error');
      assert.equal(typeof response.reason, 'string');
    }
    assert.deepEqual(await client.join(topic(7)), OK, 'to join again is not one more');
    assert.deepEqual(await client.ask(topic(7), 'phx_leave', {}, null), OK);
    assert.deepEqual(await client.join(topic(200)), OK);
  });

  it('hardening: thousands of joins of one topic leave one presence', async (t) => {
    const { A, A2, ada } = cast();
    const topic = `user:${ada}`;
    const watcher = await openWs(t, suite.gateway, { token: A2 });
    await watcher.joinOwn(topic);
    const client = await openWs(t, suite.gateway, { token: A });
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 200; i++) client.say(`${i}`, `${round}-${i}`, topic, 'phx_join');
      assert.deepEqual(await client.replyTo(`${round}-199`), OK);
      client.mail.drain();
      client.texts.length = 0;
      // Not more in a second than is allowed.
      await new Promise((later) => setTimeout(later, 210));
    }
    await until(async () => {
      const newcomer = await WsSocket.open(suite.gateway, { token: A2 });
      const { state } = await newcomer.joinOwn(topic);
      newcomer.close();
      return state[ada].metas.length === 2;
    }, 'two are present');
  });

  it('hardening: a flood of messages ends the socket that sends them', async (t) => {
    const { socket, untilGone } = await beside(t);
    for (let i = 0; i < 5000; i++) socket.send(text, HEARTBEAT);
    assert.equal(await closeCode(socket), 1008);
    await untilGone();
  });

  it('hardening: a flood of changes among very many constraints ends the socket', async (t) => {
    const { socket, untilGone } = await beside(t);
    const oneOf = Array.from({ length: 900 }, (_, i) => ({ room: `r${i}` }));
    const join = (topic, payload) => socket.send(text, JSON.stringify(['1', '1', topic, 'phx_join', payload]));
    join('events:chat.posted', { oneOf });
    // Far fewer messages than are a flood by their number.
    for (let i = 0; i < 300; i++) join('events:other', {});
    assert.equal(await closeCode(socket), 1008);
    await untilGone();
  });

  it('hardening: a flood of pings ends the socket that sends them', async (t) => {
    const { socket, untilGone } = await beside(t);
    for (let i = 0; i < 5000; i++) socket.send(ping, 'x');
    assert.equal(await closeCode(socket), 1008);
    await untilGone();
  });

  it('hardening: long-polling takes no endless bodies', async (t) => {
    const { A } = cast();
    const client = await openLongPoll(t, suite.gateway, { token: A });
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(`POST ${client.path()} HTTP/1.1\r\nHost: a\r\n` +
      'Content-Type: application/x-ndjson\r\nContent-Length: 99999999\r\n\r\n');
    assert.equal((await connection.head()).status, 413);
    assert.deepEqual(await client.post(HEARTBEAT), { status: 200 });
    assert.equal(JSON.parse((await client.get()).messages[0])[3], 'phx_reply');
  });

  it('hardening: one line of a long-polling body is as short as a message', async (t) => {
    const { A } = cast();
    const client = await openLongPoll(t, suite.gateway, { token: A });
    const long = JSON.stringify([null, '1', 'phoenix', 'heartbeat', 'x'.repeat(MAX_MESSAGE)]);
    const { status } = await suite.gateway.request({ method: 'POST', path: client.path(), body: long,
      headers: { 'content-type': 'application/x-ndjson', 'content-length': long.length } });
    assert.ok([400, 413].includes(status), String(status));
    assert.deepEqual(await client.post(HEARTBEAT), { status: 200 });
  });

  it('hardening: SSE joins no endless list of topics', async () => {
    const { S, n } = cast();
    const users = Array.from({ length: 300 }, (_, i) => `users[]=l${n}-${i}`).join('&');
    const response = await suite.gateway.get(`/socket/sse?${users}&token=${S}`).catch((e) => e);
    // Refused as a whole, or topic by topic: then the stream ends.
    if (response.status === 200) {
      assert.equal((response.text.match(/"status":"ok"/g) ?? []).length, 100);
      assert.match(response.text, /event: closing connection\n\n$/);
    } else {
      assert.ok([400, 414, 431].includes(response.status), `${response.status}`);
    }
  });
});

describe('channel sockets that do not read', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, CLIENT_QUEUE_BYTES: '65536' } });

  it('hardening: who sends and does not read is cut off, others are not', async (t) => {
    const { gateway } = suite;
    const { A, A2, ada } = cast();
    const neighbour = await openWs(t, gateway, { token: A2 });
    await neighbour.joinOwn(`user:${ada}`);
    const { socket, connection } = await openRaw(t, gateway, A, null, { readsSlowly: true });
    // The replies are as long as the topic; the kernel's buffers take some megabytes of them.
    const said = JSON.stringify([null, '1', 't'.repeat(500), 'x', {}]);
    const flood = setInterval(() => {
      for (let i = 0; i < 90; i++) socket.send(text, said);
    }, 100);
    t.after(() => clearInterval(flood));
    await until(async () => await gateway.metric('rgate_disconnects_total', { reason: 'slow' }) === 1
      || await gateway.metric('rgate_disconnects_total', { reason: 'stalled' }) === 1,
    'it is cut off', 60_000);
    clearInterval(flood);
    connection.read();
    await connection.closed();
    await neighbour.heartbeat();
  });
});

describe('more than a queue holds', () => {
  const suite = suiteGateway({ env: {
    ...FIXTURE, CLIENT_QUEUE_BYTES: '65536', PRESENCE_INTERVAL: '500', REACTORS: '2' } });
  const big = (name, role) => token(
    { username: name, role: [role], jti: `j-${name}`, pad: 'x'.repeat(4000) });

  it('hardening: a diff that is longer than the queue is still told', async (t) => {
    const { S, n, role } = cast();
    const support = await openWs(t, suite.gateway, { token: S });
    assert.deepEqual(await support.join(`role:${role}`), OK);
    const names = Array.from({ length: 40 }, (_, i) => `d${n}-${i}`);
    for (const name of names) {
      const client = await openWs(t, suite.gateway, { token: big(name, role) });
      assert.deepEqual(await client.join(`user:${name}`), OK);
    }
    const present = new Set();
    while (present.size < names.length) {
      const { payload } = await support.next('presence_diff');
      for (const name of Object.keys(payload.joins)) present.add(name);
    }
    await support.heartbeat();
  });

  it('hardening: a state that is longer than the queue is still told', async (t) => {
    const { ada, role } = cast();
    for (let i = 0; i < 40; i++) {
      const client = await openWs(t, suite.gateway, { token: big(ada, role) });
      assert.deepEqual(await client.join(`user:${ada}`), OK);
      const { payload } = await client.find(`user:${ada}`, 'presence_state');
      assert.equal(payload[ada]?.metas.length ?? 0, i);
    }
  });

  it('hardening: a long-polling socket that nobody fetches from ends when its queue is full',
    async (t) => {
      const { gateway } = suite;
      const { A, ada } = cast();
      const client = await openLongPoll(t, gateway, { token: A });
      await client.send(JSON.stringify(['1', '1', `user:${ada}`, 'phx_join', {}]));
      const { A: other, ada: bystander } = cast();
      const neighbour = await openLongPoll(t, gateway, { token: other });
      await neighbour.send(JSON.stringify(['1', '1', `user:${bystander}`, 'phx_join', {}]));
      for (let i = 0; i < 100; i++) await tell(gateway, ada, { username: ada, pad: 'y'.repeat(3000) });
      assert.deepEqual(await client.post(HEARTBEAT), { status: 410 });
      const { status, token: id } = await client.get();
      assert.equal(status, 410);
      assert.notEqual(id, client.id);
      assert.equal((await neighbour.get()).status, 200);
    });
});

describe('a crowd of unruly channel clients', () => {
  const random = new Random();
  const suite = suiteGateway({ env: {
    ...FIXTURE, REACTORS: '3', CLIENT_QUEUE_BYTES: '8192', CHANNEL_IDLE_TIMEOUT: '1000',
    CHANNEL_HEARTBEAT_INTERVAL: '100', CHANNEL_LONGPOLL_TIMEOUT: '100',
    CHANNEL_LONGPOLL_IDLE_TIMEOUT: '500', HTTP_WRITE_TIMEOUT: '1000', HTTP_IDLE_TIMEOUT: '1000',
    MAX_CONNECTIONS_PER_MINUTE: '1000000', PRESENCE_INTERVAL: '5', MAX_CHANNELS: '5' } });

  const names = ['ada', 'bob', 'eve', 'a"b', 'x'.repeat(300)];
  const topics = () => random.pick([...names.map((name) => `user:${name}`), 'role:customer',
    'role:vip', 'events:chat.posted', 'events:none', 'room:1', '', 'user:', 'phoenix']);
  const someToken = () => token(random.pick([
    { username: random.pick(names), role: ['customer', 'vip'], jti: `s${random.below(8)}` },
    { username: 'sam', role: ['support'], jti: `s${random.below(8)}` },
    { username: 'ada', role: 'support', jti: 'lone', exp: Math.floor(Date.now() / 1000) + 1 },
    { role: 5, jti: 'nobody' },
  ]));
  const payload = () => random.pick([{}, null, { oneOf: [{ room: 'a' }, { size: 1 }] },
    { oneOf: [{ nofield: 1 }] }, { oneOf: 5 }, [], 'x'.repeat(900)]);
  const someMessage = (vsn) => {
    const ref = random.pick(['1', '2', '3', null]);
    const topic = topics();
    const event = random.pick(['phx_join', 'phx_join', 'phx_join', 'phx_leave', 'hello', 'heartbeat']);
    const good = vsn ? [random.pick([ref, null, '9']), ref, topic, event, payload()]
      : { topic, event, payload: payload(), ref };
    return random.below(40) === 0 ? random.pick(['[', '{}', '""', '[1,2,3,4,5]'])
      : JSON.stringify(good);
  };
  const turns = async (n) => {
    for (let i = random.below(n); i > 0; i--) await new Promise(setImmediate);
  };

  const behaviours = {
    async ws({ port }) {
      const vsn = random.pick(['2.0.0', undefined]);
      const connection = await RawConnection.open(port);
      connection.write(handshake(path('websocket', [['token', someToken()], ['vsn', vsn]])));
      const socket = RawWebSocket.over(connection);
      for (let n = random.below(30); n > 0; n--) {
        socket.send(random.pick([text, text, binary, ping]), someMessage(vsn).slice(0, 2000),
          { fin: random.below(50) > 0, masked: random.below(200) > 0 });
        if (random.below(3) === 0) await turns(10);
      }
      random.pick([() => connection.close(), () => connection.endWriting(),
        () => socket.send(close, ''), () => connection.write(randomBytes(20)), () => {}])();
      await turns(40);
      connection.close();
    },
    async longPoll(gateway) {
      const client = new LongPollSocket(gateway,
        { token: someToken(), vsn: random.pick(['2.0.0', null]) });
      const ask = (method, body) => request({ port: gateway.port, method, path: client.path(), body,
        headers: { connection: 'close', ...(body && { 'content-type':
          random.pick(['application/x-ndjson', 'application/json']) }) } }).catch(() => null);
      const first = await ask('GET');
      client.id = first?.json().token ?? 'none';
      for (let n = random.below(5); n > 0; n--) {
        const body = Array.from({ length: 1 + random.below(4) }, () => someMessage(client.vsn)).join('\n');
        await Promise.all([ask('POST', body), random.below(2) ? ask('GET') : null,
          random.below(4) === 0 ? ask('GET') : null]);
      }
    },
    async sse({ port }) {
      const connection = await RawConnection.open(port);
      const query = Array.from({ length: random.below(7) }, () => `${random.pick(
        ['users[]', 'roles[]', 'users', 'roles%5B%5D'])}=${encodeURIComponent(random.pick(names))}`);
      connection.write(`GET /socket/sse?${query.join('&')}&token=${someToken()} HTTP/1.1\r\n` +
        'Host: a\r\n\r\n');
      await turns(60);
      connection.close();
    },
    async operator(gateway) {
      await ban(gateway, `s${random.below(8)}`, 1);
    },
  };

  it('hardening: whatever they do, nothing of them stays behind', async () => {
    const { gateway } = suite;
    let left = 2500;
    const worker = async () => {
      while (left-- > 0) {
        const kind = random.weighted({ ws: 10, longPoll: 4, sse: 4, operator: 1 });
        await behaviours[kind](gateway);
      }
    };
    try {
      await Promise.all(Array.from({ length: 24 }, worker));
      assert.equal((await gateway.get('/_rig/health')).text, 'OK');
      await until(async () => await gateway.metric('rgate_connections') === 0, 'all have gone', 20_000);
      await until(async () => await gateway.metric('rgate_http_connections') === 0,
        'all connections are closed', 20_000);
      for (const name of ['rig_subscriptions_total', 'rgate_presence_presences',
        'rgate_presence_users', 'rgate_presence_topics']) {
        assert.equal(await gateway.metric(name), 0, name);
      }
      assert.ok(await gateway.metric('rgate_presence_joins_total') > 300);
    } catch (error) {
      error.message = `RGATE_TEST_SEED=${random.seed}: ${error.message}`;
      throw error;
    }
  });
});

describe('channel sockets that end together', () => {
  it('hardening: a gateway that stops says goodbye to sockets of all kinds', async (t) => {
    const gateway = await Gateway.start({ env: FIXTURE });
    t.after(() => gateway.kill());
    const { A, ada } = cast();
    const ws = await openWs(t, gateway, { token: A });
    await ws.joinOwn(`user:${ada}`);
    const sse = await openSse(t, gateway, `users[]=${ada}&token=${A}`);
    await sse.next('phx_reply');
    const poll = (await openLongPoll(t, gateway, { token: A })).start();
    assert.deepEqual(await poll.join(`user:${ada}`), OK);
    const began = Date.now();
    await gateway.stop();
    assert.ok(Date.now() - began < 5000, 'nobody is waited for');
    assert.ok([1001, 1012].includes((await ws.closed()).code));
    assert.equal(await sse.ended(), 'end');
  });
});
