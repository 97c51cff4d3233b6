// Tokens.
//
// - A token is good if a configured key has signed it with that key's algorithm, and while it is
//   good; whatever else is presented is refused with the sentence that clients rely on.
// - Keys come from a variable, a file or an identity provider, who may exchange them or be ill.
// - Browsers may present a cookie or a ticket instead; a ticket works once.
// - Nothing that is presented is ever written to the log.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { TRANSPORTS, assertRefused, connect, subscriptionsOf } from '../support/clients.mjs';
import { testCheckService } from '../support/check-service.mjs';
import { EXTRACTORS, FIXTURE, LAST, put, receivedUntilLast, subscribe }
  from '../support/events.mjs';
import { JwksServer } from '../support/jwks-server.mjs';
import { SigningKey, bearer, keySet, now, sign, token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';

const UNDECODED = /^could not parse subscriptions: could not decode JWT: /;
const UNSIGNED = /^could not parse subscriptions: could not decode JWT: Invalid signature/;
const EXPIRED = /^could not parse subscriptions: could not decode JWT: token expired/;
const ADA = [{ eventType: 'chat.posted', oneOf: [{ author: 'ada' }] }];
const CLAIMS = { username: 'ada' };
const EXTRACTORS_ONLY = { EXTRACTORS: JSON.stringify(EXTRACTORS) };

/** A client with this token is accepted, and the gateway knows whose it is. */
async function assertAccepted(t, gateway, jwt, transport = 'sse') {
  const client = await connect(t, transport, gateway, { jwt });
  assert.deepEqual(subscriptionsOf(client), ADA);
  return client;
}

describe('tokens', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const refused = (jwt, text = UNDECODED, transport = 'sse') =>
    assertRefused(transport, suite.gateway, { jwt }, { text });

  for (const jwt of ['foobar', 'a.b.c', '..', 'e30.e30', 'e30.e30.e30.e30', '{}', 'x'.repeat(8000)]) {
    it(`client-api 8: ${jwt.slice(0, 20)} is refused`, () => refused(jwt));
  }

  for (const transport of TRANSPORTS) {
    it(`client-api 9: a token with the word Bearer is refused, without it accepted (${transport})`,
      async (t) => {
        const jwt = token(CLAIMS);
        await refused(`Bearer ${jwt}`, UNDECODED, transport);
        await assertAccepted(t, suite.gateway, jwt, transport);
      });

    it(`client-api 10: a signature with another key is refused (${transport})`, () =>
      refused(token(CLAIMS, { key: 'another secret of thirty-two bytes' }), UNSIGNED, transport));
  }

  it('client-api 10: a token with a changed claim or a changed signature is refused', async () => {
    const [head, claims, signature] = token(CLAIMS).split('.');
    const [, others] = token({ username: 'bob' }).split('.');
    await refused([head, others, signature].join('.'), UNSIGNED);
    await refused([head, claims, signature.slice(0, -3)].join('.'), UNSIGNED);
    await refused([head, claims, ''].join('.'));
  });

  it('client-api 11: a token without exp is refused', () =>
    refused(token({ ...CLAIMS, exp: undefined }), EXPIRED));

  for (const transport of TRANSPORTS) {
    it(`client-api 12: exp must be in the future (${transport})`, async (t) => {
      await refused(token({ ...CLAIMS, exp: now() - 1 }), EXPIRED, transport);
      await refused(token({ ...CLAIMS, exp: now() }), EXPIRED, transport);
      await assertAccepted(t, suite.gateway, token({ ...CLAIMS, exp: now() + 600 }), transport);
    });
  }

  it('client-api 12: a token that was good is refused once it has expired', async (t) => {
    const exp = now() + 2;
    const jwt = token({ ...CLAIMS, exp });
    await assertAccepted(t, suite.gateway, jwt);
    await until(() => now() >= exp, 'the token is over');
    await refused(jwt, EXPIRED);
  });

  it('client-api 13: another algorithm with the right key is refused', async () => {
    for (const alg of ['HS384', 'HS512']) await refused(token(CLAIMS, { alg }));
  });

  for (const alg of ['none', 'None', 'NONE', '', 'hs256', 'HS256 ', null, 5]) {
    it(`client-api 13: a head that says alg ${JSON.stringify(alg)} is refused`, async () => {
      const claims = { ...CLAIMS, exp: now() + 600 };
      await refused(sign({ alg }, claims, '', 'none'));
      await refused(sign({ alg }, claims, FIXTURE.JWT_SECRET_KEY, 'HS256'));
    });
  }

  it('client-api 13: a head without alg is refused', () =>
    refused(sign({ typ: 'JWT' }, { ...CLAIMS, exp: now() + 600 }, FIXTURE.JWT_SECRET_KEY, 'HS256')));

  for (const exp of ['"9999999999"', 'true', 'null', '[9999999999]', '{}', '1e999', '-1', '""']) {
    it(`client-api 14: ${exp} as exp is refused`, () =>
      refused(sign({ alg: 'HS256' }, `{"username":"ada","exp":${exp}}`, FIXTURE.JWT_SECRET_KEY)));
  }

  for (const [what, claims] of [
    ['exp twice', '{"exp":1,"exp":9999999999}'], ['no object', '[9999999999]'],
    ['broken JSON', '{"exp":9999999999'], ['bytes behind the object', '{"exp":9999999999} x'],
  ]) {
    it(`client-api 8: claims with ${what} are refused`, () =>
      refused(sign({ alg: 'HS256' }, claims, FIXTURE.JWT_SECRET_KEY)));
  }

  it('hardening: a token that is not good yet is refused', async (t) => {
    await refused(token({ ...CLAIMS, nbf: now() + 60 }));
    await assertAccepted(t, suite.gateway, token({ ...CLAIMS, nbf: now() - 60 }));
  });

  it('hardening: a key inside of the token is not looked at', async () => {
    const own = new SigningKey('HS256');
    await refused(own.token(CLAIMS, { jwk: own.jwk() }), UNSIGNED);
    await refused(own.token(CLAIMS, { jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/' }), UNSIGNED);
  });

  it('hardening: a critical extension that nobody knows is refused', () =>
    refused(token(CLAIMS, { head: { crit: ['b64'], b64: false } })));

  it('client-api 1.4: a token of 12 KiB fits into the query', (t) =>
    assertAccepted(t, suite.gateway, token({ ...CLAIMS, more: 'x'.repeat(9000) })));

  it('client-api 12.5: a token in the authorization header of a PUT counts', async (t) => {
    const client = await connect(t, 'sse', suite.gateway);
    const set = await subscribe(client, [], { headers: bearer(token(CLAIMS)) });
    assert.deepEqual(set.data, ADA);
  });
});

describe('settings of tokens', { concurrency: 2 }, () => {
  it('client-api 12.4: without a key no token is good, not even one signed with nothing', async (t) => {
    const gateway = await testGateway(t, { env: EXTRACTORS_ONLY });
    await assertRefused('sse', gateway, { jwt: token(CLAIMS, { key: '' }) }, { text: UNDECODED });
    await gateway.run.printed(/JWT_SECRET_KEY/);
  });

  for (const alg of ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512',
    'ES256', 'ES384', 'ES512', 'EdDSA']) {
    it(`client-api 12.1: a token of ${alg}`, async (t) => {
      const key = new SigningKey(alg);
      const gateway = await testGateway(
        t, { env: { ...EXTRACTORS_ONLY, JWT_ALG: alg, JWT_SECRET_KEY: key.setting } });
      const good = key.token(CLAIMS);
      await assertAccepted(t, gateway, good);
      const [head, claims, signature] = good.split('.');
      const bytes = Buffer.from(signature, 'base64url');
      const bad = [
        token(CLAIMS, { key: '' }),
        `${head}.${claims}.${bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte)).toString('base64url')}`,
        `${head}.${claims}.${Buffer.alloc(bytes.length).toString('base64url')}`,
        `${head}.${claims}.`,
        new SigningKey(alg, { fresh: true }).token(CLAIMS),
      ];
      if (!alg.startsWith('HS')) bad.push(token(CLAIMS, { key: key.setting })); // it is no secret
      if (alg.startsWith('RS')) bad.push(key.token(CLAIMS, {}, alg.replace('RS', 'PS')));
      for (const jwt of bad) await assertRefused('sse', gateway, { jwt }, { text: UNDECODED });
    });
  }

  it('tokens: JWT_ISSUER and JWT_AUDIENCE', async (t) => {
    const gateway = await testGateway(t, { env: {
      ...FIXTURE, JWT_ISSUER: 'https://id.example/', JWT_AUDIENCE: 'rgate' } });
    const iss = 'https://id.example/';
    for (const aud of ['rgate', ['rgate'], ['other', 'rgate']]) {
      await assertAccepted(t, gateway, token({ ...CLAIMS, iss, aud }));
    }
    for (const claims of [{}, { iss }, { aud: 'rgate' }, { iss, aud: 'other' }, { iss, aud: [] },
      { iss, aud: ['rgat', 'rgate2'] }, { iss, aud: { rgate: true } }, { iss, aud: 5 },
      { iss: 'https://id.example', aud: 'rgate' }, { iss: [iss], aud: 'rgate' }]) {
      await assertRefused('sse', gateway, { jwt: token({ ...CLAIMS, ...claims }) }, { text: UNDECODED });
    }
  });

  it('tokens: JWT_LEEWAY forgives clocks that differ', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, JWT_LEEWAY: '60' } });
    await assertAccepted(t, gateway, token({ ...CLAIMS, exp: now() - 30 }));
    await assertAccepted(t, gateway, token({ ...CLAIMS, nbf: now() + 30 }));
    await assertRefused('sse', gateway, { jwt: token({ ...CLAIMS, exp: now() - 90 }) }, { text: EXPIRED });
    await assertRefused('sse', gateway, { jwt: token({ ...CLAIMS, nbf: now() + 90 }) }, { text: UNDECODED });
  });

  it('tokens: without a cache everything is the same', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, JWT_CACHE_ENTRIES: '0' } });
    const jwt = token(CLAIMS);
    for (let i = 0; i < 3; i++) await assertAccepted(t, gateway, jwt);
    await assertRefused('sse', gateway, { jwt: `${jwt}x` }, { text: UNDECODED });
  });

  it('tokens: a cache that is too small forgets, and is never wrong', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, JWT_CACHE_ENTRIES: '2' } });
    const names = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    for (const username of [...names, ...names]) {
      const client = await connect(t, 'sse', gateway, { jwt: token({ username }) });
      assert.deepEqual(subscriptionsOf(client),
        [{ eventType: 'chat.posted', oneOf: [{ author: username }] }]);
    }
  });
});

describe('a key set', { concurrency: 2 }, () => {
  const start = (t, env) => testGateway(t, { env: { ...EXTRACTORS_ONLY, ...env } });
  const refuses = (gateway, jwt, text = UNDECODED) => assertRefused('sse', gateway, { jwt }, { text });
  const accepts = async (gateway, jwt) =>
    (await gateway.request({ method: 'POST', path: `${V1}/tickets`, headers: bearer(jwt) }))
      .status < 300;

  it('key set: a file with keys of several algorithms', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'rgate-jwks-'));
    t.after(() => rm(directory, { recursive: true }));
    const file = join(directory, 'jwks.json');
    const keys = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'].map(
      (alg) => new SigningKey(alg, { kid: `key of ${alg}` }));
    const foreign = [{ kty: 'XYZ', kid: 'of a kind that nobody knows' },
      new SigningKey('RS256', { kid: 'for encryption' }).jwk({ use: 'enc' })];
    await writeFile(file, keySet(...keys, ...foreign));
    const gateway = await start(t, { JWT_JWKS: file });
    for (const key of keys) await assertAccepted(t, gateway, key.token(CLAIMS));
    const [rs, , es] = keys;
    await refuses(gateway, rs.token(CLAIMS, { kid: es.kid }));
    await refuses(gateway, rs.token(CLAIMS, { kid: 'nobody' }));
    await refuses(gateway, rs.token(CLAIMS, { kid: 'for encryption' }));
    await refuses(gateway, token(CLAIMS, { key: rs.setting, head: { kid: rs.kid } }));
    await refuses(gateway, sign({ alg: 'none', kid: rs.kid }, { ...CLAIMS, exp: now() + 600 }));
  });

  it('key set: what an identity provider publishes, and what it publishes next', async (t) => {
    const old = new SigningKey('ES256', { kid: 'old' });
    const next = new SigningKey('ES256', { kid: 'next' });
    const provider = await JwksServer.start(t, old);
    const gateway = await start(t, { JWT_JWKS: provider.address });
    await assertAccepted(t, gateway, old.token(CLAIMS));
    provider.publishes(next);
    await until(() => accepts(gateway, next.token(CLAIMS)), 'the new key is known', 15000);
    await assertAccepted(t, gateway, next.token(CLAIMS));
    await refuses(gateway, old.token(CLAIMS));
    for (const { method, path } of provider.requests) {
      assert.deepEqual({ method, path }, { method: 'GET', path: '/.well-known/jwks.json' });
    }
  });

  it('key set: JWT_JWKS_INTERVAL takes a withdrawn key away without being asked', async (t) => {
    const key = new SigningKey('ES256', { kid: 'one' });
    const provider = await JwksServer.start(t, key);
    const gateway = await start(t, { JWT_JWKS: provider.address, JWT_JWKS_INTERVAL: '1000' });
    await assertAccepted(t, gateway, key.token(CLAIMS));
    provider.publishes(new SigningKey('ES256', { kid: 'two' }));
    await until(async () => !await accepts(gateway, key.token(CLAIMS)), 'the key is gone', 10000);
  });

  it('key set: tokens with invented keys do not become a flood of requests', async (t) => {
    const key = new SigningKey('ES256', { kid: 'one' });
    const provider = await JwksServer.start(t, key);
    const gateway = await start(t, { JWT_JWKS: provider.address });
    await assertAccepted(t, gateway, key.token(CLAIMS));
    for (let i = 0; i < 50; i++) await refuses(gateway, key.token(CLAIMS, { kid: `invented ${i}` }));
    assert.ok(provider.requests.length <= 5, `${provider.requests.length} requests`);
    await assertAccepted(t, gateway, key.token(CLAIMS));
  });

  it('key set: a provider that is down keeps nothing from starting, and is asked again', async (t) => {
    const key = new SigningKey('ES256', { kid: 'one' });
    const provider = await JwksServer.start(t, key);
    const { port } = provider;
    await provider.close();
    const gateway = await start(t, { JWT_JWKS: provider.address, JWT_JWKS_INTERVAL: '1000' });
    await connect(t, 'sse', gateway);
    await refuses(gateway, key.token(CLAIMS));
    await provider.listen(port);
    await until(() => accepts(gateway, key.token(CLAIMS)), 'the provider is asked again', 15000);
    await assertAccepted(t, gateway, key.token(CLAIMS));
    await provider.close();
    await assertAccepted(t, gateway, key.token({ ...CLAIMS, jti: 'another' }));
  });

  for (const [what, answer] of [
    ['an error', (provider) => provider.says('{"keys":[]}', 500)],
    ['no JSON', (provider) => provider.says('<html>')],
    ['no keys', (provider) => provider.says('{}')],
    ['a set without end', (provider) => provider.floods()],
  ]) {
    it(`key set: a provider that answers with ${what} does not take good keys away`, async (t) => {
      const key = new SigningKey('ES256', { kid: 'one' });
      const provider = await JwksServer.start(t, key);
      const gateway = await start(t, { JWT_JWKS: provider.address, JWT_JWKS_INTERVAL: '1000' });
      await assertAccepted(t, gateway, key.token(CLAIMS));
      answer(provider);
      const before = provider.requests.length;
      await until(() => provider.requests.length >= before + 2, 'it was asked, and asked again', 15000);
      await assertAccepted(t, gateway, key.token({ ...CLAIMS, jti: 'another' }));
      const resident = await gateway.metric('process_resident_memory_bytes');
      assert.ok(resident < 400e6, `${resident} bytes in use`);
    });
  }

  it('key set: who has to wait for a slow provider keeps nobody else waiting', async (t) => {
    const key = new SigningKey('ES256', { kid: 'one' });
    const provider = await JwksServer.start(t, key);
    const gateway = await start(t, { JWT_JWKS: provider.address, REACTORS: '1' });
    await assertAccepted(t, gateway, key.token(CLAIMS));
    const next = new SigningKey('ES256', { kid: 'next' });
    provider.stalls();
    let isAnswered = false;
    const waiting = gateway.get(`${V1}/connection/sse?jwt=${next.token(CLAIMS)}`)
      .finally(() => { isAnswered = true; }).catch(() => {});
    const started = Date.now();
    const client = await connect(t, 'sse', gateway, { subscriptions: [LAST] });
    assert.deepEqual(await receivedUntilLast(client), []);
    await assertAccepted(t, gateway, key.token(CLAIMS));
    assert.ok(Date.now() - started < 2000);
    t.diagnostic(`the token of an unknown key is ${isAnswered ? 'answered' : 'waiting'}`);
    await provider.close();
    await waiting;
  });
});

describe('a token in a cookie', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, JWT_COOKIE: 'session' } });

  for (const transport of TRANSPORTS) {
    it(`cookie: it is taken (${transport})`, async (t) => {
      const cookie = `a=b; session=${token(CLAIMS)}; c="d"`;
      const client = await connect(t, transport, suite.gateway, {}, { cookie });
      assert.deepEqual(subscriptionsOf(client), ADA);
    });

    it(`cookie: a cookie of another name is not looked at (${transport})`, async (t) => {
      const cookie = `sessions=${token(CLAIMS)}; Session=${token(CLAIMS)}`;
      const client = await connect(t, transport, suite.gateway, {}, { cookie });
      assert.deepEqual(subscriptionsOf(client), []);
    });
  }

  it('cookie: a token in the query counts more', async (t) => {
    const client = await connect(t, 'sse', suite.gateway, { jwt: token(CLAIMS) },
      { cookie: `session=${token({ username: 'bob' })}` });
    assert.deepEqual(subscriptionsOf(client), ADA);
  });

  it('cookie: without JWT_COOKIE no cookie is looked at', async (t) => {
    const gateway = await testGateway(t, { env: FIXTURE });
    const client = await connect(t, 'sse', gateway, {}, { cookie: `session=${token(CLAIMS)}` });
    assert.deepEqual(subscriptionsOf(client), []);
  });
});

const TICKETS = `${V1}/tickets`;

/** A ticket for a token. */
async function ticketFor(gateway, jwt) {
  const { status, text } = await gateway.request(
    { method: 'POST', path: TICKETS, headers: bearer(jwt) });
  assert.ok(status === 200 || status === 201, `${status} ${text}`);
  return JSON.parse(text).ticket;
}

describe('a ticket', () => {
  const suite = suiteGateway({ env: FIXTURE });

  for (const transport of TRANSPORTS) {
    it(`ticket: it stands for the token, once (${transport})`, async (t) => {
      const ticket = await ticketFor(suite.gateway, token(CLAIMS));
      assert.match(ticket, /^[A-Za-z0-9_-]{43}$/);
      const client = await connect(t, transport, suite.gateway, { ticket });
      assert.deepEqual(subscriptionsOf(client), ADA);
      for (const again of TRANSPORTS) await assertRefused(again, suite.gateway, { ticket });
    });
  }

  it('ticket: of many clients with one ticket one is let in', async (t) => {
    const ticket = await ticketFor(suite.gateway, token(CLAIMS));
    const attempts = await Promise.allSettled(
      Array.from({ length: 20 }, () => connect(t, 'sse', suite.gateway, { ticket })));
    assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('ticket: one that was never given out is refused', async () => {
    for (const ticket of ['x', 'A'.repeat(43), token(CLAIMS)]) {
      await assertRefused('sse', suite.gateway, { ticket });
    }
  });

  it('ticket: only who has a good token gets one', async () => {
    for (const headers of [{}, bearer('nonsense'), bearer(token({ exp: now() - 1 })),
      { authorization: 'Basic eDp5' }]) {
      const { status, text } = await suite.gateway.request(
        { method: 'POST', path: TICKETS, headers });
      assert.ok(status >= 400 && status < 500, `${status} ${text}`);
    }
  });

  it('ticket: a page of another origin can ask for one', async () => {
    const { status, headers } = await suite.gateway.request({ method: 'OPTIONS', path: TICKETS });
    assert.equal(status, 204);
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.match(headers['access-control-allow-methods'], /POST/);
    assert.match(headers['access-control-allow-headers'], /authorization/i);
    const answer = await suite.gateway.request(
      { method: 'POST', path: TICKETS, headers: bearer(token(CLAIMS)) });
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.match(answer.headers['cache-control'], /no-store|max-age=0/);
  });

  it('ticket: after TICKET_LIFETIME it is worth nothing', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, TICKET_LIFETIME: '1000' } });
    const ticket = await ticketFor(gateway, token(CLAIMS));
    const issued = Date.now();
    await until(() => Date.now() - issued > 1100, 'the ticket is over');
    await assertRefused('sse', gateway, { ticket });
    await connect(t, 'sse', gateway, { ticket: await ticketFor(gateway, token(CLAIMS)) });
  });
});

describe('secrets', () => {
  it('configuration section 11: nothing that is presented is ever logged', async (t) => {
    const service = await testCheckService(t);
    const gateway = await testGateway(t, { env: { ...FIXTURE, LOG_LEVEL: 'debug',
      JWT_COOKIE: 'session', SUBSCRIPTION_CHECK: service.address } });
    const secrets = [FIXTURE.JWT_SECRET_KEY];
    const secret = (text) => {
      secrets.push(text.split('.').at(-1));
      return text;
    };
    const good = () => secret(token({ ...CLAIMS, jti: String(secrets.length) }));
    const bad = [secret(token(CLAIMS, { key: 'wrong' })), secret(token({ exp: 1 })),
      secret('no-token-at-all')];
    const subscriptions = [LAST];
    for (const transport of TRANSPORTS) {
      const client = await connect(t, transport, gateway, { jwt: good(), subscriptions });
      secret(client.token);
      await connect(t, transport, gateway, {}, { cookie: `session=${good()}` });
      await connect(t, transport, gateway, { ticket: secret(await ticketFor(gateway, good())) });
      for (const jwt of bad) await assertRefused(transport, gateway, { jwt });
      await assertRefused(transport, gateway, { ticket: secrets.at(-1) });
      for (const headers of [bearer(good()), { authorization: good() }, bearer(bad[0])]) {
        await put(gateway, client.token, { subscriptions: [] }, { headers });
      }
    }
    service.says(500);
    await assertRefused('sse', gateway, { jwt: good(), subscriptions });
    const encoded = good().replaceAll('.', '%2E');
    await gateway.get(`/nowhere?jwt=${encoded}&ticket=${secret('ticket-in-a-strange-place')}`);
    await gateway.run.printed(/nowhere/);
    await gateway.stop();
    for (const text of secrets) {
      assert.ok(!gateway.run.output.includes(text), `${text} is in the log`);
    }
  });
});
