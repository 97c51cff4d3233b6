// Clients of channel sockets (/socket/...), one class for each transport, and the people of the tests.
//
// A message is { join_ref, ref, topic, event, payload }, whatever the transport and the version.
import assert from 'node:assert/strict';
import { handshake } from './websocket.mjs';
import { exchange, send } from './http.mjs';
import { token } from './jwt.mjs';
import { load } from './packages.mjs';
import { parseFrame } from './sse.mjs';
import { deferred, within } from './wait.mjs';

const WebSocket = load('ws');

export const V2 = '2.0.0';
export const OK = { status: 'ok', response: {} };
export const UNMATCHED = { status: 'error', response: { reason: 'unmatched topic' } };
export const refusal = (user, topic) => ({
  status: 'error', response: `unauthorized user with id "${user}" tried to join "${topic}"!`,
});

let casts = 0;

/**
 * The people of the specification's cases and their tokens, with names that no other test has: so
 * tests can run side by side, and nobody meets the presences of another test.
 */
export function cast() {
  const n = ++casts;
  const [ada, bob, sam, role] = ['ada', 'bob', 'sam', 'customer'].map((name) => `${name}-${n}`);
  const claims = {
    A: { username: ada, role: [role], jti: `ja-${n}` },
    A2: { username: ada, role: [role], jti: `ja2-${n}` },
    B: { username: bob, role: [role], jti: `jb-${n}` },
    S: { username: sam, role: ['support'], jti: `js-${n}` },
  };
  const tokens = Object.fromEntries(
    Object.entries(claims).map(([name, of]) => [name, token(of)]));
  return { n, ada, bob, sam, role, claims, ...tokens };
}

/** The token of somebody who may do this with sessions: R[...]. */
export const admin = (...actions) => token({ scopes: { rg: { actions } } });

/** Bans a session, as an operator does. */
export async function ban(gateway, sessionId, validityInSeconds = 60) {
  const { status, text } = await gateway.internal('/v3/session-blacklist', {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sessionId, validityInSeconds }),
  });
  assert.equal(status, 201, text);
}

/** Sends a message to all who have joined the topic of its user. */
export async function tell(gateway, user, content) {
  const { status, text } = await gateway.internal(
    `/v3/users/${encodeURIComponent(user)}/messages`, {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify(content),
    });
  assert.ok(status >= 200 && status < 300, `${status} ${text}`);
}

/** A path with parameters; pairs of a name and a value, of which undefined is left out. */
export function path(transport, pairs) {
  const given = pairs.filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return `/socket/${transport}${given.length > 0 ? `?${given.join('&')}` : ''}`;
}

/** What arrives: taken in order, or one that is looked for. */
class Mail {
  #items = [];
  #changed = deferred();
  #end = null;

  put(item) {
    this.#items.push(item);
    this.#wake();
  }

  end(error) {
    this.#end ??= error;
    this.#wake();
  }

  #wake() {
    this.#changed.resolve();
    this.#changed = deferred();
  }

  get items() {
    return this.#items;
  }

  /** The first that is it; what is in front of it stays. */
  async find(isIt, what, ms) {
    let isOver = false;
    const look = async () => {
      while (!isOver) {
        const at = this.#items.findIndex(isIt);
        if (at >= 0) return this.#items.splice(at, 1)[0];
        if (this.#end) throw new Error(`${what}: ${this.#end.message}`);
        await this.#changed.promise;
      }
      return undefined;
    };
    try {
      return await within(look(), what, ms);
    } catch (error) {
      error.message += `; there is ${JSON.stringify(this.#items).slice(0, 2000)}`;
      throw error;
    } finally {
      isOver = true;
    }
  }

  drain() {
    return this.#items.splice(0);
  }
}

const fromV2 = ([join_ref, ref, topic, event, payload]) =>
  ({ join_ref, ref, topic, event, payload });
const decode = (value) => (Array.isArray(value) ? fromV2(value) : { join_ref: null, ...value });

/** What the three have in common. */
class ChannelSocket {
  gateway;
  vsn;
  mail = new Mail();
  #refs = 0;
  #joins = new Map();             // topic to join reference

  fresh() {
    return String(++this.#refs);
  }

  /** Says it with these references, which may be null, in the form of the socket's version. */
  say(joinRef, ref, topic, event, payload = {}) {
    const is2 = this.vsn?.startsWith('2');
    return this.send(JSON.stringify(
      is2 ? [joinRef, ref, topic, event, payload] : { topic, event, payload, ref }));
  }

  /** The next message, which must be of this event if one is given. */
  async next(event, ms) {
    const message = await this.mail.find(() => true, `a message ${event ?? ''}`, ms);
    if (event !== undefined) assert.equal(message.event, event, JSON.stringify(message));
    return message;
  }

  /** The first message of this kind; those of others wait. */
  find(topic, event, ms) {
    return this.mail.find((message) => message.topic === topic && message.event === event,
      `${event} on ${topic}`, ms);
  }

  /** The payload of the reply to a message; other messages wait. */
  async replyTo(ref, ms) {
    const reply = await this.mail.find(
      (message) => message.event === 'phx_reply' && message.ref === ref, `a reply to ${ref}`, ms);
    return reply.payload;
  }

  /** Says something that is answered, and returns the reply's payload. */
  async ask(topic, event, payload, joinRef = this.#joins.get(topic) ?? null) {
    const ref = this.fresh();
    await this.say(joinRef, ref, topic, event, payload);
    return this.replyTo(ref);
  }

  /** Joins and returns the reply's payload. What follows the reply waits. */
  async join(topic, payload) {
    const ref = this.fresh();
    this.#joins.set(topic, ref);
    await this.say(ref, ref, topic, 'phx_join', payload);
    return this.replyTo(ref);
  }

  /** Joins, which must be allowed, and takes the first messages of an own topic. */
  async joinOwn(topic) {
    assert.deepEqual(await this.join(topic), OK);
    const state = await this.find(topic, 'presence_state');
    const diff = await this.find(topic, 'presence_diff');
    return { state: state.payload, diff: diff.payload };
  }

  leave(topic) {
    return this.ask(topic, 'phx_leave');
  }

  async heartbeat() {
    assert.deepEqual(await this.ask('phoenix', 'heartbeat', {}, null), OK);
  }

  /** Receives nothing within a second, and is open at its end. */
  async receivesNothing(ms = 1000) {
    await new Promise((later) => setTimeout(later, ms));
    await this.heartbeat();
    assert.deepEqual(this.mail.drain(), [], 'nothing is received');
  }
}

export class WsSocket extends ChannelSocket {
  socket;
  texts = [];
  headers;                        // of the answer to the handshake
  pongs = new Mail();
  #closed = deferred();

  /** Must be accepted. */
  static async open(gateway, { token: jwt, vsn = V2, protocols = [], headers = {}, ...more } = {}) {
    const client = new WsSocket();
    client.gateway = gateway;
    client.vsn = vsn === null ? undefined : vsn;
    const target = path('websocket', [['token', jwt], ['vsn', client.vsn], ...Object.entries(more)]);
    client.socket = new WebSocket(gateway.url(target, 'ws'), protocols,
      { headers, rejectUnauthorized: false, ...gateway.tls });
    client.socket.once('upgrade', (response) => { client.headers = response.headers; });
    client.#listen();
    await within(new Promise((resolve, reject) => {
      client.socket.once('open', resolve);
      client.socket.once('error', reject);
    }), 'the channel socket opens');
    return client;
  }

  /** The response of a handshake that is refused: { status, headers, text }. */
  static refused(gateway, { token: jwt, vsn = V2, headers = {}, ...more } = {}) {
    return exchange(gateway.port, handshake(
      path('websocket', [['token', jwt], ['vsn', vsn], ...Object.entries(more)]), headers));
  }

  #listen() {
    this.socket.on('message', (data, isBinary) => {
      const text = data.toString('utf8');
      assert.equal(isBinary, false);
      this.texts.push(text);
      this.mail.put(decode(JSON.parse(text)));
    });
    this.socket.on('pong', (payload) => this.pongs.put(payload.toString('utf8')));
    this.socket.on('error', () => {});
    this.socket.on('close', (code, reason) => {
      this.#closed.resolve({ code, reason: reason.toString('utf8') });
      this.mail.end(new Error(`the socket is closed (${code})`));
    });
  }

  /** A text as it is, or bytes. */
  send(text) {
    this.socket.send(text);
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** { code, reason } of the gateway's close. */
  closed(ms) {
    return within(this.#closed.promise, 'the channel socket is closed', ms);
  }

  /** Ends the connection without a word. */
  close() {
    this.socket.terminate();
  }
}

export class LongPollSocket extends ChannelSocket {
  id;                             // the poll id
  #jwt;
  #headers;
  #isPolling = false;
  #ended = deferred();

  constructor(gateway, { token: jwt, vsn = V2, headers = {} } = {}) {
    super();
    this.gateway = gateway;
    this.vsn = vsn === null ? undefined : vsn;
    this.#jwt = jwt;
    this.#headers = headers;
  }

  /** Opens one, which must be accepted. It polls when told to. */
  static async open(gateway, options) {
    const client = new LongPollSocket(gateway, options);
    const answer = await client.get();
    assert.equal(answer.status, 410, JSON.stringify(answer));
    client.id = answer.token;
    return client;
  }

  path(tokens = [this.#jwt, this.id]) {
    return path('longpoll', [['token', tokens[0]], ['vsn', this.vsn],
      ...tokens.slice(1).map((one) => ['token', one])]);
  }

  /** One request; the answer's body. It must be as every answer is. */
  async #request(options, tokens, ms) {
    const { status, headers, json } = await this.gateway.request(
      { path: this.path(tokens), ...options }, ms);
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-store');
    const body = json();
    assert.equal(status, body.status === 400 ? 400 : 200);
    return body;
  }

  get(tokens, ms = 15000) {
    return this.#request({ headers: { accept: 'application/json', ...this.#headers } }, tokens, ms);
  }

  post(body, { type = 'application/x-ndjson', tokens } = {}) {
    return this.#request({ method: 'POST', body,
      headers: { 'content-type': type, 'content-length': Buffer.byteLength(body) } }, tokens);
  }

  /** Polls on and on. */
  start() {
    this.#isPolling = true;
    const run = async () => {
      while (this.#isPolling) {
        const { status, messages } = await this.get();
        if (status !== 200 && status !== 204) return status;
        this.take(messages);
      }
      return 0;
    };
    run().then((status) => {
      this.#ended.resolve(status);
      this.mail.end(new Error(`the poll said ${status}`));
    }, (error) => this.mail.end(error));
    return this;
  }

  /** What status the polling ended with. */
  ended(ms) {
    return within(this.#ended.promise, 'polling ends', ms);
  }

  /** One poll, whose messages can then be taken. */
  async poll(ms) {
    const body = await this.get(undefined, ms);
    this.take(body.messages);
    return body;
  }

  take(messages) {
    for (const one of messages) {
      this.mail.put(decode(typeof one === 'string' ? JSON.parse(one) : one));
    }
  }

  async send(text) {
    const type = this.vsn ? 'application/x-ndjson' : 'application/json';
    assert.deepEqual(await this.post(text, { type }), { status: 200 });
  }

  /** Polls no more: that is all that a client of this kind can do. */
  close() {
    this.#isPolling = false;
  }
}

export class SseSocket {
  gateway;
  status;
  headers;
  text = '';
  frames = new Mail();
  #req;
  #rest = '';
  #ended = deferred();

  /** Opens a stream, which must be accepted; query is what is behind the question mark. */
  static async open(gateway, query, headers = {}) {
    const client = new SseSocket();
    client.gateway = gateway;
    await client.#connect(`/socket/sse?${query}`, headers);
    assert.equal(client.status, 200, client.text);
    return client;
  }

  #connect(target, headers) {
    const answered = new Promise((resolve, reject) => {
      const { scheme, port, tls } = this.gateway;
      this.#req = send(scheme, { host: '127.0.0.1', port, path: target, headers, ...tls }, (res) => {
        this.status = res.statusCode;
        this.headers = res.headers;
        res.setEncoding('utf8');
        res.on('data', (text) => this.#take(text));
        res.on('end', () => this.#over('end'));
        res.on('error', (error) => this.#over(error.code ?? error.message));
        resolve();
      });
      this.#req.on('error', (error) => {
        this.#over(error.code);
        reject(error);
      });
      this.#req.end();
    });
    return within(answered, 'the stream is answered');
  }

  #over(how) {
    this.#ended.resolve(how);
    this.frames.end(new Error(`the stream is over (${how})`));
  }

  #take(text) {
    this.text += text;
    this.#rest += text;
    for (let at; (at = this.#rest.indexOf('\n\n')) >= 0;) {
      this.frames.put(parseFrame(this.#rest.slice(0, at)));
      this.#rest = this.#rest.slice(at + 2);
    }
  }

  /** The next frame; see parseFrame. Heartbeats are frames, too. */
  async nextFrame(event, ms) {
    const frame = await this.frames.find(() => true, `a frame ${event ?? ''}`, ms);
    if (event !== undefined) assert.equal(frame.event, event, frame.text);
    return frame;
  }

  /** The data of the next frame that is no heartbeat. */
  async next(event, ms) {
    const frame = await this.frames.find(
      (one) => one.event !== 'heartbeat', `a frame ${event ?? ''}`, ms);
    if (event !== undefined) assert.equal(frame.event, event, frame.text);
    return JSON.parse(frame.data);
  }

  /** 'end' for a response that ended in good order, else the error's code. */
  ended(ms) {
    return within(this.#ended.promise, 'the stream ends', ms);
  }

  close() {
    this.#req.destroy();
  }
}

/** Opens a socket for a test. */
export async function openWs(t, gateway, options) {
  const client = await WsSocket.open(gateway, options);
  t.after(() => client.close());
  return client;
}

export async function openLongPoll(t, gateway, options) {
  const client = await LongPollSocket.open(gateway, options);
  t.after(() => client.close());
  return client;
}

export async function openSse(t, gateway, query, headers) {
  const client = await SseSocket.open(gateway, query, headers);
  t.after(() => client.close());
  return client;
}
