// Clients whose requests and answers are streams, the same for both versions of HTTP.
import http2 from 'node:http2';
import { send } from './http.mjs';

/** The text of what is left of a stream. */
export async function textOf(stream) {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}

/** Requests on connections of their own, over TLS if the gateway is one overTls(). */
export class Http1Client {
  #gateway;
  #open = new Set();

  constructor(gateway) {
    this.#gateway = gateway;
  }

  /**
   * Begins a request: { request, answer }, a stream to write to (a GET is ended) and the promise of
   * { status, headers, body, wholeness() }. wholeness() is true once body has ended as it should.
   */
  ask(method, path, headers = {}) {
    const { scheme, port, tls } = this.#gateway;
    const request = send(scheme, { port, method, path, headers, ...tls });
    const answer = new Promise((resolve, reject) => {
      request.on('error', reject);
      request.on('response', (body) => resolve({ status: body.statusCode, headers: body.headers,
        body, wholeness: () => body.complete }));
    });
    answer.catch(() => {});
    if (method === 'GET') request.end();
    this.#open.add(request);
    return { request, answer };
  }

  /** Ends it with all its requests. */
  close() {
    for (const request of this.#open) request.destroy();
  }
}

/** The same with streams of one connection. */
export class Http2Client {
  #session;

  constructor(gateway, settings = {}) {
    this.#session = http2.connect(gateway.url(''),
      { ...gateway.tls, ALPNProtocols: ['h2'], settings });
    this.#session.on('error', () => {});
    this.#session.setMaxListeners(0);
  }

  /** trailers are sent behind the body. */
  ask(method, path, headers = {}, trailers = undefined) {
    const request = this.#session.request({ ':method': method, ':path': path, ...headers },
      { waitForTrailers: trailers !== undefined });
    request.on('wantTrailers', () => request.sendTrailers(trailers));
    const answer = new Promise((resolve, reject) => {
      request.on('error', reject);
      request.on('close', () => reject(new Error(`reset (${request.rstCode})`)));
      request.on('response', (head) => resolve({ status: head[':status'], headers: head,
        body: request, wholeness: () => request.rstCode === http2.constants.NGHTTP2_NO_ERROR }));
    });
    answer.catch(() => {});
    if (method === 'GET') request.end();
    return { request, answer };
  }

  close() {
    this.#session.destroy();
  }
}
