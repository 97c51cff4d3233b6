// The conformance tests of h2spec, all of them and the strict ones, against a running gateway.
//
// - Over TLS, where HTTP/2 was agreed on, every case passes.
// - With prior knowledge, every case passes but one: a port that also speaks HTTP/1.1 answers a false
//   preface in HTTP/1.1 before it closes.
//
// The path that is asked for leads to a service which takes a moment: several cases are about a stream
// that is still open when their second frame arrives.
//
// Go builds h2spec into build/h2spec on first use. The version is the last that Go can install: later
// ones have a go.mod that does not fit their number.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, it } from 'node:test';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { api, environment } from '../support/echo-backend.mjs';
import { suiteGateway, testGateway } from '../support/gateway.mjs';
import { HttpService } from '../support/http-service.mjs';
import { RawConnection } from '../support/http.mjs';

const run = promisify(execFile);
const VERSION = 'v2.2.1+incompatible';
const directory = fileURLToPath(new URL('../../build/h2spec/', import.meta.url));
const program = join(directory, 'h2spec');
const FALSE_PREFACE = 'http2/3.5: Sends invalid connection preface';

/** Why the program cannot be had; false if it is there. */
async function unavailable() {
  if (existsSync(program)) return false;
  try {
    await run('go', ['install', `github.com/summerwind/h2spec/cmd/h2spec@${VERSION}`],
      { env: { ...process.env, GOBIN: directory, GOFLAGS: '' }, timeout: 300_000 });
    return false;
  } catch (error) {
    return error.code === 'ENOENT' ? 'there is no Go to build h2spec with'
      : `h2spec could not be built: ${(error.stderr || error.message).trim().split('\n').pop()}`;
  }
}

const skip = await unavailable();

/** Runs all cases against the port: { passed, failed, skipped }, each "section: case" strings. */
async function h2spec(port, ...options) {
  const place = await mkdtemp(join(tmpdir(), 'rgate-h2spec-'));
  const report = join(place, 'report.xml');
  try {
    // The status tells no more than the report.
    await run(program, ['--strict', '--host', '127.0.0.1', '--port', String(port), '--path',
      '/slow', '--timeout', '5', '--junit-report', report, ...options],
    { timeout: 240_000, maxBuffer: 1 << 24 }).catch(() => {});
    const text = await readFile(report, 'utf8');
    const outcome = { passed: [], failed: [], skipped: [] };
    for (const [, section, name, content] of text.matchAll(
      /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)) {
      const kind = content.trim() === '' ? 'passed' : /<skipped/.test(content) ? 'skipped' : 'failed';
      outcome[kind].push(`${section}: ${name.replaceAll('&#34;', '"')}`);
    }
    assert.ok(outcome.passed.length > 140, text);
    return outcome;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** A gateway with a service behind /slow, which answers after 50 ms. */
async function gatewayWithSlowService(t, env = {}) {
  const service = await new HttpService((request, response) =>
    setTimeout(() => response.end('slow'.repeat(100)), 50)).listen();
  t.after(() => service.close());
  const endpoints = ['GET', 'POST'].map((method) => [method.toLowerCase(), method, '/slow']);
  return testGateway(t, { env: environment([api('slow', service.port, endpoints)], env) });
}

describe('conformance to HTTP/2', { skip, timeout: 300_000 }, () => {
  const certificate = suiteCertificate();

  it('h2spec: over TLS every case passes', async (t) => {
    const gateway = await gatewayWithSlowService(t, httpsVariables(certificate.made));
    const { failed, skipped } = await h2spec(gateway.httpsPort, '--tls', '--insecure');
    assert.deepEqual({ failed, skipped }, { failed: [], skipped: [] });
    assert.equal((await gateway.get('/_rig/health')).text, 'OK');
  });

  it('h2spec: with prior knowledge every case passes but the false preface', async (t) => {
    const gateway = await gatewayWithSlowService(t);
    const { failed, skipped } = await h2spec(gateway.port);
    assert.deepEqual({ failed, skipped }, { failed: [FALSE_PREFACE], skipped: [] });
  });
});

describe('a false preface', () => {
  const certificate = suiteCertificate();
  const suite = suiteGateway(() => ({ env: httpsVariables(certificate.made) }));
  const PREFACE = 'INVALID CONNECTION PREFACE\r\n\r\n';

  it('http2: without TLS it is answered in HTTP/1.1, and the connection closed', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    assert.equal((await connection.write(PREFACE).response()).status, 400);
    await connection.closed();
  });

  it('http2: where HTTP/2 was agreed on it is answered by GOAWAY, and the connection closed', async (t) => {
    const connection = await RawConnection.open(suite.gateway.httpsPort,
      { tls: { ca: certificate.made.pem, ALPNProtocols: ['h2'] } });
    t.after(() => connection.close());
    connection.write(PREFACE);
    // SETTINGS, WINDOW_UPDATE and the rest, up to GOAWAY with PROTOCOL_ERROR.
    for (;;) {
      const head = await connection.take(9);
      const payload = await connection.take(head.readUIntBE(0, 3));
      if (head[3] !== 7) continue;
      assert.equal(payload.readUInt32BE(4), 1);
      break;
    }
    await connection.closed();
  });
});
