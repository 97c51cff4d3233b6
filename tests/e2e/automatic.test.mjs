// Automatic subscriptions: what a client is subscribed to because of who it is.
//
// - Each event type whose extractors name claims is subscribed to, under the claims that there are.
// - They only add: a client may ask for anything else as well, and for less.
// - They belong to the token of the request that set them; the next request replaces them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway } from '../support/gateway.mjs';
import { TRANSPORTS, connect, subscriptionsOf } from '../support/clients.mjs';
import { FIXTURE, LAST, ev, publish, receivedUntilLast, subscribe } from '../support/events.mjs';
import { bearer, token } from '../support/jwt.mjs';

const by = (author) => ({ eventType: 'chat.posted', oneOf: [{ author }] });
const chat = (author) => ev('chat.posted', { author });
const note = (owner, tenant) => ev('tenant.note', { owner, ...(tenant && { tenant }) });
const LAST_SET = { ...LAST, oneOf: [] };

describe('automatic subscriptions', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const open = (t, claims, subscriptions = [LAST], transport = 'sse') =>
    connect(t, transport, suite.gateway, { jwt: token(claims), subscriptions });
  const publishAll = async (...events) => {
    for (const event of events) await publish(suite.gateway, event);
  };

  for (const transport of TRANSPORTS) {
    it(`client-api 60: a claim subscribes to what is about it (${transport})`, async (t) => {
      const client = await connect(t, transport, suite.gateway, { jwt: token({ username: 'ada' }) });
      assert.deepEqual(subscriptionsOf(client), [by('ada')]);
    });

    it(`client-api 61: what is asked for comes in addition (${transport})`, async (t) => {
      const client = await open(t, { username: 'ada' }, [by('bob'), LAST], transport);
      assert.deepEqual(subscriptionsOf(client), [by('ada'), by('bob'), LAST_SET]);
      const events = [chat('ada'), chat('bob')];
      await publishAll(events[0], chat('eve'), events[1]);
      assert.deepEqual(await receivedUntilLast(client), events);
    });
  }

  it('client-api 62: what is asked for and automatic is listed and received once', async (t) => {
    const client = await open(t, { username: 'ada' }, [by('ada'), LAST]);
    assert.deepEqual(subscriptionsOf(client), [by('ada'), LAST_SET]);
    const event = await publish(suite.gateway, chat('ada'));
    assert.deepEqual(await receivedUntilLast(client), [event]);
  });

  it('client-api 63: a set without a token replaces the automatic ones', async (t) => {
    const client = await open(t, { username: 'ada' });
    const set = await subscribe(client, [by('bob'), LAST]);
    assert.deepEqual(set.data, [by('bob'), LAST_SET]);
    const event = chat('bob');
    await publishAll(chat('ada'), event);
    assert.deepEqual(await receivedUntilLast(client), [event]);
  });

  it('client-api 64: a set with a token brings automatic ones', async (t) => {
    const client = await connect(t, 'sse', suite.gateway);
    const set = await subscribe(client, [], { headers: bearer(token({ username: 'ada' })) });
    assert.deepEqual(set.data, [by('ada')]);
  });

  it('client-api 64: of several tokens the first one that has the claim counts', async (t) => {
    const client = await connect(t, 'sse', suite.gateway);
    const headers = bearer(
      token({ other: 1 }), token({ username: 'ada' }), token({ username: 'bob', uid: 'u1' }));
    const set = await subscribe(client, [], { headers });
    const sorted = set.data.sort((a, b) => a.eventType.localeCompare(b.eventType));
    assert.deepEqual(sorted, [by('ada'), { eventType: 'tenant.note', oneOf: [{ owner: 'u1' }] }]);
  });

  for (const scheme of ['bearer ', 'BEARER ', '']) {
    it(`client-api 64: "${scheme}" before the token is fine as well`, async (t) => {
      const client = await connect(t, 'sse', suite.gateway);
      const authorization = `Basic eDp5, ${scheme}${token({ username: 'ada' })}`;
      assert.deepEqual((await subscribe(client, [], { headers: { authorization } })).data, [by('ada')]);
    });
  }

  it('client-api 65: two claims make one constraint, and both must hold', async (t) => {
    const client = await open(t, { uid: 'u1', tenant: 't1' });
    assert.deepEqual(subscriptionsOf(client),
      [{ eventType: 'tenant.note', oneOf: [{ owner: 'u1', tenant: 't1' }] }, LAST_SET]);
    const event = note('u1', 't1');
    await publishAll(note('u1', 't2'), note('u2', 't1'), event);
    assert.deepEqual(await receivedUntilLast(client), [event]);
  });

  it('client-api 66: a claim that is missing is not asked about', async (t) => {
    const client = await open(t, { uid: 'u1' });
    assert.deepEqual(subscriptionsOf(client),
      [{ eventType: 'tenant.note', oneOf: [{ owner: 'u1' }] }, LAST_SET]);
    const events = [note('u1', 't1'), note('u1', 't2'), note('u1')];
    await publishAll(events[0], note('u2', 't1'), events[1], events[2]);
    assert.deepEqual(await receivedUntilLast(client), events);
  });

  for (const claims of [{ other: 1 }, {}]) {
    it(`client-api 67: claims ${JSON.stringify(claims)} that nothing asks for subscribe to nothing`,
      async (t) => {
        const client = await connect(t, 'sse', suite.gateway, { jwt: token(claims) });
        assert.deepEqual(subscriptionsOf(client), []);
      });
  }

  for (const [value, other] of [[7, '7'], [true, 'true'], ['7', 7]]) {
    it(`client-api 68: the claim ${JSON.stringify(value)} is not ${JSON.stringify(other)}`,
      async (t) => {
        const client = await open(t, { username: value });
        assert.deepEqual(subscriptionsOf(client), [by(value), LAST_SET]);
        const event = chat(value);
        await publishAll(chat(other), event);
        assert.deepEqual(await receivedUntilLast(client), [event]);
      });
  }

  it('client-api 69: a claim that is null is missing', async (t) => {
    const client = await connect(t, 'sse', suite.gateway, { jwt: token({ username: null }) });
    assert.deepEqual(subscriptionsOf(client), []);
  });

  it('client-api 12.6: what one user is sent, another never sees', async (t) => {
    const clients = [];
    for (const transport of TRANSPORTS) {
      for (const username of ['ada', 'bob']) {
        clients.push({ username, client: await open(t, { username }, [LAST], transport) });
      }
    }
    const sent = { ada: [], bob: [] };
    for (let i = 0; i < 50; i++) {
      const username = i % 3 === 0 ? 'ada' : 'bob';
      sent[username].push(await publish(suite.gateway, chat(username)));
    }
    for (const { username, client } of clients) {
      assert.deepEqual(await receivedUntilLast(client), sent[username]);
    }
  });
});
