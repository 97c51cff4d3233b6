// Bodies of gigabytes through the gateway.
//
// - They arrive whole, up and down, in all framings, under both versions of HTTP and TLS.
// - None of them is kept: the gateway's memory does not grow with them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BulkService, Check, GIB, MIB, bulkVariables, pour } from '../support/bulk.mjs';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { Gateway } from '../support/gateway.mjs';
import { withinMemory } from '../support/memory.mjs';
import { Http1Client, Http2Client, textOf } from '../support/streams.mjs';
import { within } from '../support/wait.mjs';

const MS = 60_000;
const MEMORY = 16 * MIB;
const WIDE = { initialWindowSize: MIB };
const BOUNDARY = 'no-such-thing-within';
const HEAD = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="f"; filename="big.bin"\r\n`
  + 'content-type: application/octet-stream\r\n\r\n';
const TAIL = `\r\n--${BOUNDARY}--\r\n`;

/** What the service says of a body of n bytes. */
async function up(client, n, headers, { head = '', tail = '' } = {}) {
  const { request, answer } = client.ask('POST', '/up', headers);
  if (head) request.write(head);
  await pour(request, n);
  request.end(tail);
  const { status, body } = await answer;
  assert.equal(status, 200);
  return JSON.parse(await textOf(body));
}

/** What arrives of a body. */
async function down(client, path) {
  const { status, body, wholeness } = await client.ask('GET', path).answer;
  assert.equal(status, 200);
  const check = new Check();
  for await (const chunk of body) check.take(chunk);
  assert.ok(wholeness());
  return check;
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
    ['HTTP/1.1', () => new Http1Client(gateway), { up: 2 * GIB, down: GIB }, 256 * MIB],
    ['HTTP/1.1 and TLS', () => new Http1Client(gateway.overTls()), { up: 512 * MIB, down: 512 * MIB }, 64 * MIB],
    ['HTTP/2', () => new Http2Client(gateway, WIDE), { up: 512 * MIB, down: 512 * MIB }, 64 * MIB],
    ['HTTP/2 and TLS', () => new Http2Client(gateway.overTls(), WIDE), { up: 256 * MIB, down: 256 * MIB }, 64 * MIB],
  ]) {
    describe(`over ${what}`, () => {
      it(`api-gateway 8.4: ${big.up / MIB} MiB of a known length arrive at the service`, async () => {
        const answer = await measured(makeClient(), (client, few) =>
          up(client, few ?? big.up, { 'content-length': few ?? big.up }));
        assertWhole(answer, big.up);
        assert.equal(answer.framing, String(big.up));
      });

      it(`api-gateway 8.4: ${chunked / MIB} MiB of an unknown length arrive at the service`, async () => {
        const answer = await measured(makeClient(), (client, few) => up(client, few ?? chunked, {}));
        assertWhole(answer, chunked);
        assert.equal(answer.framing, 'chunked');
      });

      it(`api-gateway 8.4: a form with a file of ${chunked / MIB} MiB arrives as it is`, async () => {
        const type = `multipart/form-data; boundary=${BOUNDARY}`;
        const answer = await measured(makeClient(), (client, few) => {
          const n = few ?? chunked;
          return up(client, n, { 'content-type': type, 'x-before': HEAD.length, 'x-end': n,
            'content-length': HEAD.length + n + TAIL.length }, { head: HEAD, tail: TAIL });
        });
        assertWhole(answer, chunked);
        assert.equal(answer.other, HEAD + TAIL);
        assert.equal(answer.headers['content-type'], type);
      });

      for (const [length, n, query] of [
        ['a known', big.down, ''], ['an unknown', chunked, '&chunked'],
      ]) {
        it(`api-gateway 8.5: ${n / MIB} MiB of ${length} length arrive at the client`, async () => {
          assertWhole(await measured(makeClient(), (client, few) =>
            down(client, `/down?n=${few ?? n}${query}`)), n);
        });
      }
    });
  }
});
