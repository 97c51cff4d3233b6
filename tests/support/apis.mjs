// API definitions as tests write them, and the management API.
import assert from 'node:assert/strict';

/** A valid definition; more replaces or adds members at the top. */
export const definition = (id, more = {}) => ({
  id, name: 'n', version_data: { default: { endpoints: [] } },
  proxy: { target_url: 'localhost', port: 3000 }, ...more,
});

/** The same with these endpoints. */
export const withEndpoints = (id, endpoints, more = {}) =>
  definition(id, { version_data: { default: { endpoints } }, ...more });

/** The management API of a gateway, which ask() gives when it runs. */
export class Apis {
  #ask;

  constructor(ask, version = 'v3') {
    this.#ask = ask;
    this.path = `/${version}/apis`;
  }

  ask(method, path, body, headers = {}) {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    return this.#ask().internal(path, {
      method, headers: { ...type, ...headers },
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  list = () => this.ask('GET', this.path);
  get = (id) => this.ask('GET', `${this.path}/${id}`);
  post = (body, headers) => this.ask('POST', this.path, body, headers);
  put = (id, body, headers) => this.ask('PUT', `${this.path}/${id}`, body, headers);
  delete = (id) => this.ask('DELETE', `${this.path}/${id}`);

  /** The definition, which must be there. */
  async shown(id) {
    const { status, text, json } = await this.get(id);
    assert.equal(status, 200, text);
    return json();
  }
}
