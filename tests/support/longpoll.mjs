// A client of long polling that keeps cookies as a browser does.
import assert from 'node:assert/strict';
import { V1 } from './gateway.mjs';
import { query } from './events.mjs';

export class LongPollClient {
  gateway;
  cookies = new Map();            // name to value as received
  #path;
  #headers;
  #options;
  #waiting = [];

  /** Makes a client; nothing is sent yet. options go to node's request. */
  constructor(gateway, parameters = {}, headers = {}, options = {}) {
    this.gateway = gateway;
    this.#headers = headers;
    this.#options = options;
    this.#path = `${V1}/connection/longpolling${query(parameters)}`;
  }

  /** Makes the connection and takes the first two events. */
  static async open(gateway, parameters, headers, options) {
    const client = new LongPollClient(gateway, parameters, headers, options);
    const opened = await client.poll();
    assert.equal(opened.text, '"ok"');
    client.create = await client.next('rig.connection.create');
    client.set = await client.next('rig.subscriptions_set');
    client.token = client.create.data.connection_token;
    return client;
  }

  /** One request with the cookies, or with those given instead. Keeps the cookies that come back. */
  async poll(cookies = this.cookies, ms = 10000) {
    const own = this.#headers.cookie === undefined ? [] : [this.#headers.cookie];
    const cookie = [...own, ...[...cookies].map(([name, value]) => `${name}=${value}`)].join('; ');
    const headers = { ...this.#headers, ...(cookie !== '' && { cookie }) };
    const response = await this.gateway.request(
      { path: this.#path, headers, ...this.#options }, ms);
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    return response;
  }

  /** The next event, polling as often as it takes. */
  async next(type, ms) {
    while (this.#waiting.length === 0) {
      const response = await this.poll(this.cookies, ms);
      assert.equal(response.status, 200, response.text);
      this.#waiting.push(...response.json().events);
    }
    const event = this.#waiting.shift();
    if (type !== undefined) assert.equal(event.type, type);
    return event;
  }

  close() {}
}
