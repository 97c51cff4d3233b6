// A service that sees bytes: it keeps what comes on each connection as it is, and answers with a
// numbered answer what it can read as a complete request, or plays the bytes of a script.
import net from 'node:net';
import { readRequests } from './strict-http.mjs';

/** What each request gets that has no script: its number, as a field and as the body. */
export function numbered(number, method) {
  const body = method === 'HEAD' ? '' : String(number);
  return `HTTP/1.1 200 OK\r\nX-Number: ${number}\r\nContent-Length: ${String(number).length}\r\n\r\n${body}`;
}

export class RawBackend {
  /** { text, requests: [{ number, method, target, ... }], error, partial, hasEnded } each. */
  connections = [];
  /** All requests that were complete, in the order of their ends, with their numbers. */
  requests = [];
  /** Bytes that came so far. */
  received = 0;
  port;
  /**
   * How to answer: (request, socket, connection) => void, or undefined for a numbered answer.
   * A request may also be answered before it is complete: see onHead.
   */
  script;
  /** (head, socket, connection): called once for each request whose head is there and whose body
   *  is not. */
  onHead;
  #server;
  #sockets = new Set();
  #number = 0;

  async listen(port = 0) {
    this.#server = net.createServer({ noDelay: true }, (socket) => this.#take(socket));
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.port = this.#server.address().port;
    return this;
  }

  #take(socket) {
    const connection = {
      text: '', used: 0, requests: [], error: null, partial: null, hasEnded: false, toldHead: -1 };
    this.#sockets.add(socket);
    this.connections.push(connection);
    socket.on('data', (bytes) => {
      this.received += bytes.length;
      connection.text += bytes.toString('latin1');
      this.#read(connection, socket);
    });
    socket.on('error', () => {});
    socket.on('end', () => { connection.hasEnded = true; });
    socket.on('close', () => {
      connection.hasEnded = true;
      this.#sockets.delete(socket);
    });
  }

  #read(connection, socket) {
    if (connection.error) return;
    const { messages, error, partial, used } = readRequests(connection.text.slice(connection.used));
    connection.used += used;
    connection.error = error;
    connection.partial = partial;
    for (const request of messages) {
      request.number = ++this.#number;
      connection.requests.push(request);
      this.requests.push(request);
      if (this.script) this.script(request, socket, connection);
      else socket.write(numbered(request.number, request.method));
    }
    if (partial?.head && connection.toldHead !== connection.requests.length) {
      connection.toldHead = connection.requests.length;
      this.onHead?.(partial, socket, connection);
    }
  }

  /** Forgets what came, but not what connections are in the middle of. */
  forget() {
    this.connections = this.connections.filter((connection) => !connection.hasEnded);
    for (const connection of this.connections) {
      connection.requests = [];
      connection.toldHead = -1;
      connection.text = connection.text.slice(connection.used);
      connection.used = 0;
    }
    this.requests = [];
  }

  /** Ends it with all its connections; the port refuses from then on. */
  async close() {
    if (!this.#server?.listening) return;
    const closed = new Promise((resolve) => { this.#server.close(resolve); });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export async function rawBackend(t, script) {
  const backend = await new RawBackend().listen();
  backend.script = script;
  t.after(() => backend.close());
  return backend;
}
