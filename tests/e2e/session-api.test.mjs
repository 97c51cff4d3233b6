// Who is there, for those who may ask, and the end of it.
//
// - On the client port a token that lists the action may list users and their devices, and end a
//   token: all that it has opened closes at once. Without the action nothing happens.
// - On the internal port operators list sessions page by page, look at the connections of one,
//   whatever they speak and wherever they live, and close one or all of them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway, testGateway } from '../support/gateway.mjs';
import { TRANSPORTS, connect } from '../support/clients.mjs';
import { FIXTURE, LAST, ev, publish, subscribe } from '../support/events.mjs';
import { LongPollSocket, SseSocket, WsSocket, admin, cast, openLongPoll, openSse, openWs }
  from '../support/channels.mjs';
import { JwksServer } from '../support/jwks-server.mjs';
import { SigningKey, bearer, now, token } from '../support/jwt.mjs';
import { RawConnection, exchange } from '../support/http.mjs';
import { until, within } from '../support/wait.mjs';

const DENIED = { msg: 'Unauthorized' };
const JSON_TYPE = 'application/json; charset=utf-8';

/** A request to the API of the client port with this token, without "Bearer". */
const ask = (gateway, path, jwt, { method = 'GET', headers = {} } = {}) => gateway.request(
  { method, path, headers: { ...(jwt !== undefined && { authorization: jwt }), ...headers } });

async function list(gateway, path, jwt) {
  const { status, headers, text, json } = await ask(gateway, path, jwt);
  assert.equal(status, 200, text);
  assert.equal(headers['content-type'], JSON_TYPE);
  return json();
}

async function assertDenied(response) {
  const { status, headers, json } = await response;
  assert.equal(status, 403);
  assert.deepEqual(json(), DENIED);
  assert.equal(headers['content-type'], JSON_TYPE);
}

/** Deletes and must be told so; there is no body. */
async function end(gateway, jti, jwt = admin('deleteConnection')) {
  const { status, headers, text } = await ask(
    gateway, `/rg/connections/${encodeURIComponent(jti)}`, jwt, { method: 'DELETE' });
  assert.deepEqual({ status, text }, { status: 204, text: '' });
  assert.equal(headers['content-length'], undefined);
}

const topicQuery = (user, jwt) => `users[]=${encodeURIComponent(user)}&token=${jwt}`;

describe('the session API of the client port', { concurrency: true }, () => {
  const suite = suiteGateway({ env: { ...FIXTURE, REACTORS: '2' } });

  it('legacy-channels 63: the users of the role are listed, once each', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, REACTORS: '2' } });
    const users = () => list(gateway, '/rg/sessions', admin('getSessions'));
    assert.deepEqual(await users(), []);
    const A = token({ username: 'ada', role: ['customer'], jti: 'ja' });
    const S = token({ username: 'sam', role: ['support'], jti: 'js' });
    const devices = [];
    for (let i = 0; i < 2; i++) {
      const device = await openWs(t, gateway, { token: A });
      await device.joinOwn('user:ada');
      devices.push(device);
    }
    const support = await openWs(t, gateway, { token: S });
    await support.joinOwn('user:sam');
    assert.deepEqual(await users(), ['ada']);
    devices[0].close();
    await until(async () => (await list(gateway, '/rg/sessions/ada',
      admin('getSessionConnections'))).length === 1, 'one device has gone');
    assert.deepEqual(await users(), ['ada']);
    devices[1].close();
    await until(async () => (await users()).length === 0, 'nobody is there any more');
  });

  it('legacy-channels 63: SESSION_ROLE names the role', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, SESSION_ROLE: 'support' } });
    const { A, S, ada, sam } = cast();
    await (await openWs(t, gateway, { token: A })).joinOwn(`user:${ada}`);
    await (await openWs(t, gateway, { token: S })).joinOwn(`user:${sam}`);
    assert.deepEqual(await list(gateway, '/rg/sessions', admin('getSessions')), [sam]);
  });

  it('legacy-channels 63: names are as they are in tokens', async (t) => {
    const name = 'ä "€"/\\ 😀';
    const jwt = token({ username: name, role: ['customer'], jti: 'names' });
    await (await openWs(t, suite.gateway, { token: jwt })).joinOwn(`user:${name}`);
    assert.ok((await list(suite.gateway, '/rg/sessions', admin('getSessions'))).includes(name));
    const [meta] = await list(suite.gateway, `/rg/sessions/${encodeURIComponent(name)}`,
      admin('getSessionConnections'));
    assert.equal(meta.username, name);
  });

  for (const [what, actions] of [['no action', []], ['another action', ['deleteConnection']]]) {
    it(`legacy-channels 64: ${what} is not enough for the list`, () =>
      assertDenied(ask(suite.gateway, '/rg/sessions', admin(...actions))));
  }

  for (const [what, jwt] of [
    ['without a token', undefined], ['with garbage', 'garbage'], ['with an empty token', ''],
    ['with an expired token', token({ exp: now() - 5, scopes: { rg: { actions: ['getSessions'] } } })],
    ['with a token of a user', cast().A],
    ['with scopes of another kind', token({ scopes: 'getSessions' })],
    ['with actions of another kind', token({ scopes: { rg: { actions: 'getSessions' } } })],
    ['with another scheme', `Basic ${admin('getSessions')}`],
  ]) {
    it(`legacy-channels 65: the list is refused ${what}`, () =>
      assertDenied(ask(suite.gateway, '/rg/sessions', jwt)));
  }

  it('legacy-channels 12.2: a token that was ended may not ask', async () => {
    const jwt = token({ jti: 'ended', scopes: { rg: { actions: ['getSessions'] } } });
    await list(suite.gateway, '/rg/sessions', jwt);
    await end(suite.gateway, 'ended');
    await assertDenied(ask(suite.gateway, '/rg/sessions', jwt));
  });

  it('legacy-channels 12.1: the token may have the word Bearer in front', async () => {
    for (const word of ['Bearer', 'bearer']) {
      await list(suite.gateway, '/rg/sessions', `${word} ${admin('getSessions')}`);
    }
  });

  it('legacy-channels 66: the devices of a user, with what they say of themselves', async (t) => {
    const { A, A2, ada, claims } = cast();
    const may = admin('getSessionConnections');
    for (const jwt of [A, A2]) {
      await (await openWs(t, suite.gateway, { token: jwt })).joinOwn(`user:${ada}`);
    }
    const metas = await list(suite.gateway, `/rg/sessions/${ada}`, may);
    assert.deepEqual(metas.map(({ jti }) => jti).sort(), [claims.A.jti, claims.A2.jti].sort());
    for (const meta of metas) {
      assert.match(meta.phx_ref, /^[\w+/-]{11,12}=?$/);
      assert.equal(meta.username, ada);
      assert.equal(meta.address, '127.0.0.1');
    }
    assert.deepEqual(await list(suite.gateway, '/rg/sessions/nobody', may), []);
  });

  it('legacy-channels 67: a token that is ended loses its socket, another of its user does not',
    async (t) => {
      const { A, A2, ada, claims } = cast();
      const first = await openWs(t, suite.gateway, { token: A });
      const second = await openWs(t, suite.gateway, { token: A2 });
      await first.joinOwn(`user:${ada}`);
      await end(suite.gateway, claims.A.jti);
      assert.deepEqual(await first.closed(1000), { code: 1000, reason: '' });
      await second.heartbeat();
    });

  it('legacy-channels 68: an ended token opens nothing, another one does', async (t) => {
    const { A, A2, ada, claims } = cast();
    await end(suite.gateway, claims.A.jti);
    const { status, text } = await WsSocket.refused(suite.gateway, { token: A });
    assert.deepEqual({ status, text }, { status: 403, text: '' });
    assert.deepEqual(await new LongPollSocket(suite.gateway, { token: A }).get(), { status: 403 });
    const stream = await ask(suite.gateway, `/socket/sse?${topicQuery(ada, A)}`);
    assert.equal(stream.status, 401);
    await (await openWs(t, suite.gateway, { token: A2 })).heartbeat();
  });

  it('legacy-channels 69: it lasts as long as the token of whoever ended it', async (t) => {
    const { A, claims } = cast();
    const jwt = token({ exp: now() + 3, scopes: { rg: { actions: ['deleteConnection'] } } });
    const began = Date.now();
    await end(suite.gateway, claims.A.jti, jwt);
    assert.equal((await WsSocket.refused(suite.gateway, { token: A })).status, 403);
    const client = await until(() => WsSocket.open(suite.gateway, { token: A }), 'it is over', 6000);
    t.after(() => client.close());
    assert.ok(Date.now() - began >= 1900, 'not before its time');
  });

  it('legacy-channels 13.1: ending a token again does not change for how long', async (t) => {
    const { A, claims } = cast();
    const may = (exp) => token({ exp, scopes: { rg: { actions: ['deleteConnection'] } } });
    await end(suite.gateway, claims.A.jti, may(now() + 3));
    await end(suite.gateway, claims.A.jti, may(now() + 600));
    const client = await until(() => WsSocket.open(suite.gateway, { token: A }), 'it is over', 6000);
    t.after(() => client.close());
  });

  it('legacy-channels 70: who may not end it has no effect', async (t) => {
    const { A, claims } = cast();
    const client = await openWs(t, suite.gateway, { token: A });
    for (const jwt of [admin(), admin('getSessions', 'getSessionConnections'), A, undefined]) {
      await assertDenied(ask(suite.gateway, `/rg/connections/${claims.A.jti}`, jwt,
        { method: 'DELETE' }));
    }
    await client.heartbeat();
    await (await openWs(t, suite.gateway, { token: A })).heartbeat();
  });

  it('legacy-channels 71: streams say good-bye and polls that wait are answered', async (t) => {
    const { A, ada, claims } = cast();
    const stream = await openSse(t, suite.gateway, topicQuery(ada, A));
    const poll = await openLongPoll(t, suite.gateway, { token: A });
    const waiting = poll.get(undefined, 1000);
    await end(suite.gateway, claims.A.jti);
    assert.deepEqual(await waiting, { status: 403 });
    await stream.frames.find(({ event }) => event === 'closing connection', 'a good-bye', 1000);
    assert.equal(await stream.ended(1000), 'end');
    assert.deepEqual(await poll.get(), { status: 403 });
  });

  it('legacy-channels 72: a token that nobody has seen', async () => {
    await end(suite.gateway, 'unknown');
    const { status, text } = await exchange(suite.gateway.port,
      `DELETE /rg/connections/unknown HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: ${
        admin('deleteConnection')}\r\n\r\n`);
    assert.deepEqual({ status, text }, { status: 204, text: '' });
  });

  it('legacy-channels 12.6: a requester that takes no JSON gets none', async () => {
    const headers = { accept: 'text/html' };
    assert.equal((await ask(suite.gateway, '/rg/sessions', admin('getSessions'), { headers })).status,
      406);
    for (const accept of ['*/*', 'text/html, application/json;q=0.5', 'application/*']) {
      assert.equal((await ask(suite.gateway, '/rg/sessions', admin('getSessions'),
        { headers: { accept } })).status, 200);
    }
    const client = await WsSocket.open(suite.gateway, { token: token({ jti: 'taker' }) });
    const refused = await ask(suite.gateway, '/rg/connections/taker', admin('deleteConnection'),
      { method: 'DELETE', headers });
    assert.equal(refused.status, 406);
    await client.heartbeat();
    client.close();
  });

  for (const [method, path] of [['POST', '/rg/sessions'], ['DELETE', '/rg/sessions/ada'],
    ['GET', '/rg/connections/ja'], ['PUT', '/rg/sessions/ada'], ['GET', '/rg']]) {
    it(`legacy-channels 12.6: ${method} ${path} is not there`, async () => {
      const { status } = await ask(suite.gateway, path,
        admin('getSessions', 'getSessionConnections', 'deleteConnection'), { method });
      assert.equal(status, 404);
    });
  }

  it('legacy-channels 12: pages of other origins may ask, with a token', async () => {
    const { status, headers } = await ask(suite.gateway, '/rg/connections/x', undefined,
      { method: 'OPTIONS' });
    assert.equal(status, 204);
    assert.equal(headers['access-control-allow-methods'], 'DELETE');
    assert.equal(headers['access-control-allow-headers'], 'authorization');
    const answer = await ask(suite.gateway, '/rg/sessions', admin('getSessions'));
    assert.equal(answer.headers['access-control-allow-origin'], '*');
  });

  it('a token whose key is yet to be fetched has to wait for it', async (t) => {
    const key = new SigningKey('ES256', { kid: 'one' });
    const provider = await JwksServer.start(t, key);
    const { answer } = provider;
    const held = [];
    provider.answer = (...exchanged) => held.push(exchanged);
    const gateway = await testGateway(t, { env: { ...FIXTURE, JWT_SECRET_KEY: undefined,
      JWT_JWKS: provider.address, REACTORS: '1' } });
    const may = (...actions) => key.token({ scopes: { rg: { actions } } });
    await until(() => held.length > 0, 'the keys are asked for');
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    connection.write('DELETE /rg/connections/j HTTP/1.1\r\nHost: a\r\n' +
      `Authorization: ${may('deleteConnection')}\r\n\r\n`);
    const denied = ask(gateway, '/rg/connections/j2', may('getSessions'), { method: 'DELETE' });
    assert.equal((await gateway.get('/_rig/health')).status, 200);
    const isBanned = async (jti) =>
      (await gateway.internal(`/v3/session-blacklist/${jti}`)).status === 200;
    assert.equal(await isBanned('j'), false, 'not before it is known who asks');
    provider.answer = answer;
    held.forEach((exchanged) => answer(...exchanged));
    assert.equal((await connection.head()).status, 204);
    await assertDenied(denied);
    assert.deepEqual([await isBanned('j'), await isBanned('j2')], [true, false]);
  });

  it('a token whose session has another name is ended by its jti, in both dialects', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, JWT_SESSION_FIELD: '/sid', REACTORS: '2' } });
    const claims = { username: 'ada', role: ['customer'], sid: 's' };
    const stream = await connect(t, 'sse', gateway, { jwt: token({ ...claims, jti: 'j1' }) });
    const socket = await openWs(t, gateway, { token: token({ ...claims, jti: 'j1' }) });
    const other = await openWs(t, gateway, { token: token({ ...claims, jti: 'j2' }) });
    await end(gateway, 'j1');
    await stream.next('rig.session_killed');
    assert.equal((await socket.closed()).code, 1000);
    await other.heartbeat();
  });

  it('without the channels dialect it is not there', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, CHANNELS: 'false' } });
    assert.equal((await ask(gateway, '/rg/sessions', admin('getSessions'))).status, 404);
    assert.equal((await gateway.internal('/v3/sessions')).status, 200);
  });
});

/** All pages of a list: the sessions, and how many pages there were. */
async function pages(gateway, limit, more = '') {
  const sessions = [];
  let n = 0;
  for (let after = ''; after !== null; n++) {
    const { status, text, json } = await gateway.internal(
      `/v3/sessions?limit=${limit}${more}${after && `&after=${after}`}`);
    assert.equal(status, 200, text);
    const page = json();
    assert.ok(page.sessions.length <= limit);
    sessions.push(...page.sessions);
    after = page.next;
  }
  return { sessions, n };
}

async function look(gateway, id) {
  const { status, text, json, headers } = await gateway.internal(
    `/v3/sessions/${encodeURIComponent(id)}`);
  assert.equal(status, 200, text);
  assert.equal(headers['content-type'], JSON_TYPE);
  return json();
}

const remove = (gateway, path) => gateway.internal(path, { method: 'DELETE' });

/** Opens one connection of every kind with this token. */
async function openAll(t, gateway, user, jwt) {
  const all = { events: {}, channels: {} };
  for (const transport of TRANSPORTS) {
    all.events[transport] = await connect(t, transport, gateway, { jwt }, { 'user-agent': 'test/1' });
  }
  all.channels.ws = await openWs(t, gateway, { token: jwt, headers: { 'user-agent': 'test/2' } });
  all.channels.sse = await openSse(t, gateway, topicQuery(user, jwt), { 'user-agent': 'test/3' });
  all.channels.longpolling = await openLongPoll(t, gateway, { token: jwt });
  return all;
}

/** Connections of one session until both reactors have some. */
async function spread(t, gateway, jwt, id) {
  const clients = [];
  await until(async () => {
    clients.push(await connect(t, 'sse', gateway, { jwt }));
    const { connections } = await look(gateway, id);
    return new Set(connections.map((one) => one.id.split('-')[0])).size === 2;
  }, 'both reactors have connections of the session', 15000);
  return clients;
}

describe('sessions on the internal port', { concurrency: true }, () => {
  const suite = suiteGateway({ env: { ...FIXTURE, REACTORS: '2' } });

  it('a session shows its connections, whatever they speak', async (t) => {
    const { A, ada, claims: { A: { jti } } } = cast();
    const before = Date.now();
    const { channels } = await openAll(t, suite.gateway, ada, A);
    await channels.ws.joinOwn(`user:${ada}`);
    const session = await look(suite.gateway, jti);
    assert.deepEqual([session.id, session.user, session.truncated], [jti, ada, false]);
    assert.ok(Math.abs(Date.parse(session.since) - before) < 60000);
    const kinds = session.connections.map(({ dialect, transport }) => `${dialect} ${transport}`);
    assert.deepEqual(kinds.sort(), ['channels longpolling', 'channels sse', 'channels websocket',
      'events longpolling', 'events sse', 'events websocket']);
    for (const one of session.connections) {
      assert.equal(one.address, '127.0.0.1');
      assert.ok(Date.parse(one.since) >= before - 1000 && Date.parse(one.since) <= Date.now() + 1000);
      assert.ok(one.sent_bytes >= 0 && one.queued_bytes >= 0);
      const topics = one.dialect === 'channels' && one.transport !== 'longpolling';
      assert.deepEqual(one.channels, topics ? [`user:${ada}`] : []);
    }
    const agents = Object.fromEntries(session.connections.map(
      ({ dialect, transport, user_agent }) => [`${dialect} ${transport}`, user_agent]));
    assert.equal(agents['events sse'], 'test/1');
    assert.equal(agents['channels websocket'], 'test/2');
    assert.equal(agents['channels longpolling'], null);
    assert.equal(new Set(session.connections.map(({ id }) => id)).size, 6);
  });

  it('it shows subscriptions, and the bytes that a client got and has yet to get', async (t) => {
    const jti = 'bytes';
    const stream = await connect(t, 'sse', suite.gateway, { jwt: token({ jti }) });
    const poll = await connect(t, 'longpolling', suite.gateway, { jwt: token({ jti }) });
    const of = async (transport) => (await look(suite.gateway, jti)).connections.find(
      (one) => one.transport === transport);
    const [before, kept] = [await of('sse'), await of('longpolling')];
    assert.ok(before.sent_bytes > 0 && kept.queued_bytes > 0);
    const types = [LAST, { eventType: 'tenant.note' }];
    await subscribe(stream, types);
    await subscribe(poll, types);
    await publish(suite.gateway, ev('tenant.note', { owner: 'x'.repeat(5000) }));
    await stream.next('tenant.note');
    const after = await of('sse');
    assert.ok(after.sent_bytes > before.sent_bytes + 5000);
    assert.equal(after.queued_bytes, 0);
    assert.equal(after.subscriptions, before.subscriptions + 2);
    await until(async () => (await of('longpolling')).queued_bytes > kept.queued_bytes + 5000,
      'the event is kept for the poll');
  });

  it('a connection that got its token later is in the session, and not known by a device', async (t) => {
    const client = await connect(t, 'sse', suite.gateway);
    await subscribe(client, [], { headers: bearer(token({ jti: 'later', username: 'l' })) });
    const { user, connections: [one] } = await look(suite.gateway, 'later');
    assert.equal(user, 'l');
    assert.deepEqual([one.address, one.user_agent], [null, null]);
    assert.ok(Date.now() - Date.parse(one.since) < 60000);
  });

  it('a session can have any name', async (t) => {
    for (const name of ['a/b?c#d', 'ä€😀 "x"\\', '..', 'count', '%2F']) {
      await connect(t, 'sse', suite.gateway, { jwt: token({ jti: name }) });
      const path = name === 'count' ? '%63ount' : encodeURIComponent(name);
      const { json } = await suite.gateway.internal(`/v2/sessions/${path.replace(/^\.\.$/, '%2e%2e')}`);
      assert.equal(json().id, name);
      assert.equal(json().connections.length, 1);
    }
  });

  it('some hundred sessions are listed page by page, each once, while others come and go', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, REACTORS: '2' } });
    const ids = Array.from({ length: 300 }, (_, i) => `s-${i}`);
    for (let i = 0; i < ids.length; i += 50) {
      await Promise.all(ids.slice(i, i + 50).map((jti, k) => connect(t, 'sse', gateway,
        { jwt: token({ jti, username: `user-${(i + k) % 3}` }) })));
    }
    let isOver = false;
    const others = (async () => {
      for (let i = 0; !isOver; i++) {
        (await connect(t, 'sse', gateway, { jwt: token({ jti: `other-${i}` }) })).close();
      }
    })();
    const { sessions, n } = await pages(gateway, 17);
    isOver = true;
    await others;
    const listed = sessions.map(({ id }) => id).filter((id) => id.startsWith('s-'));
    assert.deepEqual(listed.sort(), [...ids].sort());
    assert.ok(n >= 18);
    const first = sessions.find(({ id }) => id === 's-0');
    assert.deepEqual({ ...first, since: null },
      { id: 's-0', user: 'user-0', connections: 1, since: null });

    const ofUser = await pages(gateway, 40, '&user=user-1');
    assert.deepEqual(ofUser.sessions.map(({ user }) => user), Array(100).fill('user-1'));
    assert.equal((await pages(gateway, 1000, '&user=user-1')).n, 1);
    await until(async () => await gateway.metric('rgate_sessions') === 300, 'the gauge follows');
    const count = (await gateway.internal('/v3/sessions/count')).json();
    assert.deepEqual(count, { sessions: 300, users: 0, connections: 300 });
  });

  it('the users that are counted are those who are present with the role', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, REACTORS: '2' } });
    for (const [username, jti] of [['ada', 'a1'], ['ada', 'a2'], ['bob', 'b1']]) {
      const jwt = token({ username, role: ['customer'], jti });
      await (await openWs(t, gateway, { token: jwt })).joinOwn(`user:${username}`);
    }
    await openWs(t, gateway, { token: token({ username: 'eve', role: ['customer'], jti: 'e' }) });
    assert.deepEqual((await gateway.internal('/v3/sessions/count')).json(),
      { sessions: 4, users: 2, connections: 4 });
    for (const [topic, users, presences] of [['role:customer', 2, 3], ['user:ada', 1, 2], ['user:x', 0, 0]]) {
      const path = `/v3/presence/${encodeURIComponent(topic)}`;
      assert.deepEqual((await gateway.internal(path)).json(), { topic, users, presences });
    }
  });

  it('a session whose devices are on different reactors is one, and ends as one', async (t) => {
    const jwt = token({ jti: 'wide' });
    const clients = await spread(t, suite.gateway, jwt, 'wide');
    const { sessions } = await pages(suite.gateway, 1000);
    assert.equal(sessions.find(({ id }) => id === 'wide').connections, clients.length);
    assert.equal((await remove(suite.gateway, '/v3/sessions/wide')).status, 204);
    for (const client of clients) assert.equal(await client.ended(1000), 'end');
    assert.equal((await suite.gateway.internal('/v3/sessions/wide')).status, 404);
  });

  it('deleting a session closes all of its connections at once, and bans it', async (t) => {
    const { A, ada, claims: { A: { jti } } } = cast();
    const { events, channels } = await openAll(t, suite.gateway, ada, A);
    const other = await connect(t, 'sse', suite.gateway, { jwt: token({ jti: `${jti}-other` }) });
    const polls = [events.longpolling.poll(), channels.longpolling.get()];
    const { status, text } = await remove(suite.gateway, `/v3/sessions/${jti}?seconds=60`);
    assert.deepEqual({ status, text }, { status: 204, text: '' });
    const over = Promise.all([
      events.sse.next('rig.session_killed'), events.sse.ended(), events.ws.closed(), polls[0],
      channels.ws.closed(), channels.sse.ended(), polls[1]]);
    const [, , ws, , socket, , poll] = await within(over, 'all are closed', 1000);
    assert.deepEqual(ws, { code: 1000, reason: 'Session killed.' });
    assert.deepEqual(socket, { code: 1000, reason: '' });
    assert.deepEqual(poll, { status: 403 });
    assert.equal((await WsSocket.refused(suite.gateway, { token: A })).status, 403);
    assert.equal((await suite.gateway.internal(`/v3/session-blacklist/${jti}`)).status, 200);
    await subscribe(other, []);
  });

  it('a session that nobody is connected to can be deleted, for some time', async (t) => {
    assert.equal((await remove(suite.gateway, '/v2/sessions/absent?seconds=2')).status, 204);
    const jwt = token({ jti: 'absent' });
    assert.equal((await WsSocket.refused(suite.gateway, { token: jwt })).status, 403);
    const client = await until(() => WsSocket.open(suite.gateway, { token: jwt }), 'the ban is over');
    t.after(() => client.close());
  });

  it('one connection can be closed alone; it may come back', async (t) => {
    const { A, ada, claims: { A: { jti } } } = cast();
    const { events, channels } = await openAll(t, suite.gateway, ada, A);
    const { connections } = await look(suite.gateway, jti);
    const path = (dialect, transport) => `/v3/sessions/${jti}/connections/${connections.find(
      (one) => one.dialect === dialect && one.transport === transport).id}`;
    assert.equal((await remove(suite.gateway, path('events', 'websocket'))).status, 204);
    assert.deepEqual(await events.ws.closed(), { code: 1000, reason: 'Session killed.' });
    assert.equal((await remove(suite.gateway, path('channels', 'sse'))).status, 204);
    assert.equal(await channels.sse.ended(), 'end');
    assert.equal((await remove(suite.gateway, path('channels', 'longpolling'))).status, 204);
    assert.equal((await remove(suite.gateway, path('channels', 'websocket'))).status, 204);
    assert.equal((await channels.ws.closed()).code, 1000);
    assert.equal((await remove(suite.gateway, path('channels', 'websocket'))).status, 404);
    assert.equal((await look(suite.gateway, jti)).connections.length, 2);
    await subscribe(events.sse, []);
    await (await openWs(t, suite.gateway, { token: A })).heartbeat();
    await SseSocket.open(suite.gateway, topicQuery(ada, A)).then((client) => client.close());
  });

  it('a connection of another session is not closed', async (t) => {
    const client = await connect(t, 'sse', suite.gateway, { jwt: token({ jti: 'mine' }) });
    await connect(t, 'sse', suite.gateway, { jwt: token({ jti: 'yours' }) });
    const { connections: [{ id }] } = await look(suite.gateway, 'mine');
    for (const path of [`yours/connections/${id}`, `nobodys/connections/${id}`,
      'mine/connections/0-99999-1', 'mine/connections/99-0-1', 'mine/connections/x']) {
      assert.equal((await remove(suite.gateway, `/v3/sessions/${path}`)).status, 404);
    }
    await subscribe(client, []);
  });

  for (const [path, text] of [
    ['?limit=0', /^limit must be a whole number from 1 to 1000\.$/],
    ['?limit=1001', /^limit must/], ['?limit=ten', /^limit must/], ['?after=x', /^after must/],
    ['?user=', /^user must/], ['?user=%zz', /malformed/], ['/%zz', /malformed/],
  ]) {
    it(`GET /v3/sessions${path} is answered 400 with a sentence`, async () => {
      const response = await suite.gateway.internal(`/v3/sessions${path}`);
      assert.equal(response.status, 400);
      assert.match(response.text, text);
      assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
    });
  }

  it('it has the manners of the internal port', async () => {
    const slash = await suite.gateway.internal('/v3/sessions/');
    assert.equal(slash.status, 200);
    assert.match(slash.headers['x-request-id'], /^.{20,200}$/);
    assert.equal(slash.headers['cache-control'], 'max-age=0, private, must-revalidate');
    assert.equal(slash.headers['access-control-allow-origin'], undefined);
    const head = await suite.gateway.internal('/v3/sessions', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [200, '']);
    for (const [method, path] of [['POST', '/v3/sessions'], ['DELETE', '/v3/sessions'],
      ['OPTIONS', '/v3/sessions/x'], ['GET', '/v1/sessions'], ['PUT', '/v3/sessions/x'],
      ['GET', '/v3/sessions/x/connections/0-0-1']]) {
      const { status, json } = await suite.gateway.internal(path, { method });
      assert.equal(status, 404);
      assert.deepEqual(json(), { errors: { detail: 'Not found' } });
    }
  });

  it('a shutdown does not mind who is asking', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, REACTORS: '2' } });
    const clients = await spread(t, gateway, token({ jti: 'busy' }), 'busy');
    const answers = [];
    const one = async () => {
      for (;;) {
        const { status } = await gateway.internal('/v3/sessions/busy').catch(() => ({ status: 0 }));
        answers.push(status);
        if (status === 0) return;
      }
    };
    const askers = Array.from({ length: 8 }, one);
    await until(() => answers.length > 50, 'they ask');
    const stopped = gateway.stop();
    await Promise.all(askers);
    await stopped;
    assert.deepEqual([...new Set(answers)].filter((s) => ![0, 200, 404, 503].includes(s)), []);
    for (const client of clients) await client.ended();
  });
});
