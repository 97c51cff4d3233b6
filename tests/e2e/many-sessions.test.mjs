// Bans among many connections: 1,000 banned sessions while 10,000 clients stay connected.
//
// - Every client has a session of its own. Exactly those whose session is banned end, each with
//   rig.session_killed; the others notice nothing and still get every event.
//
// The gateway and the clients are two processes with 10,000 sockets each, and each has the limit on
// descriptors for itself; a limit of 20,000 leaves room for both.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import net from 'node:net';
import { describe, it } from 'node:test';
import { V1, testGateway } from '../support/gateway.mjs';
import { FIXTURE, ev, publish, query } from '../support/events.mjs';
import { token } from '../support/jwt.mjs';
import { deferred, until, within } from '../support/wait.mjs';

const CLIENTS = 10_000;
const BANNED = 1_000;
const BATCH = 250;              // connections that are opened at the same time
const DESCRIPTORS = CLIENTS + 500;
const SUBSCRIPTIONS = [{ eventType: 'many' }];

/** A stream as bytes on a socket: this many of anything larger would take too long. */
class RawStream {
  sessionId;
  text = '';
  isOver = false;
  #socket;
  #waiting = null;

  constructor(gateway, sessionId) {
    this.sessionId = sessionId;
    const path = `${V1}/connection/sse${query(
      { jwt: token({ jti: sessionId }), subscriptions: SUBSCRIPTIONS })}`;
    this.#socket = net.connect({ host: '127.0.0.1', port: gateway.port });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text) => {
      this.text += text;
      this.#look();
    });
    const over = () => {
      this.isOver = true;
      this.#look();
    };
    this.#socket.on('error', over);
    this.#socket.on('end', over);
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  }

  #look() {
    const { what, done } = this.#waiting ?? {};
    if (done === undefined || !(this.isOver || this.text.includes(what))) return;
    this.#waiting = null;
    done.resolve();
  }

  /** Resolves when this was received, or nothing more comes. */
  received(what) {
    this.#waiting = { what, done: deferred() };
    const { promise } = this.#waiting.done;
    this.#look();
    return promise;
  }

  close() {
    this.#socket.destroy();
  }
}

async function inBatches(list, size, work) {
  for (let i = 0; i < list.length; i += size) {
    await Promise.all(list.slice(i, i + size).map(work));
  }
}

async function ban(gateway, sessionId) {
  const { status, text } = await gateway.internal('/v3/session-blacklist', {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sessionId, validityInSeconds: 60 }),
  });
  assert.equal(status, 201, text);
}

const limit = execFileSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
const isPossible = limit === 'unlimited' || Number(limit) >= DESCRIPTORS;

describe('many sessions', () => {
  it(`sessions: ${BANNED} are banned, and all others of ${CLIENTS} clients stay connected`, {
    skip: !isPossible && `it takes ${DESCRIPTORS} descriptors, and there are ${limit}`,
    timeout: 60_000 * Number(process.env.RGATE_TEST_PATIENCE ?? 1),
  }, async (t) => {
    const gateway = await testGateway(t, {
      env: { ...FIXTURE, MAX_CONNECTIONS_PER_MINUTE: '1000000', LOG_LEVEL: 'warn' },
    });
    const clients = [];
    t.after(() => clients.forEach((client) => client.close()));
    const numbers = Array.from({ length: CLIENTS }, (_, i) => i);
    await inBatches(numbers, BATCH, async (i) => {
      clients[i] = new RawStream(gateway, `session-${i}`);
      await clients[i].received('event: rig.subscriptions_set\n');
      assert.equal(clients[i].isOver, false, clients[i].text);
    });
    assert.equal(await gateway.metric('rgate_connections', { transport: 'sse' }), CLIENTS);

    const banned = clients.filter((_, i) => i % (CLIENTS / BANNED) === 0);
    const others = clients.filter((_, i) => i % (CLIENTS / BANNED) !== 0);
    const ends = banned.map((client) => client.received('\r\n0\r\n\r\n'));
    await inBatches(banned, 20, (client) => ban(gateway, client.sessionId));
    await within(Promise.all(ends), 'all banned clients are told and ended', 10_000);
    for (const { text } of banned) {
      assert.equal(text.split('event: rig.session_killed\n').length, 2, text);
      assert.ok(text.endsWith('\r\n0\r\n\r\n'), text);
    }

    const { id } = await publish(gateway, ev('many', {}));
    await within(Promise.all(others.map((client) => client.received(id))),
      'all others get an event', 10_000);
    for (const { text, isOver } of others) {
      assert.equal(isOver, false, text);
      assert.equal(text.split(id).length, 2, text);
      assert.ok(!text.includes('rig.session_killed'), text);
    }
    assert.ok(banned.every(({ text }) => !text.includes(id)), 'who is banned gets no event');

    const killed = await gateway.metric('rgate_disconnects_total', { reason: 'killed' });
    assert.equal(killed, BANNED);
    await until(async () => await gateway.metric(
      'rgate_connections', { transport: 'sse' }) === CLIENTS - BANNED, 'the banned ones are gone');
    assert.equal(await gateway.metric('rig_distributed_set_items_current'), BANNED);
  });
});
