// Clients of HTTP/2 as there are, through the gateway to a service of HTTP/1.1.
//
// - curl, nghttp and h2load get all they ask for, with and without TLS.
// - A stream that waits, is cancelled or is answered early costs the others on its connection nothing,
//   neither at once nor in the long run; a cancelled one is cancelled at the service.
// - Trailers go both ways.
//
// Programs that are not installed are left out.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import http2 from 'node:http2';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { BulkService, Check, KIB, MIB, bulkVariables, pour, writeBody } from '../support/bulk.mjs';
import { httpsVariables, makeCertificate, testDirectory } from '../support/certificates.mjs';
import { Gateway } from '../support/gateway.mjs';
import { Http2Client, textOf } from '../support/streams.mjs';
import { standstill, until, within } from '../support/wait.mjs';

const MS = 30_000;
const run = promisify(execFile);
const { NGHTTP2_CANCEL } = http2.constants;

/** Why a program cannot be used; false if it can. */
function missing(program, feature = /./) {
  try {
    const text = execFileSync(program, ['--version'], { encoding: 'utf8' });
    return feature.test(text) ? false : `${program} is built without ${feature.source}`;
  } catch {
    return `${program} is not installed`;
  }
}

const others = {
  '/other/small': (req, res) => { res.end('small'); },
  '/other/hangs': () => {},
  '/other/early': (req, res) => { res.writeHead(403).end('early'); },
  '/other/ends': (req, res) => {
    res.writeHead(200, { trailer: 'x-end' });
    res.write('body');
    res.addTrailers({ 'x-end': 'over' });
    res.end();
  },
};

let certificate;
let service;
let gateway;
const places = [['without TLS', () => gateway], ['over TLS', () => gateway.overTls()]];
const stops = [];

before(async () => {
  const directory = await testDirectory({ after: (stop) => stops.push(stop) });
  certificate = { directory, made: await makeCertificate(directory) };
  service = await new BulkService(others).listen();
  gateway = await Gateway.start({ env: bulkVariables(service.port,
    { ...httpsVariables(certificate.made), HTTP_WRITE_TIMEOUT: '60000' },
    { response_timeout_ms: 60_000 }) });
});
after(async () => {
  await gateway?.stop();
  await service?.close();
  for (const stop of stops) await stop();
});

const execute = async (program, args) => {
  const { stdout } = await run(program, args, { timeout: MS, maxBuffer: 64 * MIB });
  return stdout;
};

async function assertFileIsBody(path, n) {
  const check = new Check();
  for await (const chunk of createReadStream(path)) check.take(chunk);
  assert.deepEqual({ bytes: check.bytes, sound: check.sound }, { bytes: n, sound: true });
}

/** A file with n bytes of the body, and its path. */
async function bodyFile(n) {
  const path = join(certificate.directory, `body-${n}`);
  await writeBody(path, n);
  return path;
}

describe('curl', { skip: missing('curl', /HTTP2/) }, () => {
  const N = 24 * MIB;
  const curl = (...args) =>
    execute('curl', ['-sS', '--noproxy', '*', '--cacert', certificate.made.cert,
      '-w', '\n%{http_version} %{http_code}', ...args]);

  for (const [what, option, where, version] of [
    ['with prior knowledge', '--http2-prior-knowledge', () => gateway, '2'],
    ['over TLS', '--http2', () => gateway.overTls(), '2'],
    // An upgrade is not taken (RFC 9113 has none any more), and the request answered as it is.
    ['that offers an upgrade', '--http2', () => gateway, '1.1'],
  ]) {
    it(`api-gateway 8.4: ${what} sends ${N / MIB} MiB`, async () => {
      const out = await curl(option, '-H', 'content-type: application/octet-stream',
        '--data-binary', `@${await bodyFile(N)}`, where().url('/up'));
      const [json, last] = out.split('\n');
      const { bytes, sound, headers } = JSON.parse(json);
      assert.deepEqual({ bytes, sound, last }, { bytes: N, sound: true, last: `${version} 200` });
      for (const name of ['upgrade', 'http2-settings', 'expect']) assert.ok(!(name in headers), name);
    });

    it(`api-gateway 8.5: ${what} gets ${N / MIB} MiB`, async () => {
      const path = join(certificate.directory, 'got');
      const out = await curl(option, '-o', path, where().url(`/down?n=${N}`));
      assert.equal(out.trim(), `${version} 200`);
      await assertFileIsBody(path, N);
    });
  }
});

describe('nghttp', { skip: missing('nghttp') }, () => {
  for (const [what, where] of places) {
    it(`api-gateway 8.4: ${what} it uploads`, async () => {
      const n = 4 * MIB;
      const out = await execute('nghttp',
        ['-v', '--no-verify-peer', '-H', 'x-is: tested', '-d', await bodyFile(n), where().url('/up')]);
      assert.match(out, /recv .*:status: 200/);
      assert.match(out, /END_STREAM/);
      assert.doesNotMatch(out, /recv .*(RST_STREAM|GOAWAY)/);
      const [json] = /\{"bytes":.*\}/.exec(out);
      const { bytes, sound, headers } = JSON.parse(json);
      assert.deepEqual({ bytes, sound }, { bytes: n, sound: true });
      assert.equal(headers['x-is'], 'tested');
      assert.equal(headers['content-length'], String(n));
    });

    it(`api-gateway 8.5: ${what} it gets an early answer, and is told to send no more`, async () => {
      const out = await execute('nghttp', ['-v', '--no-verify-peer', '-d', await bodyFile(16 * MIB),
        where().url('/other/early')]);
      assert.match(out, /recv .*:status: 403/);
      assert.match(out, /early\[.*recv DATA/);
      assert.match(out, /recv RST_STREAM.*\n.*error_code=NO_ERROR/);
    });

    it(`api-gateway 8.5: ${what} it asks for the same many times over one connection`, async () => {
      const out = await execute('nghttp',
        ['-m', '50', '--no-verify-peer', '--stat', '-n', where().url(`/down?n=${256 * KIB}`)]);
      assert.equal(out.match(/ 200 +256K \/down/g)?.length, 50, out);
    });
  }
});

describe('h2load', { skip: missing('h2load') }, () => {
  for (const [what, where] of places) {
    for (const [act, n, path, options] of [
      ['asks', 20_000, '/other/small', () => []],
      ['downloads', 1000, `/down?n=${64 * KIB}`, () => []],
      ['uploads', 1000, '/up', async () => ['-d', await bodyFile(64 * KIB)]],
    ]) {
      it(`api-gateway 8: ${what} it ${act} ${n} times in 100 streams of 8 connections`, async () => {
        const asked = service.asked;
        const out = await execute('h2load',
          ['-n', String(n), '-c', '8', '-m', '100', ...await options(), where().url(path)]);
        assert.match(out, new RegExp(`requests: ${n} total, ${n} started, ${n} done, ${n} succeeded, `
          + '0 failed, 0 errored, 0 timeout'));
        assert.match(out, new RegExp(`status codes: ${n} 2xx, 0 3xx, 0 4xx, 0 5xx`));
        assert.match(out, /Application protocol: h2/);
        assert.equal(service.asked - asked, n);
      });
    }
  }
});

for (const [what, where] of places) {
  describe(`a connection of many streams ${what}`, () => {
    const open = (t) => {
      const client = new Http2Client(where());
      t.after(() => client.close());
      return client;
    };
    const small = async (client) => {
      const { status, body } = await client.ask('GET', '/other/small').answer;
      assert.deepEqual([status, await textOf(body)], [200, 'small']);
    };
    /** An upload, whole, and what the service says. */
    const upload = async (client, n, ...more) => {
      const { request, answer } = client.ask('POST', '/up', ...more);
      await pour(request, n);
      request.end();
      const { status, body } = await answer;
      const told = JSON.parse(await textOf(body));
      assert.deepEqual([status, told.bytes, told.sound], [200, n, true]);
      return told;
    };
    const download = async ({ body, wholeness }, n) => {
      const check = new Check();
      for await (const chunk of body) check.take(chunk);
      assert.deepEqual([check.bytes, check.sound, wholeness()], [n, true, true]);
    };

    it('api-gateway 8.4: trailers arrive at the service', async (t) => {
      const told = await within(upload(open(t), MIB, {}, { 'x-sum': '42', authorization: 'x' }),
        'the upload', MS);
      assert.deepEqual(told.trailers, { 'x-sum': '42' });
    });

    it('api-gateway 8.5: trailers arrive at the client', async (t) => {
      const { body } = await open(t).ask('GET', '/other/ends').answer;
      let trailers;
      body.on('trailers', (fields) => { trailers = { 'x-end': fields['x-end'] }; });
      assert.equal(await within(textOf(body), 'the body', MS), 'body');
      await until(() => trailers, 'trailers');
      assert.deepEqual(trailers, { 'x-end': 'over' });
    });

    it('api-gateway 8.5: others go on while an answer and a request wait', async (t) => {
      const n = 32 * MIB;
      const client = open(t);
      service.isHeld = true;
      const unread = await client.ask('GET', `/down?n=${n}`).answer;
      const { request, answer } = client.ask('POST', '/up', { 'content-length': n });
      let written = 0;
      const poured = pour(request, n, (bytes) => { written += bytes; });
      await standstill(() => service.sent + written, 'everything');

      await within(Promise.all(Array.from({ length: 98 }, async () => {
        for (let i = 0; i < 5; i++) await small(client);
      })), 'the others', MS);
      await within(download(await client.ask('GET', `/down?n=${MIB}`).answer, MIB), 'a long one', MS);

      service.release();
      await within(Promise.all([download(unread, n), poured.then(() => request.end()), (async () => {
        const { bytes, sound } = JSON.parse(await textOf((await answer).body));
        assert.deepEqual([bytes, sound], [n, true]);
      })()]), 'those that waited', MS);
    });

    for (const [when, begin] of [
      ['before its answer', async (client) => {
        const { request } = client.ask('GET', '/other/hangs');
        return request;
      }],
      ['in the middle of its answer', async (client) => {
        const { body } = await client.ask('GET', `/down?n=${64 * MIB}`).answer;
        body.once('data', () => {});
        return body;
      }],
      ['in the middle of its body', async (client) => {
        const { request } = client.ask('POST', '/up', { 'content-length': 64 * MIB });
        await pour(request, 512 * KIB);
        return request;
      }],
    ]) {
      it(`api-gateway 8.5: a stream that is cancelled ${when} is cancelled at the service`, async (t) => {
        const client = open(t);
        const before = service.asked;
        const other = upload(client, 8 * MIB);
        await until(() => service.asked > before, 'the other stream is under way');
        // As often as would take up the window of the connection, if it were not given back.
        for (let i = 0; i < 40; i++) {
          const { asked, gone } = service;
          const request = await begin(client);
          await until(() => service.asked === asked + 1, 'the service is asked', MS);
          request.close(NGHTTP2_CANCEL);
          await until(() => service.gone > gone, 'the service is told', MS);
        }
        await within(other, 'another stream', MS);
        await within(upload(client, 2 * MIB), 'a later one', MS);
        await within(download(await client.ask('GET', `/down?n=${MIB}`).answer, MIB), 'another', MS);
      });
    }

    for (const [which, path, status, text] of [
      ['the service', '/other/early', 403, 'early'],
      ['the gateway', '/nowhere', 404, '{"message":"Not Found"}'],
    ]) {
      it(`api-gateway 8.5: an early answer of ${which} arrives, and others lose nothing`, async (t) => {
        const client = open(t);
        const other = upload(client, 16 * MIB);
        for (let i = 0; i < 40; i++) {
          const { request, answer } = client.ask('POST', path, { 'content-length': 8 * MIB });
          const poured = pour(request, 8 * MIB).catch(() => {});
          const { body, ...head } = await within(answer, 'an answer', MS);
          assert.deepEqual([head.status, await textOf(body)], [status, text]);
          // Which node does not, where a write is pending.
          request.destroy();
          await within(poured, 'the end of the stream', MS);
        }
        await within(other, 'another stream', MS);
        await within(upload(client, 2 * MIB), 'a later one', MS);
      });
    }
  });
}
