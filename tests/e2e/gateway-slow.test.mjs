// Clients and services that do not read.
//
// - A client that reads nothing makes the service wait, and a service that reads nothing the client;
//   the gateway keeps little of what lies between them, and all of it arrives in the end.
// - So it is with fifty of each at once, and everybody else is served meanwhile.
// - A client that reads nothing for longer than HTTP_WRITE_TIMEOUT is cut off, and the service is told;
//   one that reads slowly is not. A service that reads nothing for too long is given up.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { BulkService, Check, MIB, bulkVariables, pour } from '../support/bulk.mjs';
import { Gateway } from '../support/gateway.mjs';
import { withinMemory } from '../support/memory.mjs';
import { Http1Client, Http2Client, textOf } from '../support/streams.mjs';
import { standstill, until, within } from '../support/wait.mjs';

const MS = 40_000;
const CROWD = 50;

/** The most that the kernel may keep of one direction of one connection. */
const kernel = ['wmem', 'rmem'].map((name) =>
  Number(readFileSync(`/proc/sys/net/ipv4/tcp_${name}`, 'utf8').trim().split(/\s+/)[2]))
  .reduce((sum, n) => sum + n);
// On both sides of the gateway, and what the gateway and node keep.
const UNREAD = 2 * kernel + 2 * MIB;
const N = Math.max(64 * MIB, 2 * UNREAD);

const VERSIONS = [['HTTP/1.1', Http1Client], ['HTTP/2', Http2Client]];

/** Reads all of an answer, which must be n bytes of the body. */
async function readWhole({ body, wholeness }, n) {
  const check = new Check();
  for await (const chunk of body) check.take(chunk);
  assert.ok(wholeness());
  assert.deepEqual({ bytes: check.bytes, sound: check.sound }, { bytes: n, sound: true });
}

/** An upload under way: { written, answer }, written being what was taken of it so far. */
function startUpload(client, n) {
  const { request, answer } = client.ask('POST', '/up', { 'content-length': n });
  const state = { written: 0, answer };
  pour(request, n, (bytes) => { state.written += bytes; })
    .then(() => request.end(), () => {});
  return state;
}

async function assertUploaded({ answer }, n) {
  const { status, body } = await answer;
  const { bytes, sound } = JSON.parse(await textOf(body));
  assert.deepEqual({ status, bytes, sound }, { status: 200, bytes: n, sound: true });
}

/** A service and a gateway in front of it for the enclosing suite. */
function suiteBulk(variables, proxy) {
  const suite = {};
  before(async () => {
    suite.service = await new BulkService().listen();
    suite.gateway = await Gateway.start({ env: bulkVariables(suite.service.port, variables, proxy) });
  });
  after(async () => {
    await suite.gateway?.stop();
    await suite.service?.close();
  });
  suite.client = (t, Client) => {
    const client = new Client(suite.gateway);
    t.after(() => client.close());
    return client;
  };
  return suite;
}

describe('who does not read', () => {
  const suite = suiteBulk({ HTTP_WRITE_TIMEOUT: '120000' },
    { response_timeout_ms: 120_000 });

  // What memory is kept to be used again is there before it is measured.
  before(async () => {
    for (const [, Client] of VERSIONS) {
      const client = new Client(suite.gateway);
      await readWhole(await client.ask('GET', `/down?n=${16 * MIB}`).answer, 16 * MIB);
      await assertUploaded(startUpload(client, 16 * MIB), 16 * MIB);
      client.close();
    }
  });

  for (const [version, Client] of VERSIONS) {
    it(`api-gateway 8.5: a client over ${version} that reads nothing makes the service wait`, async (t) => {
      const { gateway, service } = suite;
      const client = suite.client(t, Client);
      const before = service.sent;
      const answer = await withinMemory(gateway, 4 * MIB, async () => {
        const got = await client.ask('GET', `/down?n=${N}`).answer;
        const sent = await standstill(() => service.sent - before, 'the service');
        assert.ok(sent < UNREAD, `${sent} bytes were taken`);
        return got;
      });
      await withinMemory(gateway, 4 * MIB, () => within(readWhole(answer, N), 'all arrives', MS));
    });

    it(`api-gateway 8.4: a service that reads nothing makes a client over ${version} wait`, async (t) => {
      const { gateway, service } = suite;
      const client = suite.client(t, Client);
      service.isHeld = true;
      const upload = await withinMemory(gateway, 4 * MIB, async () => {
        const state = startUpload(client, N);
        const written = await standstill(() => state.written, 'the client');
        assert.ok(written > 0 && written < UNREAD, `${written} bytes were taken`);
        return state;
      });
      service.release();
      await withinMemory(gateway, 4 * MIB, () => within(assertUploaded(upload, N), 'all arrives', MS));
    });

    it(`api-gateway 8.4: ${CROWD} of each over ${version} at once`, async (t) => {
      const { gateway, service } = suite;
      const n = 24 * MIB;
      const [down, up, other] = Array.from({ length: 3 }, () => suite.client(t, Client));
      const finished = service.finished;
      // What each costs is bounded: twice 256 KiB, and what belongs to connections.
      await withinMemory(gateway, 2 * CROWD * 640 * 1024, async () => {
        service.isHeld = true;
        const asked = service.asked;
        const answers = await within(Promise.all(Array.from({ length: CROWD },
          () => down.ask('GET', `/down?n=${n}`).answer)), 'all are answered', MS);
        const uploads = Array.from({ length: CROWD }, () => startUpload(up, n));
        await until(() => service.asked === asked + 2 * CROWD, 'all are under way', MS);
        await standstill(() => service.sent + uploads.reduce((sum, u) => sum + u.written, 0),
          'everything', MS);

        // In the middle of it somebody else is served.
        await within(readWhole(await other.ask('GET', `/down?n=${MIB}`).answer, MIB), 'another one');

        service.release();
        await within(Promise.all([
          ...answers.map((answer) => readWhole(answer, n)),
          ...uploads.map((upload) => assertUploaded(upload, n)),
        ]), 'all arrives', MS);
      });
      assert.equal(service.finished, finished + 2 * CROWD + 1);
    });
  }
});

describe('who does not read for too long', () => {
  const TIMEOUT = 1000;
  const suite = suiteBulk({ HTTP_WRITE_TIMEOUT: String(TIMEOUT) }, { response_timeout_ms: TIMEOUT });

  for (const [version, Client] of VERSIONS) {
    it(`hardening: a client over ${version} that reads nothing is cut off`, async (t) => {
      const { gateway, service } = suite;
      const client = suite.client(t, Client);
      const { gone, sent } = service;
      const timeouts = await gateway.metric('rgate_http_timeouts_total');
      const asked = Date.now();
      const answer = await client.ask('GET', `/down?n=${N}`).answer;
      await until(() => service.gone === gone + 1, 'the service is told', 20 * TIMEOUT);
      // A reactor's time is that of the beginning of its turn, and so a little old.
      assert.ok(Date.now() - asked >= 0.9 * TIMEOUT, `after ${Date.now() - asked} ms`);
      assert.ok(service.sent - sent < UNREAD);
      assert.equal(await gateway.metric('rgate_http_timeouts_total'), timeouts + 1);
      await assert.rejects(within(readWhole(answer, N), 'the end of the answer', MS));
    });

    it(`hardening: a client over ${version} that reads slowly is not`, async (t) => {
      const client = suite.client(t, Client);
      const answer = await client.ask('GET', `/down?n=${N}`).answer;
      const check = new Check();
      const began = Date.now();
      for await (const chunk of answer.body) {
        const before = Math.floor(check.bytes / MIB);
        check.take(chunk);
        // A megabyte at a time, for as long as would be too long.
        if (Math.floor(check.bytes / MIB) > before && Date.now() - began < 3 * TIMEOUT)
          await new Promise((later) => { setTimeout(later, TIMEOUT / 10); });
      }
      assert.ok(answer.wholeness());
      assert.ok(Date.now() - began >= 3 * TIMEOUT);
      assert.deepEqual({ bytes: check.bytes, sound: check.sound }, { bytes: N, sound: true });
    });

    it(`api-gateway 8.6: a service that reads nothing of what comes over ${version} is given up`, async (t) => {
      const { service } = suite;
      const client = suite.client(t, Client);
      const { gone } = service;
      service.isHeld = true;
      const { status, body } = await within(startUpload(client, N).answer, 'an answer', 20 * TIMEOUT);
      assert.equal(status, 502);
      assert.equal(await textOf(body), 'Bad gateway.');
      // It sees the end of its connection behind what had been sent.
      service.release();
      await until(() => service.gone === gone + 1, 'its connection is closed');
    });
  }
});
