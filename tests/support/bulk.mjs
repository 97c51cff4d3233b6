// Bodies of any size, made and checked without keeping them, and a service for them.
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import http from 'node:http';
import { deferred } from './wait.mjs';

// A prime, so that no buffer's size divides it: what is lost, doubled or exchanged is seen.
const LENGTH = 1_048_573;
const once = randomBytes(LENGTH);
const twice = Buffer.concat([once, once]);
const PIECE = 256 * 1024;

export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

/** At most LENGTH bytes of the body from this position on; borrowed, and the same every time. */
const at = (position, n) => twice.subarray(position % LENGTH, position % LENGTH + n);

/** Compares what arrives with what was sent: { bytes, sound }. Those in front of the body, and those
 *  behind its end where that is given, are kept in other. */
export class Check {
  bytes = 0;                      // of the body
  sound = true;
  other = '';
  #before;
  #end;

  constructor({ before = 0, end = Infinity } = {}) {
    this.#before = before;
    this.#end = end;
  }

  take(chunk) {
    let rest = chunk;
    if (this.#before > 0) {
      const n = Math.min(this.#before, rest.length);
      this.other += rest.toString('latin1', 0, n);
      this.#before -= n;
      rest = rest.subarray(n);
    }
    while (rest.length > 0 && this.bytes < this.#end) {
      const n = Math.min(rest.length, LENGTH, this.#end - this.bytes);
      this.sound &&= rest.compare(at(this.bytes, n), 0, n, 0, n) === 0;
      this.bytes += n;
      rest = rest.subarray(n);
    }
    if (rest.length > 0) this.other += rest.toString('latin1');
  }
}

/** When the stream takes more; an error if it has ended instead. */
export function drained(stream) {
  const { promise, resolve, reject } = deferred();
  const gone = (error) => reject(error ?? new Error('closed'));
  const names = { drain: resolve, close: () => gone(), error: gone };
  for (const [name, fn] of Object.entries(names)) stream.once(name, fn);
  if (stream.destroyed) gone(stream.errored);
  return promise.finally(() => {
    for (const [name, fn] of Object.entries(names)) stream.off(name, fn);
  });
}

/** Writes n bytes of the body, as fast as the stream takes them; told(bytes) of each piece. */
export async function pour(stream, n, told = () => {}) {
  for (let done = 0; done < n;) {
    const piece = at(done, Math.min(PIECE, n - done));
    const isTaken = stream.write(piece);
    done += piece.length;
    if (!isTaken) await drained(stream);
    told(piece.length);
  }
}

/**
 * A service that checks what it gets at POST /up, which it answers with { bytes, sound, other,
 * framing, trailers, headers }, and gives ?n= bytes at GET /down, with &chunked without saying so. The
 * fields x-before and x-end of a request are those of Check. others: { path: (req, res) => … }.
 */
export class BulkService {
  received = 0;                   // bytes of bodies that were read
  sent = 0;                       // bytes of bodies that the gateway has taken
  asked = 0;
  gone = 0;                       // requests that ended without being answered
  finished = 0;
  isHeld = false;                 // reads no body
  #held = [];
  #others;
  #server;

  constructor(others = {}) {
    this.#others = others;
  }

  async listen() {
    this.#server = http.createServer((req, res) => {
      this.asked++;
      req.on('error', () => {});
      res.on('error', () => {});
      res.on('close', () => { this[res.writableFinished ? 'finished' : 'gone']++; });
      const other = this.#others[req.url];
      if (other) other(req, res);
      else if (req.method === 'GET') this.#give(req, res).catch(() => {});
      else if (this.isHeld) this.#held.push(() => this.#take(req, res));
      else this.#take(req, res);
    });
    this.#server.requestTimeout = 0;
    await new Promise((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    this.port = this.#server.address().port;
    return this;
  }

  /** From now on bodies are read, those that wait included. */
  release() {
    this.isHeld = false;
    for (const take of this.#held.splice(0)) take();
  }

  #take(req, res) {
    const numberOf = (name) => (name in req.headers ? Number(req.headers[name]) : undefined);
    const check = new Check({ before: numberOf('x-before'), end: numberOf('x-end') });
    req.on('data', (chunk) => {
      this.received += chunk.length;
      check.take(chunk);
    });
    req.on('end', () => res.end(JSON.stringify({
      ...check, trailers: req.trailers, headers: req.headers,
      framing: req.headers['content-length'] ?? req.headers['transfer-encoding'] })));
  }

  async #give(req, res) {
    const query = new URL(req.url, 'http://a').searchParams;
    const n = Number(query.get('n'));
    res.writeHead(200, query.has('chunked') ? {} : { 'content-length': n });
    await pour(res, n, (bytes) => { this.sent += bytes; });
    res.end();
  }

  async close() {
    const closed = new Promise((resolve) => { this.#server.close(resolve); });
    this.#server.closeAllConnections();
    await closed;
  }
}

/** Writes a file with the first n bytes of the body. */
export async function writeBody(path, n) {
  const file = createWriteStream(path);
  await pour(file, n);
  await new Promise((resolve, reject) => { file.on('error', reject).end(resolve); });
}

/** The definition that leads to it; what is other is below /other. */
export const bulkApi = (port, proxy = {}) => ({
  id: 'bulk', name: 'bulk',
  version_data: { default: { endpoints: [
    { id: 'up', method: 'POST', path_regex: '/up' },
    { id: 'down', method: 'GET', path_regex: '/down' },
    { id: 'get', method: 'GET', path_regex: '/other/.*' },
    { id: 'post', method: 'POST', path_regex: '/other/.*' },
  ] } },
  proxy: { target_url: '127.0.0.1', port, ...proxy },
});

/** Variables of a gateway for it. */
export const bulkVariables = (port, more = {}, proxy = {}) => ({
  PROXY_CONFIG_FILE: JSON.stringify([bulkApi(port, proxy)]), PROXY_BODY_BYTES: '0', ...more });
