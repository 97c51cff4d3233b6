// What channel sockets cost.
//
// - Nothing that clients do makes the gateway remember more and more.
//
// Not for binaries with sanitizers, which keep what is freed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway } from '../support/gateway.mjs';
import { OK, WsSocket, cast, openWs } from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { token } from '../support/jwt.mjs';
import { resident } from '../support/memory.mjs';
import { until } from '../support/wait.mjs';

describe('memory of channel sockets', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, REACTORS: '2', MAX_CONNECTIONS_PER_MINUTE: '1000000' } });

  it('hardening: sockets that come, join, leave and go leave nothing behind', async () => {
    const { gateway } = suite;
    const { S, n } = cast();
    const round = async () => {
      await Promise.all(Array.from({ length: 20 }, async (_, i) => {
        const own = `m-${n}-${i}`;
        const client = await WsSocket.open(gateway,
          { token: token({ username: own, role: ['r1', 'r2'], jti: own, pad: 'x'.repeat(2000) }) });
        await client.joinOwn(`user:${own}`);
        const support = await WsSocket.open(gateway, { token: S });
        for (let k = 0; k < 20; k++) await support.join(`user:m-${n}-${k}`);
        if (i % 2) await client.leave(`user:${own}`);
        client.close();
        support.close();
      }));
      await until(async () => await gateway.metric('rgate_connections') === 0, 'all have gone');
    };
    for (let i = 0; i < 5; i++) await round(); // what is kept to be used again
    const before = await resident(gateway);
    for (let i = 0; i < 15; i++) await round();
    const grown = await resident(gateway) - before;
    assert.ok(grown < 8 << 20, `grown by ${grown >> 10} KiB`);
    assert.equal(await gateway.metric('rgate_presence_presences'), 0);
    assert.equal(await gateway.metric('rgate_presence_topics'), 0);
  });

  it('hardening: what thousands of joins of one socket cost is given back', async (t) => {
    const { gateway } = suite;
    const { S, n } = cast();
    const client = await openWs(t, gateway, { token: S });
    const round = async (r) => {
      for (let i = 0; i < 90; i++) client.say(null, `j${i}`, `user:t-${n}-${r}-${i}`, 'phx_join');
      for (let i = 0; i < 90; i++) client.say(null, `l${i}`, `user:t-${n}-${r}-${i}`, 'phx_leave');
      assert.deepEqual(await client.replyTo('l89'), OK);
      client.mail.drain();
      client.texts.length = 0;
      await new Promise((later) => setTimeout(later, 200));
    };
    for (let r = 0; r < 5; r++) await round(r);
    const before = await resident(gateway);
    for (let r = 5; r < 30; r++) await round(r);
    const grown = await resident(gateway) - before;
    assert.ok(grown < 4 << 20, `grown by ${grown >> 10} KiB`);
    assert.equal(await gateway.metric('rgate_presence_presences'), 0);
  });
});
