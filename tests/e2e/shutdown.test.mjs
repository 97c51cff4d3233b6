// Stopping on request.
//
// - Clients see a regular end: a stream its last chunk, a WebSocket close 1001, a poll its answer.
// - Meanwhile health says so, and nobody new is let in.
// - The program ends with status 0 within SHUTDOWN_TIMEOUT, whatever clients do.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Gateway } from '../support/gateway.mjs';
import { ev, publish } from '../support/events.mjs';
import { RawConnection } from '../support/http.mjs';
import { LongPollClient } from '../support/longpoll.mjs';
import { isListening } from '../support/ports.mjs';
import { SseStream } from '../support/sse.mjs';
import { until } from '../support/wait.mjs';
import { RawWebSocket, WsClient } from '../support/websocket.mjs';

async function start(t, env = {}) {
  const gateway = await Gateway.start({ env });
  t.after(() => gateway.kill());
  return gateway;
}

async function assertGoodExit(gateway, ms) {
  const { code, signal } = await gateway.run.exit(ms);
  gateway.run.assertHealthy();
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, gateway.run.output);
}

describe('stopping', () => {
  for (const name of ['SIGTERM', 'SIGINT']) {
    it(`shutdown: ${name} ends every kind of client in good order`, async (t) => {
      const gateway = await start(t);
      const streams = await Promise.all(Array.from({ length: 20 }, () => SseStream.open(gateway)));
      const sockets = await Promise.all(Array.from({ length: 20 }, () => WsClient.open(gateway)));
      const polling = await LongPollClient.open(gateway);
      const requests = () => gateway.metric('rgate_http_requests_total');
      const before = await requests();
      const poll = polling.poll();
      await until(async () => await requests() > before, 'the poll has arrived');
      gateway.run.signal(name);
      for (const stream of streams) assert.equal(await stream.ended(), 'end');
      for (const socket of sockets) assert.equal((await socket.closed()).code, 1001);
      assert.deepEqual((await poll).json().events, []);
      await assertGoodExit(gateway);
      assert.equal(await isListening(gateway.port), false);
    });
  }

  it('shutdown: what was published before is delivered before the end', async (t) => {
    const gateway = await start(t);
    const stream = await SseStream.open(gateway, { subscriptions: [{ eventType: 'a' }] });
    const ids = [];
    for (let i = 0; i < 200; i++) ids.push((await publish(gateway, ev('a', 'x'.repeat(1000)))).id);
    gateway.run.signal('SIGTERM');
    for (const id of ids) assert.equal((await stream.next('a')).id, id);
    assert.equal(await stream.ended(), 'end');
    await assertGoodExit(gateway);
  });

  it('shutdown: a client that does not answer delays the end no longer than allowed', async (t) => {
    const gateway = await start(t, { SHUTDOWN_TIMEOUT: '1000' });
    const deaf = await RawWebSocket.openAndGreet(gateway);
    const halfway = await RawConnection.open(gateway.port);
    t.after(() => { deaf.close(); halfway.close(); });
    halfway.write('POST /_rig/v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{');
    const signalled = Date.now();
    gateway.run.signal('SIGTERM');
    // While it waits for the two, health says why.
    const health = await until(async () => {
      const answer = await gateway.internal('/health');
      return answer.status !== 200 && answer;
    }, 'health tells that the gateway is stopping', 900);
    assert.equal(health.status, 503);
    assert.equal(health.text, 'Shutting down');
    await assertGoodExit(gateway, 3000);
    assert.ok(Date.now() - signalled < 2500);
  });
});
