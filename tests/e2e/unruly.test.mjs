// Many clients at once that connect, subscribe, misbehave and vanish at random moments.
//
// - The gateway serves on, and nothing of them stays behind: no connection, no subscription.
// - Behind a sanitizer's binary: no memory error, no race, no leak.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { suiteCheckService } from '../support/check-service.mjs';
import { FIXTURE, ev, query } from '../support/events.mjs';
import { request } from '../support/http.mjs';
import { bearer, now, token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';
import { handshake } from '../support/websocket.mjs';

const AT_ONCE = 60;
const EXTRACTORS = JSON.stringify({
  a: {
    k: { stable_field_index: 0, event: { json_pointer: '/data/k' }, jwt: { json_pointer: '/k' } },
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

/** Of one of a few sessions, and good for some time or none. */
const someToken = () => token(
  { jti: `s${random(8)}`, k: random(6), exp: now() + pick(0, 1, 2, 600) },
  { key: pick(FIXTURE.JWT_SECRET_KEY, FIXTURE.JWT_SECRET_KEY, 'wrong') });

/** What a connect says; some say who they are. */
const parameters = () => query({ subscriptions: subscriptions(), ...pick({}, { jwt: someToken() }) });

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
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body),
      ...pick({}, bearer(someToken())) },
  }).catch(() => {});
};

const behaviours = {
  async stream(port) {
    const peer = new Peer(port);
    peer.write(`GET ${V1}/connection/sse${parameters()} HTTP/1.${pick(0, 1)}\r\nHost: a\r\n\r\n`);
    if (random(4) === 0) peer.socket.pause();
    await peer.reads(/subscriptions_set/);
    const token = /connection_token":"([^"]+)/.exec(peer.text)?.[1];
    if (token && random(2)) await put(port, token);
    await peer.leave();
    if (token && random(2)) await put(port, token);
  },
  async webSocket(port) {
    const peer = new Peer(port);
    peer.write(handshake(`${V1}/connection/ws${pick(parameters(), '?subscriptions=bad')}`));
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
      peer.write(`GET ${V1}/connection/longpolling${parameters()} HTTP/1.1\r\nHost: a\r\n` +
        `Cookie: ${cookies}\r\n${pick('Connection: close\r\n', '')}\r\n`);
      await peer.reads(/\r\n\r\n./);
      const set = [...peer.text.matchAll(/set-cookie: ([^;]+)/g)].map(([, cookie]) => cookie);
      if (set.length > 0) cookies = set.join('; ');
      await peer.leave();
    }
  },
  async publisher(port) {
    const peer = new Peer(port);
    const who = pick('', `Authorization: Bearer ${someToken()}\r\n`);
    const head = `POST ${V1}/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${who}`;
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
  async ticketHolder(port) {
    const { text } = await request({ port, method: 'POST', path: `${V1}/tickets`,
      headers: bearer(someToken()) }).catch(() => ({ text: '' }));
    const ticket = /"ticket":"([^"]+)/.exec(text)?.[1] ?? 'none';
    const peers = list(2, () => new Peer(port));
    for (const peer of peers) {
      peer.write(`GET ${V1}/connection/sse?ticket=${ticket} HTTP/1.1\r\nHost: a\r\n\r\n`);
    }
    for (const peer of peers) {
      await peer.reads(/subscriptions_set/);
      await peer.leave();
    }
  },
  async operator(port, internalPort) {
    const body = JSON.stringify({ sessionId: `s${random(8)}`, validityInSeconds: 1 });
    await request({ port: internalPort, method: 'POST', path: '/v3/session-blacklist', body,
      headers: { 'content-type': 'application/json' } }).catch(() => {});
  },
  async stranger(port) {
    const peer = new Peer(port);
    peer.write(pick(randomBytes(1 + random(300)),
      `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(random(120))}\r\n`, 'GET / HT'));
    await peer.reads(/HTTP/);
    await peer.leave();
  },
};

const ENV = {
  ...FIXTURE, EXTRACTORS, REACTORS: '3', CLIENT_QUEUE_BYTES: '8192', HEARTBEAT_INTERVAL: '50',
  LONGPOLL_TIMEOUT: '100', LONGPOLL_IDLE_TIMEOUT: '1000', HTTP_WRITE_TIMEOUT: '1000',
  HTTP_IDLE_TIMEOUT: '1000', MAX_CONNECTIONS_PER_MINUTE: '1000000', JWT_CACHE_ENTRIES: '16',
  JWT_EXPIRY_CLOSES: 'true', JWT_EXPIRY_WARNING: '300', COMPRESSION_MIN_BYTES: '200',
  MAX_CONNECTIONS_PER_ADDRESS: '40',
};

/** Lets clients behave, so many times in all, and looks at what is left of them. */
async function endure(gateway, rounds) {
  let left = rounds;
  const worker = async () => {
    while (left-- > 0) {
      await pick(...Object.values(behaviours))(gateway.port, gateway.internalPort);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));

  assert.equal((await gateway.get('/_rig/health')).text, 'OK');
  await until(async () => await gateway.metric('rgate_connections') === 0,
    'all clients are gone', 20000);
  assert.equal(await gateway.metric('rig_subscriptions_total'), 0);
  await until(async () => await gateway.metric('rgate_http_connections') === 0,
    'all connections are closed', 20000);
  assert.ok(await gateway.metric('rgate_connects_total') > rounds / 10);
  assert.ok(await gateway.metric('rgate_deliveries_total') > 0);
  assert.equal((await gateway.get(`${V1}/connection/longpolling`)).status, 200, 'there is room');
}

describe('unruly clients', () => {
  const suite = suiteGateway({ env: ENV });

  it('hardening: whatever clients do, nothing of them stays behind', () =>
    endure(suite.gateway, 4000));
});

describe('unruly clients of a service that decides', () => {
  const service = suiteCheckService();
  const suite = suiteGateway(() => ({ env: {
    ...ENV, SUBSCRIPTION_CHECK: service.address, SUBMISSION_CHECK: service.address } }));

  it('hardening: who leaves while somebody else decides stays no longer', async () => {
    service.answer = async (_, response) => {
      for (let turns = random(30); turns > 0; turns--) await new Promise(setImmediate);
      pick(() => response.writeHead(200).end(), () => response.writeHead(204).end(),
        () => response.writeHead(403).end(), () => response.destroy())();
    };
    await endure(suite.gateway, 2000);
  });
});
