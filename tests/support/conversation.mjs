// What happens when bytes are sent through a proxy: to its end, without waiting for a time.
import net from 'node:net';
import { RawConnection } from './http.mjs';
import { readResponses } from './strict-http.mjs';

let probes = 0;

/** A client's connection whose bytes are kept. */
class Client {
  text = '';
  hasEnded = false;
  #socket;

  constructor(port, bytes) {
    this.#socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.on('connect', () => this.write(bytes));
    this.#socket.on('data', (data) => { this.text += data.toString('latin1'); });
    this.#socket.on('error', () => {});
    this.#socket.on('end', () => { this.hasEnded = true; });
    this.#socket.on('close', () => { this.hasEnded = true; });
  }

  write(bytes) {
    this.#socket.write(Buffer.from(bytes, 'latin1'));
  }

  endWriting() {
    this.#socket.end();
  }

  destroy() {
    this.#socket.destroy();
  }
}

/**
 * A proxy that handles its connections in one thread, and the RawBackend behind it. Whether it still
 * has something to do is asked with a request of another client: once several of these have come
 * back, and nothing else has moved meanwhile, it waits for more. The answer to each must be its own.
 */
export class Subject {
  name;
  isOther;
  port;
  backend;
  #prober;

  constructor(name, port, backend) {
    this.name = name;
    this.isOther = name !== 'rgate';
    this.port = port;
    this.backend = backend;
  }

  /**
   * Asks as another client. Of the gateway it is an error if the answer is not that to this request;
   * others may have got into disorder.
   */
  async probe() {
    const target = `/probe-${++probes}`;
    try {
      const number = await this.#ask(target);
      const asked = this.backend.requests.filter((request) => request.target === target);
      if (asked.length !== 1 || asked[0].number !== number) {
        throw new Error(`${this.name}: the answer to another client's request is not its own: ${
          number} instead of ${asked.map((request) => request.number)}`);
      }
    } catch (error) {
      if (!this.isOther) throw error;
      this.close();
    } finally {
      const isOf = (request) => request.target === target;
      this.backend.requests = this.backend.requests.filter((request) => !isOf(request));
      for (const connection of this.backend.connections) {
        connection.requests = connection.requests.filter((request) => !isOf(request));
      }
    }
  }

  /** The number that the answer has. */
  async #ask(target) {
    this.#prober ??= await RawConnection.open(this.port);
    this.#prober.write(`GET ${target} HTTP/1.1\r\nHost: probe\r\n\r\n`);
    const { status, headers } = await this.#prober.response();
    if (status !== 200) throw new Error(`${this.name}: ${target} is answered with ${status}`);
    return Number(headers['x-number']);
  }

  /** Once nothing moves any more. */
  async #settled(client) {
    for (let quiet = 0; quiet < 3;) {
      const before = client.text.length + this.backend.requests.length;
      const connections = this.backend.connections.length;
      await this.probe();
      if (client.hasEnded) return;
      const isQuiet = before === client.text.length + this.backend.requests.length
        && this.backend.connections.length <= connections + (quiet === 0);
      quiet = isQuiet ? quiet + 1 : 0;
    }
  }

  /**
   * Sends the bytes, with a pause behind the first splitAt where that is given; where the proxy waits for more, the client says that it was all. Returns
   * { text, waited, hasEnded, requests, connections }: what the client got, whether that was so, and
   * what the backend has seen of it.
   */
  async converse(bytes, splitAt = 0) {
    this.backend.forget();
    const client = new Client(this.port, splitAt > 0 ? bytes.slice(0, splitAt) : bytes);
    try {
      if (splitAt > 0) {
        await this.#settled(client);
        client.write(bytes.slice(splitAt));
      }
      await this.#settled(client);
      const waited = !client.hasEnded;
      if (waited) {
        client.endWriting();
        await this.#settled(client);
      }
      const { text, hasEnded } = client;
      await this.probe();
      const { requests, connections } = this.backend;
      return { text, waited, hasEnded, requests: [...requests], connections: [...connections] };
    } finally {
      client.destroy();
    }
  }

  close() {
    this.#prober?.close();
    this.#prober = undefined;
  }
}

/** Reads what a client got; all requests were of this method. */
export const answersOf = ({ text, hasEnded }, method = 'GET') =>
  readResponses(text, Array(50).fill(method), hasEnded);

