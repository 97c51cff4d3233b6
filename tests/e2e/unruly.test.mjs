// Many clients at once that connect, subscribe, misbehave and vanish at random moments.
//
// - The gateway serves on, and nothing of them stays behind: no connection, no subscription.
// - Behind a sanitizer's binary: no memory error, no race, no leak.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { ev, query } from '../support/events.mjs';
import { request } from '../support/http.mjs';
import { until } from '../support/wait.mjs';
import { handshake } from '../support/websocket.mjs';

const ROUNDS = 4000;
const AT_ONCE = 60;
const EXTRACTORS = JSON.stringify({
  a: {
    k: { stable_field_index: 0, event: { json_pointer: '/data/k' } },
    m: { stable_field_index: 1, event: { json_pointer: '/data/m' } },
  },
});

/** The same choices in every run; only how they interleave differs. */
let state = 7;
function random(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}
const pick = (...choices) => choices[random(choices.length)];
const list = (most, make) => Array.from({ length: random(most + 1) }, make);

const subscriptions = () => list(3, () => ({
  eventType: pick('a', 'b'),
  oneOf: list(3, () => pick({ k: random(6) }, { k: random(6), m: pick('x', 'y', null) }, {})),
}));

/** A socket that never throws: what it cannot do, it does not. */
class Peer {
  text = '';

  constructor(port) {
    this.socket = net.connect({ host: '127.0.0.1', port });
    this.over = new Promise((resolve) => { this.socket.on('close', resolve); });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => { this.text += chunk.toString('latin1'); });
  }

  write(...pieces) {
    for (const piece of pieces) if (!this.socket.destroyed) this.socket.write(piece);
  }

  /** Reads until pattern or the end, or until enough other peers had their turn. */
  async reads(pattern) {
    for (let turns = 5 + random(60); turns > 0 && !pattern.test(this.text); turns--) {
      if (this.socket.destroyed) return;
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }

  leave() {
    pick(() => this.socket.destroy(), () => this.socket.end(), () => this.socket.resetAndDestroy())();
    this.socket.resume();
    const given = this.over;
    this.socket.setTimeout(2000, () => this.socket.destroy());
    return given;
  }
}

const put = async (port, token) => {
  const body = JSON.stringify({ subscriptions: subscriptions() });
  await request({
    port, method: 'PUT', path: `${V1}/connection/sse/${token}/subscriptions`, body,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
  }).catch(() => {});
};

const behaviours = {
  async stream(port) {
    const peer = new Peer(port);
    const parameters = query({ subscriptions: subscriptions() });
    peer.write(`GET ${V1}/connection/sse${parameters} HTTP/1.${pick(0, 1)}\r\nHost: a\r\n\r\n`);
    if (random(4) === 0) peer.socket.pause();
    await peer.reads(/subscriptions_set/);
    const token = /connection_token":"([^"]+)/.exec(peer.text)?.[1];
    if (token && random(2)) await put(port, token);
    await peer.leave();
    if (token && random(2)) await put(port, token);
  },
  async webSocket(port) {
    const peer = new Peer(port);
    const parameters = query({ subscriptions: subscriptions() });
    peer.write(handshake(`${V1}/connection/ws${pick(parameters, '?subscriptions=bad')}`));
    await peer.reads(/subscriptions_set/);
    peer.write(...list(4, () => pick(
      Buffer.from('898000000000', 'hex'), Buffer.from('8a8301020304616263', 'hex'),
      Buffer.from('8182000000006869', 'hex'), Buffer.from('88820000000003e8', 'hex'),
      Buffer.from('0180', 'hex'), randomBytes(7))));
    await peer.reads(/nothing like this/);
    await peer.leave();
  },
  async longPoll(port) {
    let cookies = 'x=y';
    for (let polls = 1 + random(4); polls > 0; polls--) {
      const peer = new Peer(port);
      const parameters = query({ subscriptions: subscriptions() });
      peer.write(`GET ${V1}/connection/longpolling${parameters} HTTP/1.1\r\nHost: a\r\n` +
        `Cookie: ${cookies}\r\n${pick('Connection: close\r\n', '')}\r\n`);
      await peer.reads(/\r\n\r\n./);
      const set = [...peer.text.matchAll(/set-cookie: ([^;]+)/g)].map(([, cookie]) => cookie);
      if (set.length > 0) cookies = set.join('; ');
      await peer.leave();
    }
  },
  async publisher(port) {
    const peer = new Peer(port);
    const head = `POST ${V1}/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
    for (let events = random(20); events > 0; events--) {
      const body = JSON.stringify(ev(pick('a', 'b', 'c'),
        { k: random(6), m: pick('x', 'y'), pad: 'z'.repeat(pick(10, 300, 4000)) }));
      if (random(3) === 0) {
        peer.write(`${head}Transfer-Encoding: chunked\r\n\r\n`,
          `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
      } else {
        peer.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
      }
    }
    await peer.reads(/HTTP\/1.1 202/);
    await peer.leave();
  },
  async stranger(port) {
    const peer = new Peer(port);
    peer.write(pick(randomBytes(1 + random(300)),
      `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(random(120))}\r\n`, 'GET / HT'));
    await peer.reads(/HTTP/);
    await peer.leave();
  },
};

describe('unruly clients', () => {
  const suite = suiteGateway({
    env: {
      EXTRACTORS, REACTORS: '3', CLIENT_QUEUE_BYTES: '8192', HEARTBEAT_INTERVAL: '50',
      LONGPOLL_TIMEOUT: '100', LONGPOLL_IDLE_TIMEOUT: '1000', HTTP_WRITE_TIMEOUT: '1000',
      HTTP_IDLE_TIMEOUT: '1000', MAX_CONNECTIONS_PER_MINUTE: '1000000',
    },
  });

  it('hardening: whatever clients do, nothing of them stays behind', async () => {
    const { gateway } = suite;
    let left = ROUNDS;
    const worker = async () => {
      while (left-- > 0) await pick(...Object.values(behaviours))(gateway.port);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));

    assert.equal((await gateway.get('/_rig/health')).text, 'OK');
    await until(async () => await gateway.metric('rgate_connections') === 0,
      'all clients are gone', 20000);
    assert.equal(await gateway.metric('rig_subscriptions_total'), 0);
    await until(async () => await gateway.metric('rgate_http_connections') === 0,
      'all connections are closed', 20000);
    assert.ok(await gateway.metric('rgate_connects_total') > ROUNDS / 4);
    assert.ok(await gateway.metric('rgate_deliveries_total') > 0);
  });
});
