// The routes of the specification's proxy cases, and a service behind them.
import { after, before } from 'node:test';
import { FIXTURE } from './events.mjs';
import { Gateway } from './gateway.mjs';
import { HttpService } from './http-service.mjs';

/** Their hosts are in UP_HOST, which nobody sets: localhost. */
export const routesTo = (port) => [
  ['POST', '/v1/login', false],
  ['GET', '/v1/users/{id}', true],
  ['PUT', '/v1/users/{id}', true],
  ['DELETE', '/v1/users/{id}', true],
  ['GET', '/v1/items', true],
  ['POST', 'ts/notes', true],
  ['PATCH', '/v1/opt', false],
  ['GET', '/v1/open/{id}', false],
].map(([method, path, auth]) => ({ host: 'UP_HOST', port, path, method, auth }));

export const environment = (port, more = {}) =>
  ({ ...FIXTURE, PROXY_CONFIG_FILE: JSON.stringify(routesTo(port)), ...more });

/** Answers 200 with what was asked, as JSON. */
export const echo = ({ method, path, headers, body }, response) =>
  response.writeHead(200, { 'content-type': 'application/json', 'x-service': 'echo' })
    .end(JSON.stringify({ method, path, headers, body }));

/**
 * A service and a gateway that leads to it, which the tests of the enclosing suite share:
 * { service, gateway } once they run. The service echoes until a test says otherwise.
 */
export function suiteProxy(more = {}) {
  const shared = { service: null, gateway: null };
  before(async () => {
    shared.service = await new HttpService(echo).listen();
    shared.gateway = await Gateway.start({ env: environment(shared.service.port, more) });
  });
  after(async () => {
    await shared.gateway?.stop();
    await shared.service?.close();
  });
  return shared;
}

/** A service for one test that answers like this, and a gateway that leads to it. */
export async function testProxy(t, answer, more = {}) {
  const service = await new HttpService(answer).listen();
  t.after(() => service.close());
  const gateway = await Gateway.start({ env: environment(service.port, more) });
  t.after(() => gateway.stop());
  return { service, gateway };
}
