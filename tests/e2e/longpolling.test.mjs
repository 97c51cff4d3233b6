// Long polling.
//
// - A client is its cookies: with them it continues, without them it begins anew.
// - A poll answers at once when there is something, else with nothing when its time is over.
// - What was delivered can be had again, until it is pushed out of the buffer by newer events.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { FIXTURE, ev, publish, put } from '../support/events.mjs';
import { LongPollClient } from '../support/longpoll.mjs';

const PATH = `${V1}/connection/longpolling`;
const CHAT = { subscriptions: [{ eventType: 'chat.posted' }] };
const ids = (response) => response.json().events.map((event) => event.id);

function assertHeaders(headers) {
  assert.equal(headers['access-control-allow-credentials'], 'true');
  assert.ok(headers['access-control-allow-origin']);
}

describe('long polling', () => {
  const suite = suiteGateway({ env: FIXTURE });

  it('client-api 30: the first request makes a connection and hands out cookies', async () => {
    const { status, headers, text } = await suite.gateway.get(PATH);
    assert.equal(status, 200);
    assert.equal(text, '"ok"');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-cache');
    assertHeaders(headers);
    const cookies = headers['set-cookie'].sort();
    assert.equal(cookies.length, 2);
    assert.match(cookies[0], /^connection_token=[A-Za-z0-9_=-]+; path=\/; HttpOnly/i);
    assert.match(cookies[1], /^last_event_id="first_event"; path=\/; HttpOnly/i);
  });

  it('client-api 31: the first poll returns the two gateway events', async () => {
    const client = new LongPollClient(suite.gateway);
    await client.poll();
    const { status, text } = await client.poll();
    const { events, last_event_id: lastId } = JSON.parse(text);
    assert.equal(status, 200);
    assert.deepEqual(events.map((event) => event.type),
      ['rig.connection.create', 'rig.subscriptions_set']);
    assert.equal(lastId, events[1].id);
    assert.equal(client.cookies.get('last_event_id'), `"${events[1].id}"`);
  });

  it('client-api 33: a poll that waits is answered as soon as an event is there', async () => {
    const client = await LongPollClient.open(suite.gateway, CHAT);
    const waiting = client.poll();
    const event = ev('chat.posted', { room: 'blue' });
    await roundTrips(suite.gateway);
    const published = Date.now();
    await publish(suite.gateway, event);
    assert.deepEqual(ids(await waiting), [event.id]);
    assert.ok(Date.now() - published < 200);
  });

  it('client-api 34: an older id returns again what came after it', async () => {
    const client = await LongPollClient.open(suite.gateway, CHAT);
    const older = new Map(client.cookies);
    const first = await publish(suite.gateway, ev('chat.posted', { n: 1 }));
    const second = await publish(suite.gateway, ev('chat.posted', { n: 2 }));
    assert.deepEqual(ids(await client.poll(older)), [first.id, second.id]);
    assert.deepEqual(ids(await client.poll(older)), [first.id, second.id]);
  });

  it('client-api 35: a poll without an id returns the whole buffer', async () => {
    const client = await LongPollClient.open(suite.gateway, CHAT);
    const event = await publish(suite.gateway, ev('chat.posted', {}));
    await client.next('chat.posted');
    const onlyToken = new Map([['connection_token', client.cookies.get('connection_token')]]);
    assert.deepEqual(ids(await client.poll(onlyToken)),
      [client.create.id, client.set.id, event.id]);
  });

  for (const query of ['jwt=foobar', `subscriptions=${encodeURIComponent("can't { be")}`]) {
    it(`client-api 36: ?${query} is refused`, async () => {
      const { status, headers, text } = await suite.gateway.get(`${PATH}?${query}`);
      assert.equal(status, 400);
      assert.notEqual(text, '');
      assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
      assertHeaders(headers);
    });
  }

  for (const subscriptions of [CHAT, CHAT.subscriptions]) {
    it(`client-api 37: ${JSON.stringify(subscriptions)} sets the subscriptions`, async () => {
      const client = await LongPollClient.open(suite.gateway, { subscriptions });
      assert.deepEqual(client.set.data, [{ eventType: 'chat.posted', oneOf: [] }]);
    });
  }

  it('client-api 38: on a live connection the parameters are not looked at', async () => {
    const client = await LongPollClient.open(suite.gateway, CHAT);
    const again = new LongPollClient(suite.gateway, { subscriptions: [], jwt: 'foobar' });
    again.cookies = client.cookies;
    const event = await publish(suite.gateway, ev('chat.posted', {}));
    assert.deepEqual(ids(await again.poll()), [event.id]);
  });

  for (const token of ['garbage', '%%%', '']) {
    it(`client-api 39: the token ${JSON.stringify(token)} begins a new connection`, async () => {
      const client = new LongPollClient(suite.gateway);
      client.cookies.set('connection_token', token).set('last_event_id', '"x"');
      const { status, text } = await client.poll();
      assert.equal(status, 200);
      assert.equal(text, '"ok"');
      assert.notEqual(client.cookies.get('connection_token'), token);
      assert.equal(client.cookies.get('last_event_id'), '"first_event"');
    });
  }

  it('client-api 39: an id that is not JSON is an unknown id', async () => {
    const client = await LongPollClient.open(suite.gateway);
    const { status, text } = await client.poll(
      new Map([...client.cookies, ['last_event_id', '{oops']]));
    assert.equal(status, 200);
    assert.equal(JSON.parse(text).events.length, 2);
  });

  it('client-api 40: of 250 events the newest 200 are there, in order', async () => {
    const client = await LongPollClient.open(suite.gateway, CHAT);
    const published = [];
    for (let i = 0; i < 250; i++) {
      published.push((await publish(suite.gateway, ev('chat.posted', { i }))).id);
    }
    assert.deepEqual(ids(await client.poll()), published.slice(50));
  });

  it('client-api 41: the preflight', async () => {
    const { status, headers, text } = await suite.gateway.request({ method: 'OPTIONS', path: PATH });
    assert.equal(status, 204);
    assert.equal(text, '');
    assert.equal(headers['access-control-allow-methods'], 'GET');
    assert.equal(headers['access-control-allow-headers'], '*');
    assertHeaders(headers);
  });

  for (const id of ['a;b"c', 'ü, \\ %41', 7]) {
    it(`client-api 42: the id ${JSON.stringify(id)} survives its way through the cookie`, async () => {
      const client = await LongPollClient.open(suite.gateway, CHAT);
      await publish(suite.gateway, ev('chat.posted', {}, { id }));
      const first = await client.poll();
      assert.deepEqual(ids(first), [id]);
      assert.equal(first.json().last_event_id, String(id));
      const next = await publish(suite.gateway, ev('chat.posted', {}));
      assert.deepEqual(ids(await client.poll()), [next.id]);
    });
  }

  it('client-api 7.10: polls at the same time get the same events', async () => {
    const client = await LongPollClient.open(suite.gateway, CHAT);
    const cookies = new Map(client.cookies);
    const polls = [client.poll(cookies), client.poll(cookies)];
    await roundTrips(suite.gateway);
    const event = await publish(suite.gateway, ev('chat.posted', {}));
    for (const response of await Promise.all(polls)) assert.deepEqual(ids(response), [event.id]);
  });

  it('client-api 43: subscriptions of a long-polling client can be set', async () => {
    const client = await LongPollClient.open(suite.gateway);
    const { status } = await put(suite.gateway, client.token, CHAT, { transport: 'longpolling' });
    assert.equal(status, 204);
    assert.deepEqual((await client.next('rig.subscriptions_set')).data,
      [{ eventType: 'chat.posted', oneOf: [] }]);
  });
});

describe('the time of a poll', { concurrency: true }, () => {
  const suite = suiteGateway({ env: FIXTURE });
  const short = suiteGateway({ env: { ...FIXTURE, LONGPOLL_TIMEOUT: '300',
    LONGPOLL_IDLE_TIMEOUT: '1000' } });

  it('client-api 32: a poll with nothing new is answered after five seconds', async () => {
    const client = await LongPollClient.open(suite.gateway);
    const before = client.cookies.get('last_event_id');
    const start = Date.now();
    const { status, text } = await client.poll();
    const seconds = (Date.now() - start) / 1000;
    assert.ok(seconds > 4.5 && seconds < 5.7, `${seconds} s`);
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(text), { last_event_id: client.set.id, events: [] });
    assert.equal(client.cookies.get('last_event_id'), before);
  });

  it('client-api 7.10: a client that polls is kept, one that does not is forgotten', async () => {
    const polling = await LongPollClient.open(short.gateway);
    const silent = await LongPollClient.open(short.gateway);
    // Long polls are the clock here: 20 of them last longer than the silent client may be silent.
    for (let i = 0; i < 20; i++) {
      assert.deepEqual((await polling.poll()).json().events, []);
    }
    assert.equal((await silent.poll()).text, '"ok"');
  });
});

// Some requests there and back, so that what was sent before them has very likely arrived. Should
// it not have, the poll finds the event at once: the test then passes without having tried the wait.
async function roundTrips(gateway) {
  for (let i = 0; i < 5; i++) await gateway.get('/_rig/health');
}
