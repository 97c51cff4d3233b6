// Requests one after the other on connections that are kept.
import http from 'node:http';
import { within } from './wait.mjs';

export class KeepAlive {
  /** Connections that were opened so far. */
  opened = 0;
  #agent;
  #port;

  /** To port, on at most this many connections at a time. */
  constructor(port, connections) {
    this.#port = port;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections });
    const create = this.#agent.createConnection.bind(this.#agent);
    this.#agent.createConnection = (...args) => {
      this.opened++;
      return create(...args);
    };
  }

  /** { status, headers, text }; body is text, or what JSON is made of. */
  ask(method, path, body, headers = {}, ms) {
    const bytes = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const type = body === undefined ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) };
    return within(new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: this.#port, method, path,
        agent: this.#agent, headers: { ...type, ...headers } }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => { text += chunk; });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      });
      request.on('error', reject);
      request.end(bytes);
    }), `${method} ${path} is answered`, ms);
  }

  close() {
    this.#agent.destroy();
  }
}
