// Services that are spoken to with TLS, and those that have several addresses.
//
// - A service whose certificate is not to be trusted for its name gets no request.
// - An address that fails is left out, and no client learns of it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { api, assertBadGateway, assertEcho, echo, echoBackend, environment }
  from '../support/echo-backend.mjs';
import { suiteCertificate } from '../support/certificates.mjs';
import { Gateway, testGateway } from '../support/gateway.mjs';
import { HttpService } from '../support/http-service.mjs';
import { freePorts } from '../support/ports.mjs';

describe('TLS to services', () => {
  const server = suiteCertificate();
  const other = suiteCertificate();
  const names = [];
  let plain;
  let mutual;
  let gateway;

  /** One definition for each of these ways to speak to a service, each with the path of its name. */
  const define = () => {
    const ca = { ca_file: server.made.cert };
    const own = { cert_file: other.made.cert, key_file: other.made.key };
    const url = 'https://127.0.0.1';
    return Object.entries({
      trusted: [plain, url, ca],
      implied: [plain, '127.0.0.1', ca],
      named: [plain, url, { ...ca, server_name: 'localhost' }],
      misnamed: [plain, url, { ...ca, server_name: 'wrong.example' }],
      stranger: [plain, url, { ca_file: other.made.cert }],
      system: [plain, url, undefined],
      unverified: [plain, url, { verify: false }],
      known: [mutual, url, { ...ca, ...own }],
      unknown: [mutual, url, ca],
      clear: [plain, 'http://127.0.0.1', undefined],
    }).map(([id, [service, target_url, tls]]) => ({
      ...api(id, 0, [['x', 'GET', `/${id}`]]),
      proxy: { target_url, port: service.port, ...(tls && { tls }) },
    }));
  };

  before(async () => {
    const key = await readFile(server.made.key, 'utf8');
    const identity = { cert: server.made.pem, key,
      SNICallback: (name, done) => {
        names.push(name);
        done(null);
      } };
    plain = await new HttpService(echo, identity).listen();
    mutual = await new HttpService(echo,
      { ...identity, requestCert: true, rejectUnauthorized: true, ca: other.made.pem }).listen();
    gateway = await Gateway.start({ env: environment(define()) });
  });
  after(async () => {
    await gateway?.stop();
    await plain?.close();
    await mutual?.close();
  });

  for (const [id, what] of [['trusted', 'a service with a certificate of our authority'],
    ['implied', 'one that is https because it has tls'], ['named', 'one with another name'],
    ['unverified', 'one that is not looked at'], ['known', 'one that wants our certificate']]) {
    it(`tls: ${what} gets requests`, async () => {
      const { headers } = assertEcho(await gateway.get(`/${id}`), { path: `/${id}` });
      assert.match(headers.host, /^127\.0\.0\.1:\d+$/);
    });
  }

  for (const [id, what] of [['stranger', 'one of another authority'],
    ['system', 'one that the system does not trust'], ['misnamed', 'one with the wrong name'],
    ['unknown', 'one that misses our certificate'], ['clear', 'one that is spoken to without TLS']]) {
    it(`tls: ${what} gets none`, async () => {
      const asked = plain.requests.length + mutual.requests.length;
      const response = await gateway.get(`/${id}`);
      assertBadGateway(response);
      assert.equal(plain.requests.length + mutual.requests.length, asked);
      assert.equal(await gateway.metric('rig_proxy_requests_total',
        { path: `/${id}`, status: 'unreachable' }), 1);
    });
  }

  it('tls: server_name is the name that is asked for', async () => {
    assertEcho(await gateway.get('/named'));
    assert.ok(names.includes('localhost'), names.join());
  });

  it('tls: what is sent on a kept connection is as safe', async () => {
    for (let i = 0; i < 5; i++) assertEcho(await gateway.get(`/trusted?n=${i}`));
  });
});

describe('several addresses', () => {
  const at = (targets) => ({ ...api('several', 0, [['x', 'GET', '/x'], ['p', 'POST', '/x']]),
    proxy: { targets } });

  it('targets: all of them are used', async (t) => {
    const services = [await echoBackend(t), await echoBackend(t)];
    const gateway = await testGateway(t, { env: environment(
      [at(services.map(({ port }) => `127.0.0.1:${port}`))]) });
    const held = [];
    for (const service of services) {
      service.answer = (request, response) => {
        held.push(response);
        if (held.length === 4) for (const one of held) one.end('done');
      };
    }
    // Four at a time: so none can be sent where the first was.
    const answers = await Promise.all([0, 1, 2, 3].map(() => gateway.get('/x')));
    assert.deepEqual(answers.map(({ text }) => text), ['done', 'done', 'done', 'done']);
    for (const service of services) assert.ok(service.requests.length > 0);
  });

  it('targets: one that is dead is left out', async (t) => {
    const service = await echoBackend(t);
    const [dead] = await freePorts(1);
    const gateway = await testGateway(t, { env: environment(
      [at([`127.0.0.1:${dead}`, `127.0.0.1:${service.port}`])]) });
    for (let i = 0; i < 20; i++) {
      assertEcho(await gateway.get(`/x?n=${i}`));
      assertEcho(await gateway.request({ method: 'POST', path: '/x', body: String(i) }),
        { body: String(i) });
    }
    await Promise.all(Array.from({ length: 20 }, async () => assertEcho(await gateway.get('/x'))));
    assert.equal(service.requests.length, 60);
    assert.ok(await gateway.metric('rgate_upstream_left_out') >= 1);
    assert.ok(await gateway.metric('rgate_upstream_left_out_total') >= 1);
  });

  it('targets: where all are dead the client is told so', async (t) => {
    const dead = await freePorts(2);
    const gateway = await testGateway(t, { env: environment(
      [at(dead.map((port) => `127.0.0.1:${port}`))]) });
    assertBadGateway(await gateway.get('/x'));
    const service = await new HttpService(echo).listen(dead[0]);
    t.after(() => service.close());
    assertEcho(await gateway.get('/x'), { path: '/x' });
  });
});
