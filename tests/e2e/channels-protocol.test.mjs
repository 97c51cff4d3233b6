// What is said on a channel WebSocket, and what is answered.
//
// - Both versions; joins, leaves, heartbeats and what else a client may say, in the order promised.
// - Who may join what.
// - A socket that says nothing is closed, one that says nonsense too; its neighbours are not.
// - A message for a user reaches each channel of the user's topic once.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FIXTURE } from '../support/events.mjs';
import { OK, UNMATCHED, cast, openWs, refusal } from '../support/channels.mjs';
import { token } from '../support/jwt.mjs';
import { suiteMessages } from '../support/user-messages.mjs';
import { until } from '../support/wait.mjs';

const reply = (joinRef, ref, topic, payload = OK) => [joinRef, ref, topic, 'phx_reply', payload];

describe('channels over WebSocket', { concurrency: true }, () => {
  const suite = suiteMessages({ env: FIXTURE });

  /** A socket of A whose texts are compared as they are. */
  async function open(t, options = {}) {
    const people = cast();
    const client = await openWs(t, suite.gateway, { token: people.A, ...options });
    const own = `user:${people.ada}`;
    const raw = async (n) => {
      await until(() => client.texts.length >= n, `${n} messages`);
      return client.texts.map((text) => JSON.parse(text));
    };
    return { ...people, client, own, raw };
  }

  it('legacy-channels 9: a heartbeat is answered', async (t) => {
    const { client, raw } = await open(t);
    client.send('[null,"1","phoenix","heartbeat",{}]');
    assert.deepEqual(await raw(1), [reply(null, '1', 'phoenix')]);
  });

  it('legacy-channels 10: a heartbeat in V1 is answered in V1', async (t) => {
    const { client, raw } = await open(t, { vsn: null });
    client.send('{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"7"}');
    const [{ topic, event, ref, payload }] = await raw(1);
    assert.deepEqual({ topic, event, ref, payload },
      { topic: 'phoenix', event: 'phx_reply', ref: '7', payload: OK });
  });

  it('legacy-channels 11: a join is answered, then come state and diff', async (t) => {
    const { client, own, ada, raw } = await open(t);
    client.send(JSON.stringify(['1', '1', own, 'phx_join', {}]));
    const [first, state, diff] = await raw(3);
    assert.deepEqual(first, reply('1', '1', own));
    assert.deepEqual(state.slice(2), [own, 'presence_state', {}]);
    assert.deepEqual(diff.slice(2, 4), [own, 'presence_diff']);
    assert.deepEqual(Object.keys(diff[4].joins), [ada]);
    assert.equal(diff[4].joins[ada].metas.length, 1);
    assert.deepEqual(diff[4].leaves, {});
    for (const [joinRef, ref] of [state, diff]) {
      assert.ok(joinRef === null || joinRef === '1', joinRef);
      assert.equal(ref, null);
    }
  });

  it('legacy-channels 12: the same in V1', async (t) => {
    const { client, own, ada, raw } = await open(t, { vsn: null });
    client.send(JSON.stringify({ topic: own, event: 'phx_join', payload: {}, ref: '1' }));
    const [first, state, diff] = await raw(3);
    assert.deepEqual({ ...first, join_ref: null }, { topic: own, event: 'phx_reply', ref: '1',
      payload: OK, join_ref: null });
    assert.deepEqual({ ...state, join_ref: null }, { topic: own, event: 'presence_state', ref: null,
      payload: {}, join_ref: null });
    assert.deepEqual([diff.topic, diff.event, diff.ref], [own, 'presence_diff', null]);
    assert.deepEqual(Object.keys(diff.payload.joins), [ada]);
  });

  it('legacy-channels 13: another user\'s topic is refused', async (t) => {
    const { client, ada, bob, raw } = await open(t);
    client.send(JSON.stringify(['1', '1', `user:${bob}`, 'phx_join', {}]));
    assert.deepEqual(await raw(1),
      [reply('1', '1', `user:${bob}`, refusal(ada, `user:${bob}`))]);
    client.mail.drain();
    await client.receivesNothing();
  });

  it('legacy-channels 14: even the topic of one\'s own role is refused', async (t) => {
    const { client, ada, role } = await open(t);
    const topic = `role:${role}`;
    assert.deepEqual(await client.join(topic), refusal(ada, topic));
  });

  it('legacy-channels 9.3: the refusal quotes what needs it', async (t) => {
    const name = 'a"d\\a\u00e9';
    const client = await openWs(t, suite.gateway,
      { token: token({ username: name, role: [], jti: 'quoted' }) });
    const { status, response } = await client.join('user:b"o');
    assert.equal(status, 'error');
    assert.equal(response,
      'unauthorized user with id "a\\"d\\\\a\u00e9" tried to join "user:b\\"o"!');
  });

  it('legacy-channels 15: support joins a user\'s topic and is seen there', async (t) => {
    const { own, sam, S } = await open(t);
    const support = await openWs(t, suite.gateway, { token: S });
    assert.deepEqual(await support.join(own), OK);
    const { payload } = await support.next('presence_diff');
    assert.deepEqual(Object.keys(payload.joins), [sam]);
    assert.deepEqual(payload.leaves, {});
    await support.receivesNothing();
  });

  it('legacy-channels 16: support joins a role\'s topic and hears nothing', async (t) => {
    const { role, S } = cast();
    const support = await openWs(t, suite.gateway, { token: S });
    assert.deepEqual(await support.join(`role:${role}`), OK);
    await support.receivesNothing();
  });

  it('legacy-channels 17: support joins its own topic', async (t) => {
    const { sam, S } = cast();
    const support = await openWs(t, suite.gateway, { token: S });
    assert.deepEqual(await support.join(`user:${sam}`), OK);
    assert.deepEqual((await support.next('presence_state')).payload, {});
    assert.deepEqual(Object.keys((await support.next('presence_diff')).payload.joins), [sam]);
  });

  for (const topic of ['room:1', 'user', 'role', 'phoenix', '', 'User:ada', 'user :ada']) {
    it(`legacy-channels 18: ${JSON.stringify(topic)} is no topic`, async (t) => {
      const { client } = await open(t);
      assert.deepEqual(await client.join(topic), UNMATCHED);
      await client.heartbeat();
    });
  }

  it('legacy-channels 9.6: names are compared byte for byte', async (t) => {
    const { client, ada } = await open(t);
    for (const name of [ada.toUpperCase(), `${ada} `, `${ada}\u0000`, `${ada}0`, ada.slice(0, -1), '']) {
      assert.equal((await client.join(`user:${name}`)).status, 'error', name);
    }
    // The same name, written in another way.
    const escaped = `"user:\\u0061${ada.slice(1)}"`;
    client.send(`["9","9",${escaped},"phx_join",{}]`);
    assert.deepEqual(await client.replyTo('9'), OK);
  });

  it('legacy-channels 19: what else is said on a channel is not answered', async (t) => {
    const { client, own } = await open(t);
    await client.joinOwn(own);
    client.say('1', '2', own, 'hello');
    await client.receivesNothing();
  });

  it('legacy-channels 20: on a topic that is not joined it is refused', async (t) => {
    const { client, own } = await open(t);
    assert.deepEqual(await client.ask(own, 'hello', {}, null), UNMATCHED);
  });

  it('legacy-channels 21: a leave is answered, then the channel closes', async (t) => {
    const { client, own, ada, raw } = await open(t);
    client.send(JSON.stringify(['1', '1', own, 'phx_join', {}]));
    await raw(3);
    client.send(JSON.stringify(['1', '5', own, 'phx_leave', {}]));
    const seen = (await raw(5)).slice(3);
    assert.deepEqual(seen, [reply('1', '5', own), ['1', '1', own, 'phx_close', {}]]);
    client.mail.drain();
    await suite.tell({ username: ada, n: 1 });
    await client.receivesNothing();
  });

  it('legacy-channels 21: the same in V1', async (t) => {
    const { client, own } = await open(t, { vsn: null });
    client.send(JSON.stringify({ topic: own, event: 'phx_join', payload: {}, ref: '1' }));
    await client.find(own, 'presence_diff');
    client.mail.drain();
    client.send(JSON.stringify({ topic: own, event: 'phx_leave', payload: {}, ref: '5' }));
    const [left, closed] = [await client.next('phx_reply'), await client.next('phx_close')];
    assert.deepEqual([left.ref, left.payload], ['5', OK]);
    assert.deepEqual([closed.ref, closed.topic, closed.payload], ['1', own, {}]);
  });

  it('legacy-channels 22: a leave of what was never joined is answered', async (t) => {
    const { client, own } = await open(t);
    for (const topic of [own, 'user:nobody', 'room:1']) {
      assert.deepEqual(await client.ask(topic, 'phx_leave', {}, '1'), OK, topic);
    }
  });

  it('legacy-channels 5.5: a late leave does not end a newer join', async (t) => {
    const { client, own, ada } = await open(t);
    for (const ref of ['1', '2']) {
      client.say(ref, ref, own, 'phx_join');
      assert.deepEqual(await client.replyTo(ref), OK);
    }
    await client.find(own, 'phx_close');
    client.say('1', '3', own, 'phx_leave');
    await suite.tell({ username: ada, n: 1 });
    assert.deepEqual((await client.find(own, 'message')).payload, { username: ada, n: 1 });
    client.say(null, '4', own, 'phx_leave');
    assert.deepEqual(await client.replyTo('4'), OK);
    assert.equal((await client.find(own, 'phx_close')).join_ref, '2');
  });

  it('legacy-channels 24: garbage ends the socket and no other', async (t) => {
    const { client, own, A } = await open(t);
    const neighbour = await openWs(t, suite.gateway, { token: A });
    await neighbour.joinOwn(own);
    await client.join(own);
    await neighbour.find(own, 'presence_diff');
    client.send('garbage');
    const { code, reason } = await client.closed();
    assert.ok([1003, 1011].includes(code), String(code));
    assert.equal(reason, '');
    await neighbour.heartbeat();
    // What it had joined is left.
    const left = await neighbour.mail.find(
      ({ event, payload }) => event === 'presence_diff' && Object.keys(payload.leaves).length > 0,
      'the presence leaves');
    assert.deepEqual(left.payload.joins, {});
  });

  it('legacy-channels 25: a socket that says nothing is closed after a minute', async (t) => {
    const { client } = await open(t);
    const began = Date.now();
    const { code, reason } = await client.closed(66_000);
    const seconds = (Date.now() - began) / 1000;
    assert.deepEqual({ code, reason }, { code: 1000, reason: '' });
    assert.ok(seconds >= 58 && seconds <= 65, `${seconds} s`);
  });

  it('legacy-channels 25: what the gateway sends does not keep it open', async (t) => {
    const { client, own, ada } = await open(t);
    await client.joinOwn(own);
    const began = Date.now();
    const told = setInterval(() => suite.tell({ username: ada }).catch(() => {}), 5000);
    t.after(() => clearInterval(told));
    const { code } = await client.closed(66_000);
    assert.equal(code, 1000);
    assert.ok(Date.now() - began >= 58_000);
  });

  for (const [what, says] of [
    ['with a heartbeat', (client) => client.say(null, null, 'phoenix', 'heartbeat')],
    ['with a ping', (client) => client.socket.ping()],
  ]) {
    it(`legacy-channels 25: a socket ${what} every 30 s is open after 100 s`, async (t) => {
      const { client } = await open(t);
      const beating = setInterval(() => says(client), 30_000);
      t.after(() => clearInterval(beating));
      await new Promise((later) => setTimeout(later, 100_000));
      assert.ok(client.isOpen);
      await client.heartbeat();
    });
  }

  it('legacy-channels 26: a ping is answered', async (t) => {
    const { client } = await open(t);
    client.socket.ping('x');
    assert.equal(await client.pongs.find(() => true, 'a pong'), 'x');
  });

  it('legacy-channels 6.3: a close is answered with its code', async (t) => {
    const { client } = await open(t);
    client.socket.close(4321, 'enough');
    assert.equal((await client.closed()).code, 4321);
  });

  it('legacy-channels 27: without roles one\'s own topic is allowed, others are not', async (t) => {
    const { ada, bob } = cast();
    for (const role of [undefined, null, 7, {}, []]) {
      const client = await openWs(t, suite.gateway,
        { token: token({ username: ada, role, jti: 'j' }) });
      assert.deepEqual(await client.join(`user:${ada}`), OK);
      assert.deepEqual(await client.join(`user:${bob}`), refusal(ada, `user:${bob}`));
    }
  });

  it('legacy-channels 9.5: a single role is a list of one', async (t) => {
    const { ada, sam } = cast();
    const client = await openWs(t, suite.gateway,
      { token: token({ username: sam, role: 'support', jti: 'j' }) });
    assert.deepEqual(await client.join(`user:${ada}`), OK);
  });

  for (const [what, username] of [['no', undefined], ['a numeric', 5], ['an empty', ''],
    ['a null', null]]) {
    it(`legacy-channels 28: a token with ${what} user name joins nothing`, async (t) => {
      const client = await openWs(t, suite.gateway,
        { token: token({ username, role: ['customer'], jti: 'j' }) });
      for (const topic of ['user:ada', 'user:5', 'user:', 'role:customer']) {
        assert.deepEqual(await client.join(topic),
          { status: 'error', response: { reason: 'join crashed' } }, topic);
      }
    });
  }

  it('legacy-channels 4.1: references may be null, and more elements are ignored',
    async (t) => {
      const { client, raw } = await open(t);
      client.send('[null,null,"phoenix","heartbeat",{},1,{"a":[]}]');
      client.send('["j","r","nowhere","x",null]');
      const [first, second] = await raw(2);
      assert.deepEqual(first, reply(null, null, 'phoenix'));
      assert.deepEqual(second, reply('j', 'r', 'nowhere', UNMATCHED));
    });

  it('legacy-channels 4.5: a binary message is read as text', async (t) => {
    const { client, raw } = await open(t);
    client.send(Buffer.from('[null,"1","phoenix","heartbeat",{}]'));
    assert.deepEqual(await raw(1), [reply(null, '1', 'phoenix')]);
  });

  it('legacy-channels 5.2: the payload of a join of a user is ignored', async (t) => {
    const { client, own } = await open(t);
    for (const payload of [{ token: 'x', username: 'bob' }, null, 'text', [1], 5]) {
      assert.deepEqual(await client.join(own, payload), OK);
    }
  });

  it('legacy-channels section 5: messages on their way together are answered in order', async (t) => {
    const { client, own, ada, bob } = await open(t);
    client.say('1', '1', own, 'phx_join');
    client.say('2', '2', `user:${bob}`, 'phx_join');
    client.say(null, '3', 'phoenix', 'heartbeat');
    client.say('1', '4', own, 'phx_leave');
    client.say(null, '5', 'phoenix', 'heartbeat');
    const replies = [];
    while (replies.at(-1)?.ref !== '5') {
      const one = await client.next();
      if (one.event === 'phx_reply') replies.push(one);
    }
    assert.deepEqual(replies.map(({ ref }) => ref), ['1', '2', '3', '4', '5']);
    assert.deepEqual(replies[1].payload, refusal(ada, `user:${bob}`));
  });

  it('legacy-channels 10.6: one socket may join many topics', async (t) => {
    const { S, n } = cast();
    const support = await openWs(t, suite.gateway, { token: S });
    for (let i = 0; i < 50; i++) {
      assert.deepEqual(await support.join(`user:many-${n}-${i}`), OK);
    }
    const name = `many-${n}-49`;
    await suite.tell({ username: name, x: 1 });
    const { topic, payload } = await support.find(`user:${name}`, 'message');
    assert.deepEqual([topic, payload], [`user:${name}`, { username: name, x: 1 }]);
  });

  it('legacy-channels 23: a second join replaces the first, and messages come once', async (t) => {
    const { client, own, ada, raw } = await open(t);
    client.send(JSON.stringify(['1', '1', own, 'phx_join', {}]));
    await raw(3);
    client.send(JSON.stringify(['4', '4', own, 'phx_join', {}]));
    const isLifecycle = ([, , , event]) => event === 'phx_reply' || event === 'phx_close';
    await until(() => client.texts.some((text) => text.includes('phx_close')), 'the first closes');
    const [, second, closed] = client.texts.map((text) => JSON.parse(text)).filter(isLifecycle);
    assert.deepEqual(second, reply('4', '4', own));
    assert.deepEqual(closed, ['1', '1', own, 'phx_close', {}]);
    client.mail.drain();
    const sent = { username: ada, n: 1 };
    await suite.tell(sent);
    const got = await client.find(own, 'message');
    assert.deepEqual(got.payload, sent);
    assert.ok(got.join_ref === null || got.join_ref === '4');
    await new Promise((later) => setTimeout(later, 1000));
    assert.deepEqual(client.mail.drain().filter(({ event }) => event === 'message'), []);
  });
});
