// The backend E of the API gateway's cases, and the definitions that lead to it.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { FIXTURE } from './events.mjs';
import { Gateway, testGateway } from './gateway.mjs';
import { HttpService } from './http-service.mjs';
import { deferred, within } from './wait.mjs';

/** Answers 200 with what it received, as JSON. */
export function echo({ method, path, headers, body }, response) {
  const [, pathname, query = ''] = /^([^?]*)\??(.*)$/s.exec(path);
  response.writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ method, path: pathname, query, headers, body }));
}

/** A backend for one test. Another answer than the echo may be given. */
export async function echoBackend(t, answer = echo) {
  const backend = await new HttpService(answer).listen();
  t.after(() => backend.close());
  return backend;
}

/** A backend for one test, and a gateway with what define makes of its port: { backend, gateway }. */
export async function testApis(t, define, { answer = echo, env = {} } = {}) {
  const backend = await echoBackend(t, answer);
  const gateway = await testGateway(t, { env: environment(define(backend.port), env) });
  return { backend, gateway };
}

/** The answer is the echo of a request that was like this. Returns all of what was echoed. */
export function assertEcho(response, wanted = {}) {
  assert.equal(response.status, 200, response.text);
  const seen = JSON.parse(response.text);
  for (const [name, value] of Object.entries(wanted)) assert.deepEqual(seen[name], value, name);
  return seen;
}

/** No endpoint takes the request. */
export function assertNotFound({ status, headers, text }) {
  assert.deepEqual([status, text], [404, '{"message":"Not Found"}']);
  assert.equal(headers['content-type'], 'application/json; charset=utf-8');
}

/** The service cannot be had. */
export function assertBadGateway({ status, headers, text }) {
  assert.deepEqual([status, text], [502, 'Bad gateway.']);
  assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
}

/** A definition; endpoints: [id, method, path_regex, more] each. */
export const api = (id, port, endpoints, more = {}) => ({
  id, name: id,
  version_data: { default: {
    endpoints: endpoints.map(([endpoint, method, path_regex, rest = {}]) =>
      ({ id: endpoint, method, path_regex, ...rest })) } },
  proxy: { target_url: 'http://127.0.0.1', port },
  ...more,
});

export const shop = (port) => api('shop', port, [
  ['list', 'GET', '/items'],
  ['get', 'GET', '/items/([^/]+)'],
  ['add', 'POST', '/items'],
  ['put', 'PUT', '/items/([^/]+)'],
  ['patch', 'PATCH', '/items/([^/]+)'],
  ['delete', 'DELETE', '/items/([^/]+)'],
  ['options', 'OPTIONS', '/items'],
  ['old', 'GET', '/old/([^/]+)/part/([^/]+)', { path_replacement: '/new/\\2/\\1' }],
]);

export const safe = (port) => api('safe', port, [
  ['private', 'GET', '/private', { secured: true }],
  ['open', 'GET', '/open'],
], { auth_type: 'jwt', auth: {
  use_header: true, header_name: 'Authorization', use_query: true, query_name: 'token' } });

export const bus = (port, topic = 't1') => api('bus', port, [
  ['ev', 'POST', '/ev', { target: 'kafka', topic }],
  ['ev-options', 'OPTIONS', '/ev', { target: 'kafka', topic }],
  ['ask', 'POST', '/ask', { target: 'kafka', topic, response_from: 'kafka' }],
  ['async', 'GET', '/async', { response_from: 'http_async' }],
  ['viak', 'GET', '/viak', { response_from: 'kafka' }],
]);

export const environment = (definitions, more = {}) =>
  ({ ...FIXTURE, PROXY_CONFIG_FILE: JSON.stringify(definitions), ...more });

/**
 * A backend and a gateway that leads to it, which the tests of the enclosing suite share:
 * { backend, gateway } once they run. define: (port) => definitions.
 */
export function suiteApis(define, more = {}) {
  const shared = { backend: null, gateway: null };
  before(async () => {
    shared.backend = await new HttpService(echo).listen();
    shared.gateway = await Gateway.start({ env: environment(define(shared.backend.port), more) });
  });
  after(async () => {
    await shared.gateway?.stop();
    await shared.backend?.close();
  });
  return shared;
}

/** Sets A and B of api-gateway.md 10.1, as fields of an answer. */
export const SET_A = {
  'access-control-allow-origin': '*', 'access-control-allow-methods': '*',
  'access-control-allow-headers': 'content-type',
};
export const SET_B = { ...SET_A, 'access-control-allow-headers': 'content-type,authorization' };

/** Those fields of an answer that belong to the sets. */
export const corsOf = (headers) => Object.fromEntries(Object.keys(SET_A)
  .filter((name) => name in headers).map((name) => [name, headers[name]]));

/**
 * A request under way through the gateway of { backend, gateway }, which the backend has got and not
 * answered yet: { id, client, answer(status, headers, body) }. id is its correlation id, client the
 * promise of what the client gets.
 */
export async function ask({ backend, gateway }, path, options = {}) {
  const got = deferred();
  backend.answer = (request, response) => got.resolve({ request, response });
  const client = gateway.request({ path, ...options }, 15000);
  client.catch(() => {}); // awaited by the test
  const { request, response } = await within(got.promise, `the backend gets ${path}`);
  const id = new URL(request.path, 'http://e').searchParams.get('correlation');
  const answer = (status, headers = {}, body = '') => response.writeHead(status, headers).end(body);
  return { id, client, answer };
}

/** Answers a request that waits, as a service does by HTTP. Returns what the service is told. */
export const respond = (gateway, id, code, body = '', headers = {}) =>
  gateway.internal('/v3/responses', { method: 'POST', body, headers: {
    ...(id !== undefined && { 'rig-correlation': id }),
    ...(code !== undefined && { 'rig-response-code': String(code) }), ...headers } });

export const SENT = 'message sent to correlated reverse proxy request';

/** Another text of the same length. */
export const altered = (id) => `${id.slice(0, 9)}${id[9] === 'A' ? 'B' : 'A'}${id.slice(10)}`;
