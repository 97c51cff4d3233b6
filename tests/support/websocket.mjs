// Clients of the WebSocket: the package that people use, and one that sends any frame.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { V1 } from './gateway.mjs';
import { query } from './events.mjs';
import { RawConnection } from './http.mjs';
import { load } from './packages.mjs';
import { Inbox, deferred, within } from './wait.mjs';

const WebSocket = load('ws');

export class WsClient {
  gateway;
  token;
  socket;
  messages = new Inbox();         // texts
  pings = new Inbox();            // payloads
  pongs = new Inbox();
  create;
  set;
  #closed = deferred();

  /** Connects; the handshake must succeed. Reads nothing: see open. */
  static async connect(gateway, parameters = {}, options = {}) {
    const client = new WsClient();
    client.gateway = gateway;
    client.socket = new WebSocket(
      gateway.url(`${V1}/connection/ws${query(parameters)}`, 'ws'),
      { rejectUnauthorized: false, ...gateway.tls, ...options });
    client.#listen();
    await within(new Promise((resolve, reject) => {
      client.socket.once('open', resolve);
      client.socket.once('error', reject);
    }), 'the WebSocket opens');
    return client;
  }

  /** Connects and reads the first two events. */
  static async open(gateway, parameters, options) {
    const client = await WsClient.connect(gateway, parameters, options);
    client.create = await client.next('rig.connection.create');
    client.token = client.create.data.connection_token;
    client.set = await client.next('rig.subscriptions_set');
    return client;
  }

  #listen() {
    this.socket.on('message', (data, isBinary) => {
      assert.equal(isBinary, false);
      this.messages.put(data.toString('utf8'));
    });
    this.socket.on('ping', (payload) => this.pings.put(payload.toString('utf8')));
    this.socket.on('pong', (payload) => this.pongs.put(payload.toString('utf8')));
    this.socket.on('error', () => {});
    this.socket.on('close', (code, reason) => {
      this.#closed.resolve({ code, reason: reason.toString('utf8') });
      for (const inbox of [this.messages, this.pings, this.pongs]) {
        inbox.end(new Error(`the WebSocket is closed (${code})`));
      }
    });
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  async next(type, ms) {
    const event = JSON.parse(await this.messages.next(`an event ${type ?? ''}`, ms));
    if (type !== undefined) assert.equal(event.type, type);
    return event;
  }

  /** { code, reason } of the gateway's close. */
  closed(ms) {
    return within(this.#closed.promise, 'the WebSocket is closed', ms);
  }

  close() {
    this.socket.terminate();
  }
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** The handshake's bytes; a header of undefined is left out. */
export function handshake(path = `${V1}/connection/ws`, headers = {}) {
  const all = {
    host: 'localhost', connection: 'Upgrade', upgrade: 'websocket',
    'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64'),
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** A WebSocket whose every frame is the test's own. Answers no ping. */
export class RawWebSocket {
  #connection;

  headers;                        // of the gateway's answer

  static async open(gateway, parameters = {}, headers = {}) {
    const socket = new RawWebSocket();
    socket.#connection = await RawConnection.open(gateway.port);
    socket.#connection.write(handshake(`${V1}/connection/ws${query(parameters)}`, headers));
    const head = await socket.#connection.head();
    assert.equal(head.status, 101);
    socket.headers = head.headers;
    return socket;
  }

  /** On a RawConnection whose handshake is done, or of another kind. */
  static over(connection) {
    const socket = new RawWebSocket();
    socket.#connection = connection;
    return socket;
  }

  /** Also reads the first two events. */
  static async openAndGreet(gateway, parameters, headers) {
    const socket = await RawWebSocket.open(gateway, parameters, headers);
    await socket.frame();
    await socket.frame();
    return socket;
  }

  send(opcode, payload = '', { masked = true, fin = true, rsv = 0, length } = {}) {
    const bytes = Buffer.from(payload);
    const n = length ?? bytes.length;
    const size = n < 126 ? [n] : n < 65536 ? [126, n >> 8, n & 255]
      : [127, 0, 0, 0, 0, (n >>> 24) & 255, (n >> 16) & 255, (n >> 8) & 255, n & 255];
    if (masked) size[0] |= 0x80;
    const head = Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, ...size]);
    if (!masked) return this.write(Buffer.concat([head, bytes]));
    const key = randomBytes(4);
    return this.write(Buffer.concat([head, key, bytes.map((byte, i) => byte ^ key[i % 4])]));
  }

  write(bytes) {
    this.#connection.write(bytes);
    return this;
  }

  /** The next frame: { opcode, text, code }; of a data frame { opcode, text, rsv, payload }. */
  async frame(ms) {
    const [first, second] = await this.#connection.take(2, ms);
    assert.equal(second & 0x80, 0, 'a server does not mask');
    let n = second & 0x7f;
    if (n === 126) n = (await this.#connection.take(2, ms)).readUInt16BE();
    else if (n === 127) n = Number((await this.#connection.take(8, ms)).readBigUInt64BE());
    const payload = n > 0 ? await this.#connection.take(n, ms) : Buffer.alloc(0);
    const opcode = first & 0x0f;
    const text = payload.toString('utf8');
    if (opcode < OPCODE.close) return { opcode, text, rsv: (first >> 4) & 7, payload };
    if (opcode !== OPCODE.close) return { opcode, text };
    return {
      opcode, code: n >= 2 ? payload.readUInt16BE() : undefined, text: payload.subarray(2).toString(),
    };
  }

  closed(ms) {
    return this.#connection.closed(ms);
  }

  close() {
    this.#connection.close();
  }
}
