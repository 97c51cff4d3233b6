// Sessions and the blacklist.
//
// - A session that is banned loses its connections at once, wherever they came from, and nobody
//   else notices; its tokens are refused until the ban is over.
// - With JWT_EXPIRY_CLOSES a connection lives as long as its token: it is warned, a fresh token
//   prolongs it, and else it ends with a reason.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway, testGateway } from '../support/gateway.mjs';
import { TRANSPORTS, assertRefused, connect } from '../support/clients.mjs';
import { FIXTURE, LAST, put, receivedUntilLast, subscribe } from '../support/events.mjs';
import { bearer, now, token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';

const BLACKLISTED = (id) => ({ text: new RegExp(`Ignoring blacklisted JWT with ID "${id}"\\.`) });
const LAST_ONLY = [LAST];

/** POSTs to the blacklist and returns the response whatever it is. */
function blacklist(gateway, body, version = 'v3') {
  return gateway.internal(`/${version}/session-blacklist`, { method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body) });
}

async function ban(gateway, sessionId, validityInSeconds = 60) {
  const { status, text } = await blacklist(gateway, { sessionId, validityInSeconds });
  assert.equal(status, 201, text);
}

const isBanned = async (gateway, id) =>
  (await gateway.internal(`/v3/session-blacklist/${encodeURIComponent(id)}`)).status === 200;

/** What a client of this transport sees when its session is banned. */
const assertKilled = {
  async sse(client) {
    const event = await client.next('rig.session_killed');
    assert.equal('data' in event, false);
    assert.equal(event.source, 'rig');
    assert.equal(await client.ended(), 'end');
  },
  async ws(client) {
    assert.deepEqual(await client.closed(), { code: 1000, reason: 'Session killed.' });
    assert.deepEqual(client.messages.drain(), []);
  },
  async longpolling(client) {
    assert.equal((await client.poll(client.cookies)).status, 400, 'its token is refused, too');
  },
};

describe('banned sessions', () => {
  const suite = suiteGateway({ env: FIXTURE });
  let n = 0;
  const fresh = () => `session-${++n}`;
  const open = (t, transport, jti, parameters = { subscriptions: LAST_ONLY }) =>
    connect(t, transport, suite.gateway, { jwt: token({ jti }), ...parameters });

  it('client-api 117: it loses its connections at once, and nobody else notices', async (t) => {
    const id = fresh();
    const killed = [];
    for (const transport of TRANSPORTS) {
      for (let i = 0; i < 4; i++) {
        killed.push({ transport, client: await open(t, transport, id) });
      }
    }
    const others = [];
    for (const transport of TRANSPORTS) {
      others.push(await open(t, transport, fresh()),
        await connect(t, transport, suite.gateway, { subscriptions: LAST_ONLY }));
    }
    await ban(suite.gateway, id);
    for (const { transport, client } of killed) await assertKilled[transport](client);
    for (const other of others) assert.deepEqual(await receivedUntilLast(other), []);
  });

  it('client-api 117: a poll that waits is answered when its session is banned', async (t) => {
    const id = fresh();
    const client = await open(t, 'longpolling', id);
    const waiting = client.poll(client.cookies);
    const started = Date.now();
    await ban(suite.gateway, id);
    assert.ok((await waiting).status < 500);
    assert.ok(Date.now() - started < 2000);
  });

  for (const transport of TRANSPORTS) {
    it(`client-api 118: its tokens are refused, others of the same user are not (${transport})`,
      async (t) => {
        const id = fresh();
        const jwt = token({ jti: id });
        await connect(t, transport, suite.gateway, { jwt }); // known, and remembered
        await ban(suite.gateway, id);
        await assertRefused(transport, suite.gateway, { jwt }, BLACKLISTED(id));
        await assertRefused(transport, suite.gateway, { jwt: token({ jti: id, x: 1 }) }, BLACKLISTED(id));
        await connect(t, transport, suite.gateway, { jwt: token({ jti: fresh() }) });
      });
  }

  it('client-api 118: a set with its token is refused', async (t) => {
    const id = fresh();
    const client = await connect(t, 'sse', suite.gateway);
    await ban(suite.gateway, id);
    const { status, text } = await put(suite.gateway, client.token, { subscriptions: [] },
      { headers: bearer(token({ jti: id })) });
    assert.equal(status, 400);
    assert.match(text, /^cannot accept subscription request: invalid authorization header/);
  });

  it('client-api 119: a ban ends', async (t) => {
    const id = fresh();
    const jwt = token({ jti: id });
    await ban(suite.gateway, id, 1);
    await assertRefused('sse', suite.gateway, { jwt });
    await until(async () => !await isBanned(suite.gateway, id), 'the entry is gone', 3000);
    await connect(t, 'sse', suite.gateway, { jwt });
  });

  for (const transport of TRANSPORTS) {
    it(`client-api 120: a set with a token makes the connection part of its session (${transport})`,
      async (t) => {
        const id = fresh();
        const client = await connect(t, transport, suite.gateway);
        await subscribe(client, [], { headers: bearer(token({ jti: id })) });
        await ban(suite.gateway, id);
        if (transport === 'longpolling') {
          assert.equal((await client.poll(client.cookies)).text, '"ok"', 'a new connection');
        } else {
          await assertKilled[transport](client);
        }
      });
  }

  it('client-api 120: a connection can be part of many sessions, and leaves none', async (t) => {
    const ids = [fresh(), fresh(), fresh()];
    const clients = [];
    for (let i = 0; i < ids.length; i++) {
      const client = await open(t, 'sse', ids[0], {});
      await subscribe(client, [], { headers: bearer(token({ jti: ids[1] }), token({ jti: ids[2] })) });
      await subscribe(client, []);
      clients.push(client);
    }
    await ban(suite.gateway, ids[1]);
    for (const client of clients) await assertKilled.sse(client);
  });

  it('client-api 13.2: a token without a session belongs to none', async (t) => {
    for (const jti of [undefined, null, '', {}, ['a']]) {
      await connect(t, 'sse', suite.gateway, { jwt: token({ jti }) });
    }
    const client = await connect(t, 'sse', suite.gateway, { jwt: token({ jti: 7 }) });
    await ban(suite.gateway, '7');
    await assertKilled.sse(client);
  });
});

describe('JWT_SESSION_FIELD', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, JWT_SESSION_FIELD: '/sid' } });

  it('client-api 121: it names the claim that names the session', async (t) => {
    const jwt = token({ sid: 'z', jti: 'q' });
    const client = await connect(t, 'sse', suite.gateway, { jwt });
    const other = await connect(t, 'sse', suite.gateway,
      { jwt: token({ sid: 'y', jti: 'z' }), subscriptions: LAST_ONLY });
    await ban(suite.gateway, 'z');
    await assertKilled.sse(client);
    await assertRefused('sse', suite.gateway, { jwt });
    assert.deepEqual(await receivedUntilLast(other), []);
  });

  it('client-api 121: the id of a token is refused as well', async () => {
    await ban(suite.gateway, 'q2');
    await assertRefused('sse', suite.gateway, { jwt: token({ sid: 'any', jti: 'q2' }) });
  });
});

describe('the blacklist of the internal port', () => {
  const suite = suiteGateway({ env: FIXTURE });

  for (const version of ['v2', 'v3']) {
    it(`management-api 31: a session is put on it (${version})`, async () => {
      const path = `/${version}/session-blacklist`;
      const { status, headers, json } = await blacklist(
        suite.gateway, { sessionId: 's1', validityInSeconds: 60 }, version);
      assert.equal(status, 201);
      assert.deepEqual(json(), {});
      assert.equal(headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(headers.location, `${path}/s1`);
      assert.equal(headers['access-control-allow-origin'], '*');
      for (const either of ['v2', 'v3']) {
        const entry = await suite.gateway.internal(`/${either}/session-blacklist/s1`);
        assert.equal(entry.status, 200);
        assert.deepEqual(entry.json(), {});
        assert.equal(entry.headers['content-type'], 'application/json; charset=utf-8');
      }
    });
  }

  it('management-api 32: a session that is not on it', async () => {
    const { status, text, headers } = await suite.gateway.internal('/v3/session-blacklist/unknown');
    assert.equal(status, 404);
    assert.equal(text, 'Not found.');
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
  });

  it('management-api 33: the time may be a text and a fraction', async () => {
    for (const validityInSeconds of ['60', 0.5, 1e12]) {
      const sessionId = `s2 ${validityInSeconds}`;
      assert.equal((await blacklist(suite.gateway, { sessionId, validityInSeconds })).status, 201);
      assert.equal(await isBanned(suite.gateway, sessionId), true);
    }
  });

  for (const [number, body, beginning] of [
    [33, { sessionId: 'no', validityInSeconds: '12x' }, 'Expected a number, got "12x"'],
    [33, { sessionId: 'no', validityInSeconds: 0 }, 'Expected a positive number, got'],
    [33, { sessionId: 'no', validityInSeconds: -5 }, 'Expected a positive number, got'],
    [33, { sessionId: 'no', validityInSeconds: '' }, 'Expected a positive number, got'],
    [33, { sessionId: 'no', validityInSeconds: null }, 'Expected a positive number, got'],
    [33, { sessionId: 'no', validityInSeconds: true }, 'Expected a positive number, got'],
    [34, { validityInSeconds: 1 }, 'Missing value for "sessionId"'],
    [34, {}, 'Missing value for "sessionId"'],
    [34, { sessionId: 'no' }, 'Missing value for "validityInSeconds"'],
    [34, { sessionId: '', validityInSeconds: 1 }, 'Expected non-empty string, got'],
    [34, { sessionId: null, validityInSeconds: 1 }, 'Expected non-empty string, got'],
    [34, { sessionId: 5, validityInSeconds: 1 }, 'Expected non-empty string, got'],
  ]) {
    it(`management-api ${number}: ${JSON.stringify(body)} is refused`, async () => {
      const { status, text, headers } = await blacklist(suite.gateway, body);
      assert.equal(status, 400);
      assert.ok(text.startsWith(beginning), text);
      assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
      assert.equal(await isBanned(suite.gateway, 'no'), false);
    });
  }

  for (const body of ['{', '[]', '5']) {
    it(`management-api 34: the body ${body} is refused`, async () => {
      const { status, json } = await blacklist(suite.gateway, body);
      assert.equal(status, 400);
      assert.deepEqual(json(), { errors: { detail: 'Bad request' } });
    });
  }

  it('management-api 35: an entry lives as long as was asked for, or longer', async () => {
    const started = Date.now();
    await ban(suite.gateway, 'two', 2);
    await ban(suite.gateway, 'prolonged', 2);
    await ban(suite.gateway, 'prolonged', 60);
    await ban(suite.gateway, 'prolonged', 1);
    await until(async () => {
      const is = await isBanned(suite.gateway, 'two');
      assert.ok(is || Date.now() - started >= 2000, 'not before its time');
      return !is;
    }, 'the entry is gone', 4000);
    assert.ok(Date.now() - started < 3500);
    assert.equal(await isBanned(suite.gateway, 'prolonged'), true);
  });

  it('management-api 36: an id with special characters', async () => {
    const { headers } = await blacklist(
      suite.gateway, { sessionId: 'a b/c', validityInSeconds: 60 });
    assert.equal(headers.location, '/v3/session-blacklist/a%20b%2Fc');
    assert.equal((await suite.gateway.internal(headers.location)).status, 200);
  });

  it('management-api 37: a stream of that session ends, another one stays', async (t) => {
    const client = await connect(t, 'sse', suite.gateway, { jwt: token({ jti: 'm37' }) });
    const other = await connect(t, 'sse', suite.gateway,
      { jwt: token({ jti: 'm37b' }), subscriptions: LAST_ONLY });
    await blacklist(suite.gateway, { sessionId: 'm37', validityInSeconds: '60' }, 'v2');
    await assertKilled.sse(client);
    assert.deepEqual(await receivedUntilLast(other), []);
  });

  it('management-api 52: the metrics count entries', async () => {
    const metric = (what) => suite.gateway.metric(
      `rig_distributed_set_items_${what}`, { name: 'Elixir.SessionBlacklist' });
    const [total, current] = [await metric('total'), await metric('current')];
    await ban(suite.gateway, 'm52', 1);
    assert.equal(await metric('total'), total + 1);
    assert.equal(await metric('current'), current + 1);
    await until(async () => await metric('current') === current, 'the entry is gone', 4000);
    assert.equal(await metric('total'), total + 1);
  });
});

describe('tokens that expire', { concurrency: true }, () => {
  const suite = suiteGateway({ env: {
    ...FIXTURE, JWT_EXPIRY_CLOSES: 'true', JWT_EXPIRY_WARNING: '1500' } });
  // Without subscriptions: the last event of one test is no news for another.
  const open = (t, transport, claims) => connect(
    t, transport, suite.gateway, { jwt: token(claims) });

  /** Seconds between a token's end and this moment; at most a little. */
  const assertAt = (exp) => {
    const late = Date.now() / 1000 - exp;
    assert.ok(late > -0.1 && late < 2, `${late} s behind the end of the token`);
  };

  it('expiry: a stream is warned, told and ended', async (t) => {
    const exp = now() + 3;
    const client = await open(t, 'sse', { exp });
    await client.next('rig.session_expiring');
    const early = exp - Date.now() / 1000;
    assert.ok(early > 0.3 && early < 2.6, `warned ${early} s before`);
    const expired = await client.next('rig.session_expired');
    assert.equal(expired.source, 'rig');
    assertAt(exp);
    assert.equal(await client.ended(), 'end');
  });

  it('expiry: a WebSocket is warned and closed', async (t) => {
    const exp = now() + 3;
    const client = await open(t, 'ws', { exp });
    await client.next('rig.session_expiring');
    assert.deepEqual(await client.closed(), { code: 4401, reason: 'rig.session_expired' });
    assertAt(exp);
  });

  it('expiry: a long-polling client is over', async (t) => {
    const exp = now() + 2;
    const client = await open(t, 'longpolling', { exp });
    await until(() => now() > exp, 'the token is over');
    await until(async () => (await client.poll(client.cookies)).status === 400,
      'it would have to connect again, and its token is refused');
  });

  for (const transport of ['sse', 'ws']) {
    it(`expiry: a set with a fresh token prolongs (${transport})`, async (t) => {
      const exp = now() + 2;
      const client = await open(t, transport, { exp });
      await client.next('rig.session_expiring');
      await subscribe(client, LAST_ONLY, { headers: bearer(token({ exp: now() + 600 })) });
      await until(() => now() > exp + 1, 'the first token is over');
      assert.deepEqual(await receivedUntilLast(client), []);
    });

    it(`expiry: a set without a token does not (${transport})`, async (t) => {
      const exp = now() + 2;
      const client = await open(t, transport, { exp });
      await client.next('rig.session_expiring');
      await subscribe(client, []);
      if (transport === 'sse') await client.next('rig.session_expired');
      else assert.equal((await client.closed()).code, 4401);
      assertAt(exp);
    });
  }

  it('expiry: a client without a token has no end', async (t) => {
    const client = await connect(t, 'sse', suite.gateway, { subscriptions: LAST_ONLY });
    const exp = now() + 2;
    const other = await open(t, 'sse', { exp });
    await other.ended();
    assert.deepEqual(await receivedUntilLast(client), []);
  });

  it('client-api 4.5: without JWT_EXPIRY_CLOSES a connection outlives its token', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, JWT_EXPIRY_WARNING: '500' } });
    const exp = now() + 1;
    const parameters = { jwt: token({ exp: exp + 1 }), subscriptions: LAST_ONLY };
    const clients = [await connect(t, 'sse', gateway, parameters),
      await connect(t, 'ws', gateway, parameters)];
    await until(() => now() > exp + 2, 'the token is over');
    for (const client of clients) assert.deepEqual(await receivedUntilLast(client), []);
  });
});
