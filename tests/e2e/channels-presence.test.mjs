// Who is present in which topic, as those who have joined it are told.
//
// - What a presence says of its user, and that each has a reference of its own.
// - The state before one's own coming, then diffs with exactly what has changed.
// - A user who leaves, in whatever way, is no longer present; nobody else is concerned.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE } from '../support/events.mjs';
import { OK, ban, cast, openLongPoll, openSse, openWs } from '../support/channels.mjs';
import { token } from '../support/jwt.mjs';
import { openPhoenix } from '../support/phoenix.mjs';
import { until } from '../support/wait.mjs';

const refsOf = (entry) => entry.metas.map(({ phx_ref: ref }) => ref);

describe('presence', { concurrency: true }, () => {
  const suite = suiteGateway({ env: FIXTURE });
  const open = (t, jwt, options = {}) => openWs(t, suite.gateway, { token: jwt, ...options });

  it('legacy-channels 29: a presence says who, since when and with what', async (t) => {
    const { A, ada, claims } = cast();
    const client = await open(t, A);
    const { diff } = await client.joinOwn(`user:${ada}`);
    const [meta] = diff.joins[ada].metas;
    const { time, address, device, browser, phx_ref: ref, exp, ...rest } = meta;
    for (const [name, value] of Object.entries(claims.A)) assert.deepEqual(rest[name], value);
    assert.ok(Number.isInteger(exp));
    assert.ok(Number.isInteger(time) && Math.abs(Date.now() - time) < 5000, String(time));
    assert.equal(address, '127.0.0.1');
    for (const text of [device, browser]) assert.ok(typeof text === 'string' && text !== '', text);
    assert.match(ref, /^[A-Za-z0-9+/]{11}=$/);
    assert.equal(Buffer.from(ref, 'base64').length, 8);
  });

  it('legacy-channels 29: it tells the browser', async (t) => {
    const { A, ada } = cast();
    const client = await open(t, A, { headers: { 'user-agent':
      'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' } });
    const { diff } = await client.joinOwn(`user:${ada}`);
    const { device, browser } = diff.joins[ada].metas[0];
    assert.deepEqual({ device, browser }, { device: 'desktop', browser: 'Firefox' });
  });

  it('legacy-channels 10.2: all claims are published, but none takes our place', async (t) => {
    const { ada } = cast();
    const more = { plan: { name: 'x"\\\n', n: [1, 2.5e3, null, true] }, 'phx_ref': 'forged',
      time: 1, address: 'forged', device: 'forged', browser: 'forged' };
    const client = await open(t, token({ username: ada, role: [], jti: 'j', ...more }));
    const { diff } = await client.joinOwn(`user:${ada}`);
    const [meta] = diff.joins[ada].metas;
    assert.deepEqual(meta.plan, more.plan);
    assert.notEqual(meta.phx_ref, 'forged');
    assert.equal(meta.address, '127.0.0.1');
    assert.ok(meta.time > 1);
    assert.notEqual(meta.device, 'forged');
    assert.notEqual(meta.browser, 'forged');
    const text = client.texts.find((one) => one.includes('presence_diff'));
    for (const name of ['phx_ref', 'time', 'address', 'device', 'browser']) {
      assert.equal(text.split(`"${name}":`).length, 2, `${name} is there once`);
    }
  });

  /** Two devices of one user: the first has joined; the second's state and both their diffs. */
  async function twoDevices(t) {
    const people = cast();
    const topic = `user:${people.ada}`;
    const first = await open(t, people.A);
    const own = await first.joinOwn(topic);
    const second = await open(t, people.A2);
    const { state, diff } = await second.joinOwn(topic);
    const seen = await first.find(topic, 'presence_diff');
    return { ...people, topic, first, second, own, state, diff, seen: seen.payload };
  }

  it('legacy-channels 30: a second device sees the first, and both see the second', async (t) => {
    const { ada, claims, own, state, diff, seen } = await twoDevices(t);
    assert.deepEqual(state, own.diff.joins);
    assert.deepEqual(diff, seen);
    assert.deepEqual(diff.leaves, {});
    assert.deepEqual(Object.keys(diff.joins), [ada]);
    assert.deepEqual(diff.joins[ada].metas.map(({ jti }) => jti), [claims.A2.jti]);
    assert.notEqual(refsOf(diff.joins[ada])[0], refsOf(own.diff.joins[ada])[0]);
  });

  for (const [how, goes] of [
    ['ends its TCP connection', ({ second }) => second.socket._socket.destroy()],
    ['ends it in order', ({ second }) => second.socket._socket.end()],
    ['closes its WebSocket', ({ second }) => second.socket.close(1000)],
    ['leaves', ({ second, topic }) => second.leave(topic)],
    ['says nonsense', ({ second }) => second.send('[')],
    ['is banned', ({ claims }) => ban(suite.gateway, claims.A2.jti)],
  ]) {
    it(`legacy-channels 31: the first sees that the second ${how}`, async (t) => {
      const two = await twoDevices(t);
      await goes(two);
      const { payload } = await two.first.find(two.topic, 'presence_diff');
      assert.deepEqual(payload, { joins: {}, leaves: two.diff.joins });
      await two.first.receivesNothing();
    });
  }

  it('legacy-channels 32: support sees a user of a role come and go', async (t) => {
    const { A, S, ada, role } = cast();
    const topic = `role:${role}`;
    const support = await open(t, S);
    assert.deepEqual(await support.join(topic), OK);
    const client = await open(t, A);
    await client.joinOwn(`user:${ada}`);
    const came = (await support.next('presence_diff'));
    assert.equal(came.topic, topic);
    assert.deepEqual(Object.keys(came.payload.joins), [ada]);
    assert.deepEqual(came.payload.leaves, {});
    await client.leave(`user:${ada}`);
    const left = await support.next('presence_diff');
    assert.equal(left.topic, topic);
    assert.deepEqual(left.payload, { joins: {}, leaves: came.payload.joins });
  });

  it('legacy-channels 33: a user with two roles is present in both', async (t) => {
    const { S, ada, role } = cast();
    const topics = [`role:${role}`, `role:vip-${role}`];
    const support = await open(t, S);
    for (const topic of topics) assert.deepEqual(await support.join(topic), OK);
    const client = await open(t,
      token({ username: ada, role: [role, `vip-${role}`], jti: `jv-${role}` }));
    const { diff } = await client.joinOwn(`user:${ada}`);
    const refs = refsOf(diff.joins[ada]);
    for (const topic of topics) {
      const { payload } = await support.find(topic, 'presence_diff');
      assert.deepEqual(Object.keys(payload.joins), [ada]);
      refs.push(...refsOf(payload.joins[ada]));
    }
    assert.equal(refs.length, 3);
    assert.equal(new Set(refs).size, 3);
    await support.receivesNothing();
  });

  it('legacy-channels 33: a role that is listed twice counts once', async (t) => {
    const { S, ada, role } = cast();
    const support = await open(t, S);
    assert.deepEqual(await support.join(`role:${role}`), OK);
    const client = await open(t, token({ username: ada, role: [role, role], jti: 'jt' }));
    await client.joinOwn(`user:${ada}`);
    const { payload } = await support.find(`role:${role}`, 'presence_diff');
    assert.equal(payload.joins[ada].metas.length, 1);
  });

  it('legacy-channels 34: Presence of phoenix.js lists who is there', async (t) => {
    const { A, ada } = cast();
    const user = await openPhoenix(t, suite.gateway, { token: A });
    const { presence } = await user.join(`user:${ada}`);
    await until(() => presence.list().length > 0, 'the presence is there');
    const [[name, metas], ...more] = presence.list((key, entry) => [key, entry.metas]);
    assert.deepEqual([name, metas.length, more], [ada, 1, []]);
  });

  it('legacy-channels 35: a user sees support come', async (t) => {
    const { A, S, ada, sam } = cast();
    const client = await open(t, A);
    await client.joinOwn(`user:${ada}`);
    const support = await open(t, S);
    assert.deepEqual(await support.join(`user:${ada}`), OK);
    const { payload } = await client.next('presence_diff');
    assert.deepEqual(Object.keys(payload.joins), [sam]);
    support.close();
    assert.deepEqual((await client.next('presence_diff')).payload,
      { joins: {}, leaves: payload.joins });
  });

  it('legacy-channels 5.4: a second join replaces the presence of the first', async (t) => {
    const { A, A2, ada } = cast();
    const topic = `user:${ada}`;
    const watcher = await open(t, A2);
    await watcher.joinOwn(topic);
    const client = await open(t, A);
    const present = new Set();
    const take = async () => {
      const { payload } = await watcher.find(topic, 'presence_diff');
      for (const { metas } of Object.values(payload.joins)) {
        for (const { phx_ref: ref } of metas) present.add(ref);
      }
      for (const { metas } of Object.values(payload.leaves)) {
        for (const { phx_ref: ref } of metas) assert.ok(present.delete(ref), 'what left was there');
      }
    };
    await client.joinOwn(topic);
    await take();
    const [before] = present;
    assert.deepEqual(await client.join(topic), OK);
    while (present.has(before) || present.size !== 1) await take();
    await watcher.receivesNothing();
    assert.equal(present.size, 1);
  });

  it('legacy-channels section 10: sockets of every transport are present alike', async (t) => {
    const { A, A2, S, ada, claims } = cast();
    const topic = `user:${ada}`;
    const sse = await openSse(t, suite.gateway, `users[]=${ada}&token=${A}`);
    await sse.next('phx_reply');
    assert.deepEqual(await sse.next('presence_state'), {});
    const poll = (await openLongPoll(t, suite.gateway, { token: A2 })).start();
    const { state } = await poll.joinOwn(topic);
    assert.deepEqual(state[ada].metas.map(({ jti }) => jti), [claims.A.jti]);
    const ws = await open(t, S);
    assert.deepEqual(await ws.join(topic), OK);
    sse.close();
    const left = await ws.mail.find(({ event, payload }) => event === 'presence_diff'
      && payload.leaves[ada] !== undefined, 'the stream leaves');
    assert.deepEqual(left.payload.leaves, state);
  });

  it('legacy-channels 10.7: users on different event loops see each other', async (t) => {
    // As many sockets as it takes to have some on every loop.
    const { A, ada } = cast();
    const topic = `user:${ada}`;
    const all = [];
    for (let i = 0; i < 12; i++) {
      const client = await open(t, A);
      const { state } = await client.joinOwn(topic);
      assert.equal(state[ada]?.metas.length ?? 0, i);
      all.push(client);
    }
    for (const client of all.splice(3, 5)) client.close();
    await until(async () => {
      const watcher = await open(t, A);
      const { state } = await watcher.joinOwn(topic);
      watcher.close();
      return state[ada].metas.length === 7;
    }, 'five have left');
  });
});

describe('presence that changes quickly', () => {
  it('legacy-channels 10.4: state and diffs fit together, however many come at once', async (t) => {
    const gateway = await testGateway(t, {
      env: { ...FIXTURE, PRESENCE_INTERVAL: '0', REACTORS: '4' } });
    const { A, ada } = cast();
    const topic = `user:${ada}`;
    const clients = await Promise.all(
      Array.from({ length: 16 }, () => openWs(t, gateway, { token: A })));

    /** Joins and leaves; what is told between must be news each time. */
    async function comeAndGo(client) {
      assert.deepEqual(await client.join(topic), OK);
      const present = new Set((await client.find(topic, 'presence_state')).payload[ada]?.metas
        .map(({ phx_ref: ref }) => ref));
      // What was told before the leave's answer, and nothing of the join before.
      assert.deepEqual(await client.leave(topic), OK);
      for (const { event, payload } of client.mail.drain()) {
        if (event !== 'presence_diff') continue;
        for (const { phx_ref: ref } of payload.joins[ada]?.metas ?? []) {
          assert.ok(!present.has(ref), `${ref} comes once`);
          present.add(ref);
        }
        for (const { phx_ref: ref } of payload.leaves[ada]?.metas ?? []) {
          assert.ok(present.delete(ref), `${ref} was there when it left`);
        }
      }
    }
    await Promise.all(clients.map(async (client) => {
      for (let round = 0; round < 40; round++) await comeAndGo(client);
    }));
    assert.equal(await gateway.metric('rgate_presence_presences'), 0);
  });

  it('legacy-channels 10.5: within PRESENCE_INTERVAL changes are told together', async (t) => {
    const gateway = await testGateway(t, { env: { ...FIXTURE, PRESENCE_INTERVAL: '1000' } });
    const { S, role } = cast();
    const topic = `role:${role}`;
    const support = await openWs(t, gateway, { token: S });
    assert.deepEqual(await support.join(topic), OK);
    const jwt = (name) => token({ username: name, role: [role], jti: name });
    const clients = await Promise.all(['u0', 'u1', 'u2', 'u3'].map(
      (name) => openWs(t, gateway, { token: jwt(name) })));
    // One by one, so that the first is alone; u3 comes and goes in between.
    for (const [i, client] of clients.entries()) {
      assert.deepEqual(await client.join(`user:u${i}`), OK);
    }
    await clients[3].leave('user:u3');
    const first = await support.next('presence_diff');
    assert.deepEqual(Object.keys(first.payload.joins), ['u0']);
    const second = await support.next('presence_diff');
    assert.deepEqual(Object.keys(second.payload.joins).sort(), ['u1', 'u2']);
    assert.deepEqual(second.payload.leaves, {});
    await support.receivesNothing(1500);
  });
});
