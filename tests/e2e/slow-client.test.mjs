// A client that does not read.
//
// - It is cut off once its queue is full, and the log and the metrics say so.
// - Everybody else gets every event meanwhile, in order.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { LAST, ev, publish, query, receivedUntilLast } from '../support/events.mjs';
import { RawConnection } from '../support/http.mjs';
import { SseStream } from '../support/sse.mjs';
import { until } from '../support/wait.mjs';
import { WsClient, handshake } from '../support/websocket.mjs';

const BIG = { subscriptions: [{ eventType: 'big' }, LAST] };
const subscriptions = async (gateway) => gateway.metric('rig_subscriptions_total');

describe('a slow client', () => {
  const suite = suiteGateway({ env: { CLIENT_QUEUE_BYTES: '65536', LOG_LEVEL: 'info' } });

  for (const [what, path, asBytes] of [
    ['a stream', `${V1}/connection/sse`, (p) => `GET ${p} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['a WebSocket', `${V1}/connection/ws`, (p) => handshake(p)],
  ]) {
    it(`client-api 5.7: ${what} that is not read is cut off, its neighbours are not`, async (t) => {
      const { gateway } = suite;
      const fast = [await SseStream.open(gateway, BIG), await WsClient.open(gateway, BIG)];
      t.after(() => fast.forEach((client) => client.close()));
      const before = await subscriptions(gateway);
      const seen = gateway.run.output.length;

      const slow = await RawConnection.open(gateway.port, { readsSlowly: true });
      t.after(() => slow.close());
      slow.write(asBytes(`${path}${query(BIG)}`));
      await until(async () => await subscriptions(gateway) > before, 'the slow client is subscribed');

      // The kernel's buffers take some megabytes before the queue fills.
      const sent = [];
      for (let i = 0; i < 400 && await subscriptions(gateway) > before; i++) {
        sent.push((await publish(gateway, ev('big', 'x'.repeat(60_000)))).id);
        for (const client of fast) assert.equal((await client.next('big')).id, sent[i]);
      }
      await until(async () => await subscriptions(gateway) === before, 'the slow client is dropped');

      assert.match(gateway.run.output.slice(seen), /client dropped.*reason=slow/);
      assert.ok(await gateway.metric('rgate_disconnects_total', { reason: 'slow' }) >= 1);
      for (const client of fast) assert.deepEqual(await receivedUntilLast(client), []);
      slow.read();
      await slow.closed();
    });
  }
});
