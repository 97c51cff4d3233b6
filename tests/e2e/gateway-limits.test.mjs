// Promises checked here: limits of requests through the gateway, and of their answers. What is beyond
// them is refused with its own status and reaches no service; what is just within passes.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { api, environment } from '../support/echo-backend.mjs';
import { Gateway } from '../support/gateway.mjs';
import { exchange, RawConnection } from '../support/http.mjs';
import { RawBackend } from '../support/raw-backend.mjs';

const MAX_BODY = 1000;
const MAX_HEAD = 2048;

describe('limits', () => {
  let backend;
  let gateway;

  before(async () => {
    backend = await new RawBackend().listen();
    const proxy = { target_url: 'http://127.0.0.1', port: backend.port };
    const endpoints = (path) => ['GET', 'POST'].map((method) => [method.toLowerCase(), method, path]);
    gateway = await Gateway.start({ env: environment([
      api('small', backend.port, endpoints('/small.*'),
        { proxy: { ...proxy, max_body_bytes: MAX_BODY, max_header_bytes: MAX_HEAD } }),
      api('usual', backend.port, endpoints('/usual.*'), { proxy }),
    ], { PROXY_BODY_BYTES: '5000' }) });
  });
  after(async () => {
    await gateway?.stop();
    await backend?.close();
  });
  beforeEach(() => {
    backend.forget();
    backend.script = undefined;
  });

  const send = (bytes) => exchange(gateway.port, bytes);
  const get = (fields, path = '/usual') => send(`GET ${path} HTTP/1.1\r\nHost: h\r\n${fields}\r\n`);

  async function assertPasses(answer) {
    const { status, text } = await answer;
    assert.equal(status, 200, text);
    assert.equal(backend.requests.length, 1);
  }

  /** Refused, and no service has got anything that is complete. */
  async function assertRefused(answer, expected) {
    assert.equal((await answer).status, expected);
    assert.equal(backend.requests.length, 0);
  }

  it('a request line of 16 KiB passes, a longer one is 414', async () => {
    const path = (n) => `/usual${'a'.repeat(n - 'GET /usual HTTP/1.1'.length)}`;
    await assertPasses(get('', path(16384)));
    backend.forget();
    await assertRefused(get('', path(16385)), 414);
    await assertRefused(get('', path(100000)), 414);
  });

  it('a field of 16 KiB passes, a longer one is 431', async () => {
    await assertPasses(get(`X: ${'a'.repeat(16384 - 3)}\r\n`));
    backend.forget();
    await assertRefused(get(`X: ${'a'.repeat(16384 - 2)}\r\n`), 431);
  });

  it('100 fields pass, 101 are 431', async () => {
    const fields = (n) => Array.from({ length: n - 1 }, (_, i) => `X-${i}: ${i}\r\n`).join('');
    await assertPasses(get(fields(100)));
    const sent = backend.requests[0].fields.filter(([name]) => name.startsWith('x-'));
    assert.equal(sent.length, 99);
    backend.forget();
    await assertRefused(get(fields(101)), 431);
  });

  it('fields of 60 KiB pass, more than 64 KiB are 431', async () => {
    const fields = (n) => `X: ${'a'.repeat(10000)}\r\n`.repeat(n);
    await assertPasses(get(fields(6)));
    backend.forget();
    await assertRefused(get(fields(7)), 431);
  });

  const lengthy = (n, path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${n}\r\n\r\n${'b'.repeat(n)}`;
  const chunked = (sizes, path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${
    sizes.map((n) => `${n.toString(16)}\r\n${'b'.repeat(n)}\r\n`).join('')}0\r\n\r\n`;

  for (const [path, max] of [['/small', MAX_BODY], ['/usual', 5000]]) {
    it(`${path}: a body of ${max} bytes passes, a longer one is 413`, async () => {
      await assertPasses(send(lengthy(max, path)));
      assert.equal(backend.requests[0].body.length, max);
      backend.forget();
      await assertRefused(send(lengthy(max + 1, path)), 413);
      assert.equal(backend.connections.some(({ text }) => text.length > 0), false);
    });

    it(`${path}: the same in chunks`, async () => {
      await assertPasses(send(chunked([max - 1, 1], path)));
      assert.equal(backend.requests[0].body.length, max);
      backend.forget();
      await assertRefused(send(chunked([max - 1, 2], path)), 413);
    });
  }

  it('a body that is too long is refused before it is sent', async (t) => {
    const client = await RawConnection.open(gateway.port);
    t.after(() => client.close());
    client.write(`POST /small HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: ${MAX_BODY + 1}\r\n\r\n`);
    assert.equal((await client.response()).status, 413);
    assert.equal(backend.requests.length, 0);
  });

  const answerWith = (fields) => {
    backend.script = (request, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${fields}\r\nok`);
    };
  };

  async function assertAnswer(path, expected) {
    const { status, text } = await get('', path);
    assert.deepEqual([status, text], expected);
  }

  for (const [path, max] of [['/small', MAX_HEAD], ['/usual', 64 * 1024]]) {
    it(`${path}: a head of an answer below ${max} bytes passes, a longer one is 502`, async () => {
      answerWith(`X: ${'a'.repeat(max - 200)}\r\n`);
      await assertAnswer(path, [200, 'ok']);
      answerWith(`X: ${'a'.repeat(max)}\r\n`);
      await assertAnswer(path, [502, 'Bad gateway.']);
      backend.script = undefined;
      assert.equal((await get('', path)).status, 200);
    });
  }

  it('an answer with 100 fields passes, one with more is 502', async () => {
    answerWith('X: y\r\n'.repeat(99));
    await assertAnswer('/usual', [200, 'ok']);
    answerWith('X: y\r\n'.repeat(100));
    await assertAnswer('/usual', [502, 'Bad gateway.']);
  });
});
