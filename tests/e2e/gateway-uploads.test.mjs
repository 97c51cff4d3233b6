// Bodies of gigabytes through the gateway.
//
// - They arrive whole, up and down, in all framings, under both versions of HTTP and TLS.
// - None of them is kept: the gateway's memory does not grow with them.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { BulkService, Check, GIB, MIB, bulkVariables, pour } from '../support/bulk.mjs';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { Gateway } from '../support/gateway.mjs';
import { send } from '../support/http.mjs';
import { withinMemory } from '../support/memory.mjs';
import { within } from '../support/wait.mjs';

const MS = 60_000;
const MEMORY = 16 * MIB;
const BOUNDARY = 'no-such-thing-within';
const HEAD = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="f"; filename="big.bin"\r\n`
  + 'content-type: application/octet-stream\r\n\r\n';
const TAIL = `\r\n--${BOUNDARY}--\r\n`;

/** Sends one body to request, a stream, and returns the text that get(request) collects. */
async function upload(request, answered, n, { head = '', tail = '' } = {}) {
  const done = answered(request);
  done.catch(() => {});
  if (head) request.write(head);
  await pour(request, n);
  request.end(tail);
  return JSON.parse(await done);
}

const textOf = async (stream) => {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
};

/** Clients: { up(n, headers, around), down(path) => { bytes, sound } }. */
function overHttp1(gateway) {
  const ask = (method, path, headers = {}) =>
    send(gateway.scheme, { port: gateway.port, method, path, headers, ...gateway.tls });
  const answer = (request) => new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', reject);
  });
  return {
    up: (n, headers, around) => upload(ask('POST', '/up', headers), async (request) => {
      const response = await answer(request);
      assert.equal(response.statusCode, 200);
      return textOf(response);
    }, n, around),
    async down(path) {
      const request = ask('GET', path);
      request.end();
      const response = await answer(request);
      const check = new Check();
      for await (const chunk of response) check.take(chunk);
      assert.ok(response.complete);
      return check;
    },
    close() {},
  };
}

function overHttp2(gateway) {
  const session = http2.connect(gateway.url(''),
    { ...gateway.tls, ALPNProtocols: ['h2'], settings: { initialWindowSize: MIB } });
  session.on('error', () => {});
  const head = (stream) => new Promise((resolve, reject) => {
    stream.on('response', resolve);
    stream.on('error', reject);
  });
  return {
    up: (n, headers, around) => upload(
      session.request({ ':method': 'POST', ':path': '/up', ...headers }), async (stream) => {
        assert.equal((await head(stream))[':status'], 200);
        return textOf(stream);
      }, n, around),
    async down(path) {
      const stream = session.request({ ':path': path });
      assert.equal((await head(stream))[':status'], 200);
      const check = new Check();
      for await (const chunk of stream) check.take(chunk);
      assert.equal(stream.rstCode, 0);
      return check;
    },
    close: () => session.destroy(),
  };
}

describe('bodies of gigabytes', () => {
  const certificate = suiteCertificate();
  let service;
  let gateway;

  before(async () => {
    service = await new BulkService().listen();
    gateway = await Gateway.start({
      env: bulkVariables(service.port, httpsVariables(certificate.made)) });
  });
  after(async () => {
    await gateway?.stop();
    await service?.close();
  });

  /** Does it once with little, for buffers that stay, and then with all of it. */
  const measured = async (client, act) => {
    try {
      await within(act(client, MIB), 'a little arrives', MS);
      return await withinMemory(gateway, MEMORY, () => within(act(client, null), 'all arrives', MS));
    } finally {
      client.close();
    }
  };
  const assertWhole = ({ bytes, sound }, n) =>
    assert.deepEqual({ bytes, sound }, { bytes: n, sound: true });

  for (const [what, makeClient, big, chunked] of [
    ['HTTP/1.1', () => overHttp1(gateway), { up: 2 * GIB, down: GIB }, 256 * MIB],
    ['HTTP/1.1 and TLS', () => overHttp1(gateway.overTls()), { up: 512 * MIB, down: 512 * MIB }, 64 * MIB],
    ['HTTP/2', () => overHttp2(gateway), { up: 512 * MIB, down: 512 * MIB }, 64 * MIB],
    ['HTTP/2 and TLS', () => overHttp2(gateway.overTls()), { up: 256 * MIB, down: 256 * MIB }, 64 * MIB],
  ]) {
    describe(`over ${what}`, () => {
      it(`api-gateway 8.4: ${big.up / MIB} MiB of a known length arrive at the service`, async () => {
        const answer = await measured(makeClient(), (client, few) =>
          client.up(few ?? big.up, { 'content-length': few ?? big.up }));
        assertWhole(answer, big.up);
        assert.equal(answer.framing, String(big.up));
      });

      it(`api-gateway 8.4: ${chunked / MIB} MiB of an unknown length arrive at the service`, async () => {
        const answer = await measured(makeClient(), (client, few) => client.up(few ?? chunked, {}));
        assertWhole(answer, chunked);
        assert.equal(answer.framing, 'chunked');
      });

      it(`api-gateway 8.4: a form with a file of ${chunked / MIB} MiB arrives as it is`, async () => {
        const type = `multipart/form-data; boundary=${BOUNDARY}`;
        const answer = await measured(makeClient(), (client, few) => {
          const n = few ?? chunked;
          return client.up(n, { 'content-type': type, 'x-before': HEAD.length, 'x-end': n,
            'content-length': HEAD.length + n + TAIL.length }, { head: HEAD, tail: TAIL });
        });
        assertWhole(answer, chunked);
        assert.equal(answer.other, HEAD + TAIL);
        assert.equal(answer.type, type);
      });

      for (const [length, n, query] of [
        ['a known', big.down, ''], ['an unknown', chunked, '&chunked'],
      ]) {
        it(`api-gateway 8.5: ${n / MIB} MiB of ${length} length arrive at the client`, async () => {
          assertWhole(await measured(makeClient(), (client, few) =>
            client.down(`/down?n=${few ?? n}${query}`)), n);
        });
      }
    });
  }
});
