// More connections than the process may have descriptors.
//
// - Accepting pauses, which the log says once, instead of spinning; who is connected is served.
// - When descriptors are free again, those who waited are accepted.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { V1, Gateway } from '../support/gateway.mjs';
import { ev, query } from '../support/events.mjs';
import { RawConnection } from '../support/http.mjs';
import { SseStream } from '../support/sse.mjs';

const LIMIT = 96;
const WITH_FEW = ['/bin/sh', '-c', `ulimit -n ${LIMIT}; exec "$@"`, 'limited'];
const SUBSCRIPTIONS = { subscriptions: [{ eventType: 'a' }] };
const CONNECT = `GET ${V1}/connection/sse${query(SUBSCRIPTIONS)} HTTP/1.1\r\nHost: a\r\n\r\n`;

const post = (event) => {
  const body = JSON.stringify(event);
  return `POST ${V1}/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
};

/** Seconds of processor time the process has used. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

describe('descriptors run out', () => {
  it('hardening: accepting pauses, what is connected stays, and it goes on', async (t) => {
    const gateway = await Gateway.start({ via: WITH_FEW });
    t.after(() => gateway.stop());
    const early = await SseStream.open(gateway, SUBSCRIPTIONS);
    t.after(() => early.close());
    const publisher = await RawConnection.open(gateway.port);
    t.after(() => publisher.close());

    const crowd = [];
    t.after(() => crowd.forEach((connection) => connection.close()));
    for (let i = 0; i < 2 * LIMIT; i++) {
      crowd.push(await RawConnection.open(gateway.port));
      crowd[i].write(CONNECT);
    }
    await gateway.run.printed(/accepting paused/);

    const before = cpuSeconds(gateway.run.pid);
    const started = Date.now();
    for (let i = 0; i < 5; i++) {
      const event = ev('a', { i });
      publisher.write(post(event));
      assert.equal((await publisher.response()).status, 202);
      assert.equal((await early.next('a')).id, event.id);
    }
    const elapsed = (Date.now() - started) / 1000;
    assert.ok(cpuSeconds(gateway.run.pid) - before <= elapsed / 2 + 0.2, 'it does not spin');

    crowd.splice(0).forEach((connection) => connection.close());
    await gateway.run.printed(/accepting resumed/);
    const late = await SseStream.open(gateway, SUBSCRIPTIONS);
    late.close();
  });
});
