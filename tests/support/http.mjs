// HTTP requests: well-formed ones through node:http, all others byte by byte.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import nodeTls from 'node:tls';
import { deferred, within } from './wait.mjs';

/** What node asks with; where it is https, any certificate will do. */
export function send(scheme, options, onResponse) {
  return scheme === 'https'
    ? https.request({ agent: false, rejectUnauthorized: false, ...options }, onResponse)
    : http.request({ agent: false, ...options }, onResponse);
}

/**
 * One request on a connection of its own, from localAddress if that is given; over TLS with tls,
 * options of node:tls. Returns { status, headers, text, json() }.
 */
export function request({ tls, scheme = tls ? 'https' : 'http', host = '127.0.0.1', port,
  method = 'GET', path = '/', headers = {}, body, setHost = true, localAddress }, ms) {
  const answer = new Promise((resolve, reject) => {
    const req = send(
      scheme, { host, port, method, path, headers, setHost, localAddress, ...tls }, (res) => {
        const chunks = [];
        res.on('data', (chunk) => chunks.push(chunk));
        res.on('error', reject);
        res.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: res.statusCode, headers: res.headers, text, json: () => JSON.parse(text) });
        });
      });
    req.on('error', reject);
    req.end(body);
  });
  return within(answer, `${method} ${path} is answered`, ms);
}

/** A TCP or TLS connection that sends exactly what it is told and reads HTTP responses. */
export class RawConnection {
  #socket;
  #bytes = Buffer.alloc(0);
  #arrived = deferred();
  #isClosed = false;
  #closed = deferred();

  static open(port, { readsSlowly = false, tls: tlsOptions } = {}) {
    const connection = new RawConnection();
    const opened = new Promise((resolve, reject) => {
      connection.#socket = (tlsOptions ? nodeTls : net).connect(
        { host: '127.0.0.1', port, noDelay: true, ...tlsOptions }, () => {
          resolve(connection);
        });
      connection.#socket.once('error', reject);
    });
    connection.#listen(readsSlowly);
    return within(opened, `a connection to port ${port}`);
  }

  /** The same on a stream that is there already. */
  static over(stream) {
    const connection = new RawConnection();
    connection.#socket = stream;
    connection.#listen(false);
    return connection;
  }

  #listen(readsSlowly) {
    if (readsSlowly) this.#socket.pause();
    else this.#socket.on('data', (chunk) => this.#take(chunk));
    const over = (error) => {
      this.#isClosed = true;
      this.#closed.resolve(error?.code ?? 'end');
      this.#wake();
    };
    this.#socket.on('error', over);
    this.#socket.on('end', () => over());
    this.#socket.on('close', () => over());
  }

  #take(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    this.#wake();
  }

  #wake() {
    this.#arrived.resolve();
    this.#arrived = deferred();
  }

  get socket() {
    return this.#socket;
  }

  /** Begins to read after all (see readsSlowly). */
  read() {
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.resume();
  }

  write(bytes) {
    this.#socket.write(bytes);
    return this;
  }

  /** Ends our half; the peer may still answer. */
  endWriting() {
    this.#socket.end();
    return this;
  }

  close() {
    this.#socket.destroy();
  }

  /** Resolves, with 'end' or an error code, when the peer has closed. */
  closed(ms) {
    return within(this.#closed.promise, 'the server closes the connection', ms);
  }

  /** Takes n bytes, or up to and including the text given instead of n. */
  async take(wanted, ms) {
    const end = () => {
      if (typeof wanted === 'number') return this.#bytes.length >= wanted ? wanted : -1;
      const at = this.#bytes.indexOf(wanted);
      return at < 0 ? -1 : at + wanted.length;
    };
    while (end() < 0) {
      if (this.#isClosed) {
        throw new Error(`closed before ${JSON.stringify(wanted)}; got ${JSON.stringify(
          this.#bytes.toString('latin1').slice(0, 200))}`);
      }
      await within(this.#arrived.promise, `bytes up to ${JSON.stringify(wanted)}`, ms);
    }
    const n = end();
    const taken = this.#bytes.subarray(0, n);
    this.#bytes = this.#bytes.subarray(n);
    return taken;
  }

  /** The head of the next response: { status, headers }. */
  async head(ms) {
    const lines = (await this.take('\r\n\r\n', ms)).toString('latin1').trimEnd().split('\r\n');
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(lines[0]);
    if (!status) throw new Error(`not a status line: ${JSON.stringify(lines[0])}`);
    const headers = {};
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    return { status: Number(status[1]), headers };
  }

  /** The next response with its body: { status, headers, text }. */
  async response(ms) {
    const { status, headers } = await this.head(ms);
    let text = '';
    if (headers['content-length'] !== undefined) {
      text = (await this.take(Number(headers['content-length']), ms)).toString('utf8');
    } else if (headers['transfer-encoding'] === 'chunked') {
      for (let size = -1; size !== 0;) {
        size = parseInt((await this.take('\r\n', ms)).toString('latin1'), 16);
        text += (await this.take(size + 2, ms)).subarray(0, size).toString('utf8');
      }
    }
    return { status, headers, text };
  }
}

/** Sends bytes on a fresh connection and returns the one response. */
export async function exchange(port, bytes, ms) {
  const connection = await RawConnection.open(port);
  try {
    return await connection.write(bytes).response(ms);
  } finally {
    connection.close();
  }
}
