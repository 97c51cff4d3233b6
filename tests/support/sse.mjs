// Clients of the event stream: one that shows every byte, and the EventSource of browsers.
import assert from 'node:assert/strict';
import { V1 } from './gateway.mjs';
import { query } from './events.mjs';
import { send } from './http.mjs';
import { load } from './packages.mjs';
import { Inbox, deferred, within } from './wait.mjs';

const { EventSource } = load('eventsource');

/** One frame, taken apart: its lines, and what a browser would make of them. */
export function parseFrame(text) {
  const lines = text.split('\n');
  const values = (name) => lines.filter((line) => line.startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).replace(/^ /, ''));
  return {
    text,
    lines,
    event: values('event')[0],
    data: values('data').length > 0 ? values('data').join('\n') : undefined,
    comments: lines.filter((line) => line.startsWith(':')),
  };
}

export class SseStream {
  gateway;
  token;
  status;
  headers;
  text = '';                      // all that was received
  frames = new Inbox();           // with data
  comments = [];
  create;                         // the frame of the first event
  set;                            // the frame of the second
  #req;
  #rest = '';
  #ended = deferred();

  /**
   * Opens a stream that must be accepted, and reads its first two events. parameters are those of
   * the query; a value that is not a string is sent as JSON. options go to node's request.
   */
  static async open(gateway, parameters = {}, headers = {}, options = {}) {
    const stream = new SseStream();
    stream.gateway = gateway;
    await stream.#connect(`${V1}/connection/sse${query(parameters)}`, headers, options);
    assert.equal(stream.status, 200, 'the stream opens');
    stream.create = await stream.frames.next('the first event');
    assert.equal(stream.create.event, 'rig.connection.create');
    stream.token = JSON.parse(stream.create.data).data.connection_token;
    stream.set = await stream.frames.next('the second event');
    assert.equal(stream.set.event, 'rig.subscriptions_set');
    return stream;
  }

  #connect(path, headers, options) {
    const answered = new Promise((resolve, reject) => {
      const { scheme, port, tls } = this.gateway;
      this.#req = send(
        scheme, { host: '127.0.0.1', port, path, headers, ...tls, ...options }, (res) => {
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
      const frame = parseFrame(this.#rest.slice(0, at));
      this.#rest = this.#rest.slice(at + 2);
      this.comments.push(...frame.comments);
      if (frame.data !== undefined) this.frames.put(frame);
    }
  }

  /** The next event, which must be of this type if one is given. */
  async next(type, ms) {
    return JSON.parse((await this.nextFrame(type, ms)).data);
  }

  async nextFrame(type, ms) {
    const frame = await this.frames.next(`an event ${type ?? ''}`, ms);
    if (type !== undefined) assert.equal(frame.event, type);
    return frame;
  }

  /** 'end' for a response that ended in good order, else the error's code. */
  ended(ms) {
    return within(this.#ended.promise, 'the stream ends', ms);
  }

  close() {
    this.#req.destroy();
  }
}

/** Opens an EventSource and collects events of the types: { source, events, close() }. */
export async function openEventSource(gateway, parameters, types) {
  const source = new EventSource(gateway.url(`${V1}/connection/sse${query(parameters)}`));
  const events = new Inbox();
  for (const type of ['rig.connection.create', 'rig.subscriptions_set', ...types]) {
    source.addEventListener(type, (message) => events.put(message));
  }
  await within(new Promise((resolve, reject) => {
    source.addEventListener('open', resolve);
    source.addEventListener('error', (error) => reject(new Error(error.message)));
  }), 'the EventSource opens');
  return { source, events, close: () => source.close() };
}
