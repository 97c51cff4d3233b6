// A connection of HTTP/2 and what goes over it.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { V1 } from './gateway.mjs';
import { query } from './events.mjs';
import { RawConnection } from './http.mjs';
import { parseFrame } from './sse.mjs';
import { RawWebSocket } from './websocket.mjs';
import { Inbox, deferred, within } from './wait.mjs';

/** A stream of events on a connection that others use, too. */
export class H2Stream {
  token;
  frames = new Inbox();
  stream;
  #ended = deferred();

  constructor(stream) {
    let rest = '';
    this.stream = stream;
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      const texts = (rest + chunk).split('\n\n');
      rest = texts.pop();
      for (const frame of texts.map(parseFrame)) {
        if (frame.data !== undefined) this.frames.put(frame);
      }
    });
    stream.on('error', () => {});
    // A reset comes with an end as well: how it ended is known when all is over.
    stream.on('close', () => {
      this.#ended.resolve(stream.rstCode);
      this.frames.end(new Error(`the stream is over (${stream.rstCode})`));
    });
  }

  async next(type, ms) {
    const frame = await this.frames.next(`an event ${type ?? ''}`, ms);
    if (type !== undefined) assert.equal(frame.event, type);
    return JSON.parse(frame.data);
  }

  /** The code with which the stream ended; 0 for an end in good order. */
  ended(ms) {
    return within(this.#ended.promise, 'the stream ends', ms);
  }

  close() {
    this.stream.close(http2.constants.NGHTTP2_CANCEL);
  }
}

export class H2Client {
  gateway;
  session;
  #goaway = deferred();
  #closed = deferred();

  /** Connects; options are those of node:http2. The connection ends with t. */
  static async open(t, gateway, options = {}) {
    const client = new H2Client();
    client.gateway = gateway;
    client.session = http2.connect(gateway.url(''), options);
    client.session.on('error', () => {});
    client.session.on('goaway', (code) => client.#goaway.resolve(code));
    client.session.on('close', () => client.#closed.resolve());
    t.after(() => client.session.destroy());
    await within(new Promise((resolve, reject) => {
      client.session.once('remoteSettings', resolve);
      client.session.once('error', reject);
    }), 'an HTTP/2 connection');
    return client;
  }

  /** One request: { status, headers, text, json() }; a reset is an error. */
  request({ method = 'GET', path = '/', headers = {}, body }, ms) {
    const stream = this.session.request(
      { ':method': method, ':path': path, ...headers }, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    return within(new Promise((resolve, reject) => {
      let text = '';
      let head;
      stream.setEncoding('utf8');
      stream.on('response', (given) => { head = given; });
      stream.on('data', (chunk) => { text += chunk; });
      stream.on('error', reject);
      stream.on('end', () => {
        if (head) resolve({ status: head[':status'], headers: head, text, json: () => JSON.parse(text) });
      });
      stream.on('close', () => reject(new Error(`reset (${stream.rstCode})`)));
    }), `${method} ${path} is answered`, ms);
  }

  /** Opens a stream of events, which must be accepted, and reads its first two. */
  async stream(parameters = {}) {
    const request = this.session.request({ ':path': `${V1}/connection/sse${query(parameters)}` });
    const stream = new H2Stream(request);
    const head = await within(new Promise((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
    }), 'the stream is answered');
    assert.equal(head[':status'], 200);
    assert.equal(head['content-type'], 'text/event-stream; charset=utf-8');
    stream.gateway = this.gateway;
    stream.token = (await stream.next('rig.connection.create')).data.connection_token;
    stream.set = await stream.next('rig.subscriptions_set');
    return stream;
  }

  /** An extended CONNECT (RFC 8441): { status, headers, socket }. */
  async connect(path, headers = {}) {
    const stream = this.session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': path,
      'sec-websocket-version': '13', ...headers,
    }, { endStream: false });
    const socket = RawWebSocket.over(RawConnection.over(stream));
    const head = await within(new Promise((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('error', reject);
    }), 'CONNECT is answered');
    return { status: head[':status'], headers: head, socket, stream };
  }

  /** The code of the gateway's GOAWAY. */
  goaway(ms) {
    return within(this.#goaway.promise, 'GOAWAY', ms);
  }

  closed(ms) {
    return within(this.#closed.promise, 'the connection ends', ms);
  }
}
