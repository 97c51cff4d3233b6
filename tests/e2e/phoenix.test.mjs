// phoenix.js, the client that applications use, in its versions of today and of 2017.
//
// - Joins, messages, leaves and refusals are what its callbacks promise.
// - It survives a gateway that starts again and a network that fails, and is then where it was.
// - Its Presence is right, whatever happens on the way.
// - A user whose token expires or is banned is told why.
// - Where WebSockets do not get through, it goes on over long-polling.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Gateway, suiteGateway, testGateway } from '../support/gateway.mjs';
import { testCheckService } from '../support/check-service.mjs';
import { OK, WsSocket, ban, cast, openWs, refusal, tell } from '../support/channels.mjs';
import { FIXTURE, ev, publish } from '../support/events.mjs';
import { now, token } from '../support/jwt.mjs';
import { PhoenixUser, VERSIONS, openPhoenix, outcome } from '../support/phoenix.mjs';
import { freePorts } from '../support/ports.mjs';
import { testProxy } from '../support/tcp-proxy.mjs';
import { until } from '../support/wait.mjs';

/** Reconnects and rejoins without delay, so that tests need not wait for what they do not test. */
const EAGER = { reconnectAfterMs: () => 100, rejoinAfterMs: () => 100 };

/** Presence of everybody in a user's topic, as somebody who comes now is told. */
async function presentNow(gateway, jwt, topic) {
  const watcher = await WsSocket.open(gateway, { token: jwt });
  try {
    const { state } = await watcher.joinOwn(topic);
    return Object.fromEntries(Object.entries(state).map(
      ([name, { metas }]) => [name, metas.map(({ phx_ref: ref }) => ref).sort()]));
  } finally {
    watcher.close();
  }
}

/** Waits until who watches all the time knows the same as who comes now; returns what they know. */
function untilAgreed(gateway, jwt, topic, presence) {
  return until(async () => {
    const present = await presentNow(gateway, jwt, topic);
    // Who has just come to look is seen for a moment.
    await until(() => {
      assert.deepEqual(presence.references(), present);
      return true;
    }, 'the same is known', 1000);
    return present;
  }, 'both know the same', 8000);
}

for (const version of Object.keys(VERSIONS)) {
  describe(`phoenix ${version}`, { concurrency: true }, () => {
    const suite = suiteGateway({ env: FIXTURE });
    const open = (t, jwt, options = {}) =>
      openPhoenix(t, suite.gateway, { version, token: jwt, ...EAGER, ...options });

    it(`phoenix ${version}: joins, receives, leaves`, async (t) => {
      const { A, ada } = cast();
      const user = await open(t, A);
      const { channel, log } = await user.join(`user:${ada}`);
      assert.deepEqual(log.of('joined'), [{}]);
      for (let n = 0; n < 3; n++) await tell(suite.gateway, ada, { username: ada, n });
      await log.happened('message', { nth: 3 });
      assert.deepEqual(log.of('message').map(({ n }) => n), [0, 1, 2]);
      assert.equal((await outcome(channel.leave())).status, 'ok');
      await log.happened('closed');
      await tell(suite.gateway, ada, { username: ada, n: 3 });
      // On the same socket, behind whatever would have come.
      await user.join('user:' + ada);
      assert.equal(log.of('message').length, 3);
      assert.deepEqual([log.of('failed'), user.log.of('error'), user.log.of('close')], [[], [], []]);
    });

    it(`phoenix ${version}: a push that is not answered times out`, async (t) => {
      const { A, ada } = cast();
      const user = await open(t, A, { timeout: 1000 });
      const { channel, log } = await user.join(`user:${ada}`);
      assert.equal((await outcome(channel.push('hello', { x: 1 }))).status, 'timeout');
      await tell(suite.gateway, ada, { username: ada });
      await log.happened('message');
      assert.deepEqual(log.of('failed'), []);
    });

    it(`phoenix ${version}: a refused join says why`, async (t) => {
      const { A, ada, bob } = cast();
      const user = await open(t, A);
      const { channel, log } = user.startJoin(`user:${bob}`);
      assert.equal(await log.happened('refused'), refusal(ada, `user:${bob}`).response);
      if (version !== '1.3') await log.happened('refused', { nth: 2 }); // it tries again
      channel.leave();
      await log.happened('closed');
      const { log: other } = user.startJoin('room:1');
      assert.deepEqual(await other.happened('refused'), { reason: 'unmatched topic' });
      assert.deepEqual(user.log.of('close'), []);
    });

    it(`phoenix ${version}: a second join of a topic takes the place of the first`, async (t) => {
      const { A, ada } = cast();
      const user = await open(t, A);
      const first = await user.join(`user:${ada}`);
      const second = await user.join(`user:${ada}`);
      await first.log.happened('closed');
      await tell(suite.gateway, ada, { username: ada, n: 1 });
      await second.log.happened('message');
      assert.deepEqual(second.log.of('message'), [{ username: ada, n: 1 }]);
      assert.deepEqual(first.log.of('message'), []);
      assert.deepEqual([first.log.of('failed'), second.log.of('failed')], [[], []]);
      assert.equal((await presentNow(suite.gateway, A, `user:${ada}`))[ada].length, 1);
    });

    it(`phoenix ${version}: everybody's presence is what the gateway's is`, async (t) => {
      const { A, A2, S, ada, sam } = cast();
      const topic = `user:${ada}`;
      const watching = await open(t, A);
      const { presence } = await watching.join(topic);
      const others = [];
      for (const jwt of [A2, S, A2, A, S]) {
        const other = await open(t, jwt);
        others.push([other, await other.join(topic)]);
      }
      const agree = async (n) => {
        const present = await untilAgreed(suite.gateway, A, topic, presence);
        assert.equal(Object.values(present).flat().length, n);
      };
      await agree(6);
      others[0][1].channel.leave();
      await agree(5);
      others[1][0].socket.disconnect();
      await agree(4);
      others[2][0].socket.conn.terminate();
      await others[2][1].log.happened('joined', { nth: 2 });
      await agree(4);
      assert.deepEqual(Object.keys(presence.references()).sort(), [ada, sam].sort());
    });

    it(`phoenix ${version}: a token that expires ends the channel, which is told why`, async (t) => {
      const { ada, claims } = cast();
      let exp = now() + 2;
      const user = await open(t, token({ ...claims.A, exp }), { reconnectAfterMs: () => 500 });
      const { log } = await user.join(`user:${ada}`);
      const why = await log.happened('failed');
      assert.deepEqual(why, { reason: 'token expired' });
      const late = Date.now() - exp * 1000;
      assert.ok(late > -200 && late < 2000, `${late} ms late`);
      assert.deepEqual(await user.log.happened('close'), { code: 4401, reason: 'token expired' });
      // It tries again with what it has, and is refused.
      await user.log.happened('error');
      assert.equal(user.log.of('open').length, 1);
      // An application that renews its token is back by itself.
      exp = now() + 600;
      const fresh = token({ ...claims.A, exp });
      user.socket.params = version === '1.3' ? { token: fresh } : () => ({ token: fresh });
      await user.log.happened('open', { nth: 2 });
      await log.happened('joined', { nth: 2 });
      await tell(suite.gateway, ada, { username: ada });
      await log.happened('message');
    });

    it(`phoenix ${version}: a ban ends the channel, which is told why`, async (t) => {
      const { A, A2, ada, claims } = cast();
      const user = await open(t, A);
      const other = await open(t, A2);
      const topic = `user:${ada}`;
      const { log } = await user.join(topic);
      const { log: otherLog, presence } = await other.join(topic);
      await ban(suite.gateway, claims.A.jti);
      assert.deepEqual(await log.happened('failed'), { reason: 'session ended' });
      assert.deepEqual((await user.log.happened('close')).code, 1000);
      await user.log.happened('error');
      assert.equal(user.log.of('open').length, 1);
      await until(() => presence.references()[ada].length === 1, 'only the other is present');
      await tell(suite.gateway, ada, { username: ada });
      await otherLog.happened('message');
      assert.deepEqual([otherLog.of('failed'), other.log.of('close')], [[], []]);
    });

    it(`phoenix ${version}: events of a type, with and without constraints`, async (t) => {
      const { A } = cast();
      const user = await open(t, A);
      const type = 'chat.posted';
      const all = await user.join(`events:${type}`);
      const other = await open(t, A);
      const some = await other.join(`events:${type}`, { oneOf: [{ room: 'blue' }, { size: 3 }] });
      const sent = [];
      for (const data of [{ room: 'red' }, { room: 'blue' }, { room: 'red', size: 3 }, null]) {
        sent.push(await publish(suite.gateway, ev(type, data)));
      }
      await publish(suite.gateway, ev('tenant.note', { room: 'blue' }));
      const last = await publish(suite.gateway, ev(type, { room: 'blue', last: true }));
      const isLast = ({ id }) => id === last.id;
      await all.log.happened('message', { isIt: isLast });
      await some.log.happened('message', { isIt: isLast });
      assert.deepEqual(all.log.of('message'), [...sent, last]);
      assert.deepEqual(some.log.of('message'), [sent[1], sent[2], last]);
      all.channel.leave();
      await all.log.happened('closed');
      const more = await publish(suite.gateway, ev(type, { room: 'blue' }));
      await some.log.happened('message', { isIt: ({ id }) => id === more.id });
      await user.join('events:tenant.note');
      assert.equal(all.log.of('message').length, sent.length + 1);
    });

    it(`phoenix ${version}: constraints that cannot be are refused`, async (t) => {
      const { A } = cast();
      const user = await open(t, A);
      for (const oneOf of [{}, 'x', 5, [1], [{ room: 'x' }, null]]) {
        const { channel, log } = user.startJoin('events:chat.posted', { oneOf });
        const why = await log.happened('refused');
        assert.equal(typeof why.reason, 'string', JSON.stringify(why));
        channel.leave();
      }
      await user.join('events:chat.posted');
      assert.deepEqual(user.log.of('close'), []);
    });

    it(`phoenix ${version}: it is back after the gateway starts again`, async (t) => {
      const [port, internalPort] = await freePorts(2);
      const env = { ...FIXTURE, INBOUND_PORT: String(port), API_HTTP_PORT: String(internalPort) };
      let gateway = await Gateway.start({ env });
      t.after(() => gateway.stop());
      const { A, S, ada, sam } = cast();
      const topic = `user:${ada}`;
      const users = [];
      for (const jwt of [A, S]) {
        const user = await openPhoenix(t, gateway, { version, token: jwt, ...EAGER });
        users.push({ user, ...await user.join(topic) });
      }
      const [first] = users;
      await until(() => first.presence.references()[sam], 'support is there');
      const before = first.presence.references();
      await gateway.stop();
      for (const { log } of users) await log.happened('failed');
      gateway = await Gateway.start({ env });
      for (const { log } of users) await log.happened('joined', { nth: 2 });
      const present = await untilAgreed(gateway, A, topic, first.presence);
      assert.equal(Object.values(present).flat().length, 2, 'both are present again, once');
      assert.notDeepEqual(first.presence.references(), before);
      await tell(gateway, ada, { username: ada });
      for (const { log } of users) await log.happened('message');
    });

    it(`phoenix ${version}: it is back after its connection breaks`, async (t) => {
      const { A, A2, ada } = cast();
      const topic = `user:${ada}`;
      const proxy = await testProxy(t, suite.gateway.port);
      const watching = await open(t, A2);
      const { presence } = await watching.join(topic);
      const user = await open(t, A, { url: proxy.url('/socket') });
      const { log } = await user.join(topic);
      for (let n = 2; n < 5; n++) {
        proxy.cut();
        await log.happened('joined', { nth: n });
      }
      const present = await untilAgreed(suite.gateway, A, topic, presence);
      assert.equal(present[ada].length, 2, 'each is present once');
      await tell(suite.gateway, ada, { username: ada });
      await log.happened('message');
      assert.equal(log.of('message').length, 1);
    });
  });

  describe(`phoenix ${version} and a network that keeps silent`, () => {
    const suite = suiteGateway({ env: { ...FIXTURE, CHANNEL_IDLE_TIMEOUT: '2000' } });

    it(`phoenix ${version}: a stalled connection is given up by both, presence is right`, async (t) => {
      const { A, A2, ada } = cast();
      const topic = `user:${ada}`;
      const { gateway } = suite;
      const proxy = await testProxy(t, gateway.port);
      const beats = { heartbeatIntervalMs: 500, ...EAGER, version };
      const watching = await openPhoenix(t, gateway, { token: A2, ...beats });
      const { presence, log: seen } = await watching.join(topic);
      const user = await openPhoenix(t, gateway, { token: A, url: proxy.url('/socket'), ...beats });
      const { log } = await user.join(topic);
      await until(() => presence.references()[ada].length === 2, 'both are present');
      const before = presence.references()[ada];

      proxy.stall();
      await log.happened('failed');
      proxy.resumeForNewcomers();
      await log.happened('joined', { nth: 2, ms: 10_000 });
      // The gateway still believes in the first connection, until it has been silent for too long.
      await until(() => presence.references()[ada].length === 2
        && seen.of('presence_diff').some(({ leaves }) => leaves[ada]), 'the first leaves', 8000);
      const after = presence.references()[ada];
      assert.equal(after.filter((ref) => before.includes(ref)).length, 1);
      await untilAgreed(gateway, A, topic, presence);
      await tell(gateway, ada, { username: ada });
      await log.happened('message');
    });
  });
}

describe('phoenix 1.8 and its fallback', { concurrency: true }, () => {
  const suite = suiteGateway({ env: FIXTURE });

  for (const how of ['swallow', 'reset']) {
    it(`phoenix 1.8: where handshakes are met with a ${how} it polls`, async (t) => {
      const { A, ada } = cast();
      const proxy = await testProxy(t, suite.gateway.port);
      proxy.webSockets = how;
      const user = new PhoenixUser(suite.gateway,
        { token: A, url: proxy.url('/socket'), longPollFallbackMs: 300, ...EAGER });
      t.after(() => user.close());
      await user.connect();
      assert.equal(user.socket.transport, user.phoenix.LongPoll);
      const { log, presence, channel } = await user.join(`user:${ada}`);
      await until(() => presence.references()[ada]?.length === 1, 'it is present');
      await tell(suite.gateway, ada, { username: ada, n: 1 });
      assert.deepEqual(await log.happened('message'), { username: ada, n: 1 });
      channel.leave();
      await log.happened('closed');
    });
  }

  it('phoenix 1.8: where WebSockets get through it stays with them', async (t) => {
    const { A, ada } = cast();
    const user = await openPhoenix(t, suite.gateway, { token: A, longPollFallbackMs: 3000 });
    await user.join(`user:${ada}`);
    await until(() => user.socket.primaryPassedHealthCheck, 'the ping is answered');
    assert.notEqual(user.socket.transport, user.phoenix.LongPoll);
    assert.equal(user.log.of('open').length, 1);
  });

  it('phoenix 1.8: it is back over long-polling after its connections break', async (t) => {
    const { A, ada } = cast();
    const proxy = await testProxy(t, suite.gateway.port);
    const user = await openPhoenix(t, suite.gateway,
      { token: A, url: proxy.url('/socket'), longPoll: true, ...EAGER });
    const { log } = await user.join(`user:${ada}`);
    // Between two polls nobody notices.
    await until(() => {
      proxy.cut();
      return user.log.of('close').length > 0;
    }, 'a poll is cut');
    await log.happened('joined', { nth: 2, ms: 15_000 });
    await tell(suite.gateway, ada, { username: ada });
    await log.happened('message');
  });

  it('phoenix 1.8: a ban is told over long-polling, too', async (t) => {
    const { A, ada, claims } = cast();
    const user = await openPhoenix(t, suite.gateway, { token: A, longPoll: true, ...EAGER });
    const { log } = await user.join(`user:${ada}`);
    await ban(suite.gateway, claims.A.jti);
    await log.happened('failed');
    assert.equal((await user.log.happened('close')).code, 1008);
  });

  for (const longPoll of [false, true]) {
    it(`phoenix 1.8: authToken is a token over ${longPoll ? 'long-polling' : 'WebSocket'}`,
      async (t) => {
        const { A, ada } = cast();
        const user = await openPhoenix(t, suite.gateway, { authToken: A, longPoll });
        const { log } = await user.join(`user:${ada}`);
        await tell(suite.gateway, ada, { username: ada });
        await log.happened('message');
      });
  }

  it('phoenix 1.8: many channels on one socket, joined at once', async (t) => {
    const { S, n } = cast();
    for (const longPoll of [false, true]) {
      const user = await openPhoenix(t, suite.gateway, { token: S, longPoll });
      const joined = Array.from({ length: 90 }, (_, i) => user.startJoin(`user:m-${n}-${i}`));
      for (const { log } of joined) await log.happened('joined');
      await tell(suite.gateway, `m-${n}-89`, { username: `m-${n}-89` });
      await joined[89].log.happened('message');
      assert.deepEqual(joined.flatMap(({ log }) => log.of('message')), [{ username: `m-${n}-89` }]);
      user.close();
    }
  });
});

describe('phoenix and a service that decides', () => {
  it('phoenix 1.8: a join that SUBSCRIPTION_CHECK forbids is refused, others are not', async (t) => {
    const service = await testCheckService(t);
    const gateway = await testGateway(t,
      { env: { ...FIXTURE, SUBSCRIPTION_CHECK: service.address } });
    const { A, ada } = cast();
    service.decides(({ body }) => (body.includes('tenant.note') ? 403 : 200));
    const user = await openPhoenix(t, gateway, { token: A, rejoinAfterMs: () => 60_000 });
    const allowed = await user.join('events:chat.posted');
    const { log } = user.startJoin('events:tenant.note');
    const why = await log.happened('refused');
    assert.equal(typeof why.reason, 'string', JSON.stringify(why));
    await user.join(`user:${ada}`);
    const sent = await publish(gateway, ev('chat.posted', { room: 'x' }));
    assert.deepEqual(await allowed.log.happened('message'), sent);
    await publish(gateway, ev('tenant.note', {}));
    assert.deepEqual(log.of('message'), []);
    assert.deepEqual(user.log.of('close'), []);
    assert.match(service.requests[0].headers.authorization ?? '', new RegExp(A.split('.')[2]));
  });

  it('phoenix 1.8: who leaves while the service thinks has left', async (t) => {
    const service = await testCheckService(t);
    const gateway = await testGateway(t,
      { env: { ...FIXTURE, SUBSCRIPTION_CHECK: service.address } });
    const { A } = cast();
    service.holds();
    const client = await openWs(t, gateway, { token: A });
    client.say('1', '1', 'events:chat.posted', 'phx_join');
    await service.asked.next('a question');
    client.say('1', '2', 'events:chat.posted', 'phx_leave');
    assert.deepEqual(await client.replyTo('2'), OK);
    service.release(200);
    // A second join, whose answer comes behind that of the first.
    client.say('3', '3', 'events:chat.posted', 'phx_join');
    await service.asked.next('a question');
    service.release(200);
    assert.deepEqual(await client.replyTo('3'), OK);
    const sent = await publish(gateway, ev('chat.posted', {}));
    const got = await client.find('events:chat.posted', 'message');
    assert.deepEqual(got.payload, sent);
    await client.heartbeat();
    assert.deepEqual(client.mail.drain().filter(({ event }) => event === 'message'), []);
  });
});
