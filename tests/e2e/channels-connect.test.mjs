// Connecting channel sockets.
//
// - Who has a valid token, in any of the places where clients put it, and speaks a version that we
//   speak is let in.
// - Everybody else is refused, in the way of the transport, and told nothing more.
// - Pages of a foreign origin are refused where an origin is configured.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE } from '../support/events.mjs';
import { LongPollSocket, OK, SseSocket, WsSocket, admin, ban, cast, openSse, openWs, path }
  from '../support/channels.mjs';
import { exchange } from '../support/http.mjs';
import { now, sign, token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';
import { handshake } from '../support/websocket.mjs';

const bearerProtocol = (jwt) =>
  `base64url.bearer.phx.${Buffer.from(jwt).toString('base64').replace(/=/g, '')}`;

async function assertWsRefused(gateway, options) {
  const { status, text } = await WsSocket.refused(gateway, options);
  assert.deepEqual({ status, text }, { status: 403, text: '' });
}

describe('connecting channel sockets', { concurrency: true }, () => {
  const suite = suiteGateway({ env: FIXTURE });
  const { A, claims: { A: claims } } = cast();

  /** Tokens that nobody is let in with. */
  const bad = {
    'without a token': undefined,
    'with an empty token': '',
    'with garbage': 'garbage',
    'with another key': token(claims, { key: 'another secret of thirty-two bytes' }),
    'with another algorithm': token(claims, { alg: 'HS384' }),
    'without an algorithm': sign({ alg: 'none' }, { ...claims, exp: now() + 600 }, null),
    'with exp in the past': token({ ...claims, exp: now() - 1 }),
    'without exp': token({ ...claims, exp: undefined }),
    'with exp as text': token({ ...claims, exp: String(now() + 600) }),
  };

  it('legacy-channels 1: a WebSocket with a valid token opens', async (t) => {
    const client = await openWs(t, suite.gateway, { token: A });
    await client.heartbeat();
  });

  for (const [what, jwt] of Object.entries(bad)) {
    it(`legacy-channels 2: a WebSocket ${what} is refused`, () =>
      assertWsRefused(suite.gateway, { token: jwt }));
  }

  for (const vsn of ['3.0.0', 'abc', '1', '2.0', '2.1.0', '1.9.9', '2.0.0 ', '-2.0.0', '2.0.0.0',
    '99999999999999999999.0.0', '2.0.0-rc.0']) {
    it(`legacy-channels 3: version ${vsn} is refused`, () =>
      assertWsRefused(suite.gateway, { token: A, vsn }));
  }

  for (const [vsn, form] of [['1.0.0', 'object'], ['1.0.7', 'object'], ['2.0.0', 'array'],
    ['2.0.3', 'array']]) {
    it(`legacy-channels 3: version ${vsn} is the one with ${form}s`, async (t) => {
      const client = await openWs(t, suite.gateway, { token: A, vsn });
      await client.heartbeat();
      assert.equal(Array.isArray(JSON.parse(client.texts[0])), form === 'array');
    });
  }

  it('legacy-channels 4: a token without jti is refused', () =>
    assertWsRefused(suite.gateway, { token: token({ ...claims, jti: undefined }) }));

  for (const [what, jti] of [['empty', ''], ['null', null], ['a list', ['a']]]) {
    it(`legacy-channels 4: a token whose jti is ${what} is refused`, () =>
      assertWsRefused(suite.gateway, { token: token({ ...claims, jti }) }));
  }

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    it(`legacy-channels 5: ${method} instead of a handshake is answered 400`, async () => {
      const { status, text } = await suite.gateway.request(
        { method, path: path('websocket', [['token', A]]) });
      assert.deepEqual({ status, text }, { status: 400, text: '' });
    });
  }

  it('legacy-channels section 6: without upgrade headers a good token gets 400, a bad one 403',
    async () => {
      const good = await suite.gateway.get(path('websocket', [['token', A]]));
      assert.equal(good.status, 400);
      const { status, text } = await suite.gateway.get(path('websocket', [['token', 'bad']]));
      assert.deepEqual({ status, text }, { status: 403, text: '' });
    });

  it('legacy-channels 6: the token may be a sub-protocol', async (t) => {
    const client = await openWs(t, suite.gateway, { protocols: ['phoenix', bearerProtocol(A)] });
    assert.equal(client.headers['sec-websocket-protocol'], 'phoenix');
    await client.heartbeat();
  });

  it('legacy-channels 6: a bad token as sub-protocol is refused', () =>
    assertWsRefused(suite.gateway, {
      headers: { 'sec-websocket-protocol': `phoenix, ${bearerProtocol('bad')}` } }));

  it('legacy-channels 7: the sub-protocol phoenix is chosen if it is offered', async (t) => {
    const client = await openWs(t, suite.gateway, { token: A, protocols: ['phoenix'] });
    assert.equal(client.headers['sec-websocket-protocol'], 'phoenix');
    const without = await openWs(t, suite.gateway, { token: A });
    assert.equal(without.headers['sec-websocket-protocol'], undefined);
  });

  it('legacy-channels 3.2: one valid token among several is enough', async (t) => {
    const client = await openWs(t, suite.gateway,
      { token: 'bad', protocols: ['phoenix', bearerProtocol(A)] });
    await client.heartbeat();
    const { status } = await exchange(suite.gateway.port,
      handshake(`/socket/websocket?token=bad&vsn=2.0.0&token=${A}`));
    assert.equal(status, 101);
  });

  it('legacy-channels 3.3: each transport refuses in its own way', async () => {
    const { gateway } = suite;
    assert.deepEqual(await new LongPollSocket(gateway, { token: 'bad' }).get(), { status: 403 });
    const sse = await gateway.get('/socket/sse?users[]=a&token=bad');
    assert.deepEqual({ status: sse.status, text: sse.text },
      { status: 401, text: 'event: unauthorized\n\n' });
  });

  it('legacy-channels 2.2: iat is not looked at', async (t) => {
    const client = await openWs(t, suite.gateway, { token: token({ ...claims, iat: now() + 500 }) });
    await client.heartbeat();
  });

  it('legacy-channels 13.2: a banned session is refused by each transport', async () => {
    const { gateway } = suite;
    const { ada, A: jwt, A2, claims: { A: { jti } } } = cast();
    await ban(gateway, jti);
    await assertWsRefused(gateway, { token: jwt });
    assert.deepEqual(await new LongPollSocket(gateway, { token: jwt }).get(), { status: 403 });
    const { status } = await gateway.get(`/socket/sse?users[]=${ada}&token=${jwt}`);
    assert.equal(status, 401);
    const other = await WsSocket.open(gateway, { token: A2 });
    other.close();
  });

  it('hardening: a token is never written to the log, whatever becomes of it', async () => {
    await assertWsRefused(suite.gateway, { token: `${A}x` });
    const { output } = suite.gateway.run;
    assert.ok(!output.includes(A.split('.')[2]), output);
  });
});

describe('origins of channel sockets', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, ORIGIN: 'https://ui.example' } });
  const { ada, A } = cast();

  for (const origin of ['https://evil.example', 'http://ui.example', 'https://ui.example:444',
    'https://ui.example.evil.example', 'null', 'http://localhost.evil.example', 'garbage']) {
    it(`legacy-channels 8: pages of ${origin} are refused`, async () => {
      const { gateway } = suite;
      await assertWsRefused(gateway, { token: A, headers: { origin } });
      const poll = new LongPollSocket(gateway, { token: A, headers: { origin } });
      assert.deepEqual(await poll.get(), { status: 403 });
      const sse = await gateway.get(`/socket/sse?users[]=${ada}&token=${A}`, { origin });
      assert.equal(sse.status, 403);
      assert.equal(sse.headers['access-control-allow-origin'], '*');
    });
  }

  for (const origin of ['https://ui.example', 'http://localhost:3000', 'https://localhost',
    undefined]) {
    it(`legacy-channels 8: pages of ${origin ?? 'no origin'} are let in`, async (t) => {
      const { gateway } = suite;
      const headers = origin ? { origin } : {};
      const client = await openWs(t, gateway, { token: A, headers });
      await client.heartbeat();
      await LongPollSocket.open(gateway, { token: A, headers });
      await openSse(t, gateway, `users[]=${ada}&token=${A}`, headers);
    });
  }
});

describe('limits of channel sockets', () => {
  it('hardening: MAX_CLIENTS holds for channel sockets, and who leaves makes room', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, MAX_CLIENTS: '2' } });
    const { ada, A } = cast();
    const ws = await openWs(t, gateway, { token: A });
    const sse = await SseSocket.open(gateway, `users[]=${ada}&token=${A}`);
    t.after(() => sse.close());
    assert.equal((await WsSocket.refused(gateway, { token: A })).status, 429);
    sse.close();
    await until(async () => {
      const client = await WsSocket.open(gateway, { token: A });
      client.close();
      return true;
    }, 'there is room again');
    assert.deepEqual(await ws.join(`user:${ada}`), OK);
  });

  it('hardening: CHANNELS=false takes the sockets away', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, CHANNELS: 'false' } });
    const { A } = cast();
    const jwt = admin('getSessions');
    for (const target of [`/socket/websocket?token=${A}`, `/socket/longpoll?token=${A}`,
      `/socket/sse?users[]=a&token=${A}`, '/rg/sessions']) {
      assert.equal((await gateway.get(target, { authorization: jwt })).status, 404, target);
    }
  });
});
