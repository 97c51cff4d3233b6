// A service that the gateway asks: an HTTP server which records every request and answers as told.
import http from 'node:http';
import https from 'node:https';
import { Inbox } from './wait.mjs';

export class HttpService {
  /** { method, path, headers, rawHeaders, body, bytes } of everything that was asked, and the same
   *  one by one; bytes are those of the body. */
  requests = [];
  asked = new Inbox();
  /** How to answer: (request, response) => void, the response being node's. */
  answer;
  port;
  #server;
  #tls;

  /** tls: options of node:tls, for a service that is spoken to with it. */
  constructor(answer, tls = null) {
    this.answer = answer;
    this.#tls = tls;
  }

  async listen(port = 0) {
    const take = (req, res) => this.#take(req, res);
    this.#server = this.#tls ? https.createServer(this.#tls, take) : http.createServer(take);
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.port = this.#server.address().port;
    return this;
  }

  async #take(req, res) {
    const chunks = [];
    req.on('error', () => {});
    res.on('error', () => {});
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const bytes = Buffer.concat(chunks);
      const request = { method: req.method, path: req.url, headers: req.headers,
        rawHeaders: req.rawHeaders, body: bytes.toString('utf8'), bytes };
      this.requests.push(request);
      this.asked.put(request);
      this.answer(request, res);
    });
  }

  url(path) {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Ends it with all its connections; the port refuses from then on. */
  async close() {
    if (!this.#server?.listening) return;
    const closed = new Promise((resolve) => { this.#server.close(resolve); });
    this.#server.closeAllConnections();
    await closed;
  }
}
