// TLS on both ports.
//
// - A certificate and its key open the HTTPS ports; whatever is wrong with them is told at start,
//   by the variable to look at.
// - TLS 1.2 and 1.3, ALPN, resumption; nothing older.
// - Every transport works over TLS as it does without.
// - SIGHUP changes the certificate and drops nobody; a bad one is told and not used.
// - Clients that do not know what they want leave nothing behind.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { FIXTURE, ev, publish, subscribe } from '../support/events.mjs';
import { Gateway, Run, V1, runToEnd, suiteGateway, testGateway } from '../support/gateway.mjs';
import { RawConnection, exchange, request } from '../support/http.mjs';
import {
  httpsVariables, makeCertificate, opensslClient, suiteCertificate, testDirectory,
} from '../support/certificates.mjs';
import { LongPollClient } from '../support/longpoll.mjs';
import { freePorts, isListening } from '../support/ports.mjs';
import { SseStream } from '../support/sse.mjs';
import { until, within } from '../support/wait.mjs';
import { WsClient } from '../support/websocket.mjs';

/** The program must refuse this environment: one line for each of these variables, and no more. */
async function assertFails(env, names, options = {}) {
  const { code, stderr, stdout } = await runToEnd(['serve'], { env, ...options });
  assert.equal(code, 1, stderr);
  const lines = stderr.split('\n').filter((line) => line.startsWith('rgate: configuration error: '));
  assert.deepEqual(lines.map((line) => line.split(': ')[2]).sort(), [...names].sort(), stderr);
  assert.doesNotMatch(stdout, /port: http/);
  return stderr;
}

/** A gateway with a certificate of its own: { gateway, secure, directory, made }. */
async function secureGateway(t, { env = {}, ...options } = {}) {
  const directory = await testDirectory(t);
  const made = await makeCertificate(directory);
  const gateway = await testGateway(t, { env: { ...FIXTURE, ...httpsVariables(made), ...env }, ...options });
  return { gateway, secure: gateway.overTls({ ca: made.pem }), directory, made };
}

/** The certificate that a new connection is shown, as the fingerprint in the log. */
async function shown(gateway) {
  const socket = tls.connect({ host: '127.0.0.1', port: gateway.httpsPort, rejectUnauthorized: false });
  await within(new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  }), 'a handshake');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

describe('variables', () => {
  const suite = suiteCertificate();

  it('configuration 24: a certificate without key, a key without certificate, a pass phrase alone', async () => {
    const { cert, key } = suite.made;
    await assertFails({ HTTPS_CERTFILE: cert }, ['HTTPS_KEYFILE']);
    await assertFails({ HTTPS_CERTFILE: cert, HTTPS_KEYFILE_PASS: 'x' }, ['HTTPS_KEYFILE']);
    await assertFails({ HTTPS_KEYFILE: key }, ['HTTPS_CERTFILE']);
    await assertFails({ HTTPS_KEYFILE_PASS: 'x' }, ['HTTPS_CERTFILE', 'HTTPS_KEYFILE']);
  });

  it('configuration 25: a valid pair opens both HTTPS ports beside the others', async (t) => {
    const gateway = await testGateway(t, { env: httpsVariables(suite.made) });
    const secure = { ca: suite.made.pem };
    const health = { path: '/_rig/health', tls: secure };
    assert.equal((await request({ port: gateway.httpsPort, ...health })).text, 'OK');
    assert.equal((await request({ port: gateway.internalHttpsPort, tls: secure, path: '/health' })).text, 'OK');
    assert.equal((await gateway.get('/_rig/health')).text, 'OK');
    assert.equal((await gateway.internal('/health')).text, 'OK');
    const old = await opensslClient(gateway.httpsPort, ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0']);
    assert.match(old, /alert protocol version/);
  });

  it('configuration 25: the ports are the ones that were asked for', async (t) => {
    const [inbound, internal] = await freePorts(2);
    const gateway = await testGateway(t, {
      env: { ...httpsVariables(suite.made), INBOUND_HTTPS_PORT: `${inbound}`, API_HTTPS_PORT: `${internal}` },
    });
    assert.equal(gateway.httpsPort, inbound);
    assert.equal(gateway.internalHttpsPort, internal);
    assert.ok(await isListening(internal));
  });

  for (const traditional of [false, true]) {
    it(`configuration 26: an encrypted ${traditional ? 'traditional' : 'PKCS#8'} key needs its pass phrase`, async (t) => {
      const locked = await makeCertificate(await testDirectory(t), { pass: 'open sesame', traditional });
      const env = httpsVariables(locked);
      const stderr = await assertFails({ ...env, HTTPS_KEYFILE_PASS: 'close sesame' }, ['HTTPS_KEYFILE_PASS']);
      assert.doesNotMatch(stderr, /close sesame/);
      await assertFails(env, ['HTTPS_KEYFILE_PASS']);
      const gateway = await testGateway(t, { env: { ...env, HTTPS_KEYFILE_PASS: 'open sesame' } });
      assert.equal(await shown(gateway), locked.fingerprint);
    });
  }

  it('configuration 27: a file that is missing or wrong is told with its path', async (t) => {
    const { cert, key } = suite.made;
    let stderr = await assertFails({ HTTPS_CERTFILE: '/no/file', HTTPS_KEYFILE: key }, ['HTTPS_CERTFILE']);
    assert.match(stderr, /\/no\/file/);
    stderr = await assertFails({ HTTPS_CERTFILE: cert, HTTPS_KEYFILE: '/no/key' }, ['HTTPS_KEYFILE']);
    assert.match(stderr, /\/no\/key/);
    await assertFails({ HTTPS_CERTFILE: key, HTTPS_KEYFILE: key }, ['HTTPS_CERTFILE']);
    const other = await makeCertificate(await testDirectory(t));
    stderr = await assertFails({ HTTPS_CERTFILE: cert, HTTPS_KEYFILE: other.key }, ['HTTPS_KEYFILE']);
    assert.match(stderr, /not the one/);
  });

  it('configuration 1: relative paths are looked up in the working directory and below priv/', async (t) => {
    const cwd = await testDirectory(t);
    await mkdir(join(cwd, 'priv'));
    await copyFile(suite.made.cert, join(cwd, 'priv', 'cert.pem'));
    await copyFile(suite.made.key, join(cwd, 'key.pem'));
    const gateway = await testGateway(t, {
      cwd, env: { HTTPS_CERTFILE: 'cert.pem', HTTPS_KEYFILE: 'key.pem' },
    });
    assert.equal(await shown(gateway), suite.made.fingerprint);
  });

  it('configuration 4: two listeners cannot share a port', async (t) => {
    const gateway = await testGateway(t);
    const free = { INBOUND_PORT: '0', API_HTTP_PORT: '0', INBOUND_HTTPS_PORT: '0', API_HTTPS_PORT: '0' };
    const env = { ...free, ...httpsVariables(suite.made) };
    for (const name of ['INBOUND_HTTPS_PORT', 'API_HTTPS_PORT']) {
      await assertFails({ ...env, [name]: String(gateway.port) }, [name]);
    }
    await assertFails({ ...env, INBOUND_HTTPS_PORT: '5555', API_HTTPS_PORT: '5555' }, ['INBOUND_HTTPS_PORT']);
  });

  it('tls: check tells about the certificate and warns before it ends', async (t) => {
    const soon = await makeCertificate(await testDirectory(t), { days: 3 });
    const check = (made) => runToEnd(
      ['check'], { env: { ...FIXTURE, ...httpsVariables(made) } });
    const fine = await check(suite.made);
    assert.equal(fine.code, 0, fine.stderr);
    assert.ok(fine.stdout.includes(suite.made.cert) && fine.stdout.includes(suite.made.fingerprint));
    assert.match(fine.stdout, /ends on \d{4}-\d\d-\d\d, in (29|30) days/);
    assert.equal(fine.stderr, '');
    const warned = await check(soon);
    assert.equal(warned.code, 0);
    assert.match(warned.stderr, /certificate ends soon/);
    assert.match((await runToEnd(['check'], {})).stdout, /https +off/);
  });
});

describe('the protocol', () => {
  const suite = suiteCertificate();
  const shared = suiteGateway(() => ({ env: httpsVariables(suite.made) }));
  const metric = (name, labels) => shared.gateway.metric(name, labels);
  const client = (args, input) => opensslClient(shared.gateway.httpsPort, ['-CAfile', suite.made.cert, ...args], input);

  for (const [option, name] of [['-tls1_2', 'TLSv1.2'], ['-tls1_3', 'TLSv1.3']]) {
    it(`tls: ${name} is spoken, the certificate is the one`, async () => {
      const said = await client([option, '-servername', 'localhost']);
      assert.match(said, new RegExp(`New, ${name}, Cipher is`));
      assert.match(said, /Verify return code: 0 \(ok\)/);
    });

    it(`tls: a ${name} session is resumed`, async (t) => {
      const file = join(await testDirectory(t), 'session');
      const resumed = () => metric('rgate_tls_handshakes_total', { resumed: 'yes' });
      const before_ = await resumed();
      // The answer comes behind the tickets.
      const ask = 'GET /_rig/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
      const first = await client([option, '-ign_eof', '-sess_out', file], ask);
      assert.match(first, /New, TLS/);
      assert.match(first, /OK/);
      const second = await client([option, '-ign_eof', '-sess_in', file], ask);
      assert.match(second, /Reused, TLS/);
      assert.match(second, /OK/);
      assert.equal(await resumed(), before_ + 1);
    });
  }

  it('tls: nothing older, and no suite without forward secrecy or authenticated encryption', async () => {
    const lax = ['-cipher', 'ALL@SECLEVEL=0'];
    for (const option of ['-tls1', '-tls1_1']) {
      assert.match(await client([option, ...lax]), /alert protocol version/);
    }
    for (const suite_ of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES128-SHA256']) {
      assert.match(await client(['-tls1_2', '-cipher', suite_]), /alert handshake failure/);
    }
  });

  it('tls: ALPN has h2 and http/1.1, in this order', async () => {
    assert.match(await client(['-alpn', 'http/1.1,h2']), /ALPN protocol: h2/);
    assert.match(await client(['-alpn', 'http/1.1']), /ALPN protocol: http\/1\.1/);
    assert.match(await client([]), /No ALPN negotiated/);
    assert.match(await client(['-alpn', 'gopher']), /alert no application protocol/);
  });

  it('tls: who speaks plain HTTP is told so', async () => {
    const { status, text } = await exchange(shared.gateway.httpsPort, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.equal(status, 400);
    assert.match(text, /HTTPS/);
    await until(() => metric('rgate_tls_handshake_failures_total', { reason: 'plain_http' }),
      'the failure is counted');
  });

  it('tls: /metrics says when the certificate ends', async () => {
    const ends = await metric('rgate_tls_certificate_not_after_seconds');
    assert.ok(Math.abs(ends - Date.now() / 1000 - 30 * 86400) < 3600, `${ends}`);
  });
});

describe('clients', () => {
  it('tls: requests share a connection, and big ones arrive whole', async (t) => {
    const { secure } = await secureGateway(t);
    const connection = await RawConnection.open(secure.port, { tls: secure.tls });
    t.after(() => connection.close());
    const event = JSON.stringify(ev('chat.posted', { room: 'a', text: randomBytes(1500000).toString('hex') }));
    for (let i = 0; i < 3; i++) {
      connection.write(`POST ${V1}/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n`
        + `content-length: ${event.length}\r\n\r\n${event}`);
      assert.equal((await connection.response()).status, 202);
      connection.write('GET /_rig/health HTTP/1.1\r\nhost: a\r\n\r\n');
      assert.equal((await connection.response()).text, 'OK');
    }
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    it(`tls: all transports receive the same events over ${maxVersion}`, async (t) => {
      const { gateway, secure: view, made } = await secureGateway(t);
      const secure = gateway.overTls({ ca: made.pem, maxVersion });
      assert.equal(view.port, secure.port);
      const clients = [
        await SseStream.open(secure), await WsClient.open(secure), await LongPollClient.open(secure),
      ];
      t.after(() => clients.forEach((client) => client.close()));
      for (const [i, transport] of ['sse', 'ws', 'longpolling'].entries()) {
        await subscribe(clients[i], [{ eventType: 'chat.posted', oneOf: [{ room: 'a' }] }], { transport });
      }
      for (const size of [10, 20000, 300000]) {
        const event = await publish(secure, ev('chat.posted', { room: 'a', text: 'x'.repeat(size) }));
        for (const client of clients) assert.deepEqual(await client.next('chat.posted'), event);
      }
    });
  }

  it('tls: many events in one batch arrive in order', async (t) => {
    const { gateway, secure } = await secureGateway(t);
    const stream = await SseStream.open(secure, { subscriptions: [{ eventType: 'n' }] });
    t.after(() => stream.close());
    await Promise.all(Array.from({ length: 20 }, async (_, part) => {
      for (let i = 0; i < 50; i++) await publish(gateway, ev('n', { part, i, text: 'y'.repeat(997 * (i % 7)) }));
    }));
    const next = Array(20).fill(0);
    for (let i = 0; i < 1000; i++) {
      const { data } = await stream.next('n');
      assert.equal(data.i, next[data.part]++);
    }
  });

  it('tls: a client that does not read is let go, the others notice nothing', async (t) => {
    const { gateway, secure } = await secureGateway(t, {
      env: { HTTP_WRITE_TIMEOUT: '1000', CLIENT_QUEUE_BYTES: '16777216' },
    });
    const path = `${V1}/connection/sse?subscriptions=${encodeURIComponent('[{"eventType":"n"}]')}`;
    const deaf = await RawConnection.open(secure.port, { tls: secure.tls, readsSlowly: true });
    deaf.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    const stream = await SseStream.open(secure, { subscriptions: [{ eventType: 'n' }] });
    t.after(() => [deaf, stream].forEach((client) => client.close()));
    await until(async () => await gateway.metric('rgate_connections') === 2, 'both are connected');
    for (let i = 0; i < 16; i++) {
      await publish(gateway, ev('n', { i, text: randomBytes(300000).toString('hex') }));
      assert.equal((await stream.next('n')).data.i, i);
    }
    await until(async () => await gateway.metric('rgate_connections') === 1, 'the deaf one is gone', 10000);
    await publish(gateway, ev('n', { i: 'after' }));
    assert.equal((await stream.next('n')).data.i, 'after');
  });

  it('tls: who does not finish the handshake is cut, who is only quiet afterwards is not', async (t) => {
    const { gateway, secure } = await secureGateway(t, { env: { HTTP_HEADER_TIMEOUT: '500' } });
    const silent = await RawConnection.open(gateway.httpsPort);
    const half = await RawConnection.open(gateway.httpsPort);
    half.write(Buffer.from('160301020001', 'hex'));
    const quiet = await RawConnection.open(secure.port, { tls: secure.tls });
    t.after(() => [silent, half, quiet].forEach((connection) => connection.close()));
    await silent.closed();
    await half.closed();
    assert.equal(await gateway.metric('rgate_tls_handshake_failures_total', { reason: 'timeout' }), 2);
    quiet.write('GET /_rig/health HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.equal((await quiet.response()).text, 'OK');
  });

  it('tls: the graceful end reaches clients over TLS', async (t) => {
    const { gateway, secure } = await secureGateway(t);
    const stream = await SseStream.open(secure);
    const socket = await WsClient.open(secure);
    t.after(() => [stream, socket].forEach((client) => client.close()));
    await gateway.stop();
    assert.equal(await stream.ended(), 'end');
    assert.equal((await socket.closed()).code, 1001);
  });

  it('tls: handed-over sockets are served by their names', async (t) => {
    const made = await makeCertificate(await testDirectory(t));
    const servers = await Promise.all(['client-https', 'internal-https'].map(async () => {
      const server = net.createServer();
      await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
      return server;
    }));
    const ports = servers.map((server) => server.address().port);
    const starting = Gateway.start({
      env: { ...httpsVariables(made), LISTEN_FDS: '2', LISTEN_FDNAMES: 'internal-https:client-https' },
      via: ['/bin/sh', '-c', 'export LISTEN_PID=$$; exec "$@"', 'activate'],
      stdio: servers.map((server) => server._handle.fd),
    });
    servers.forEach((server) => server.close());
    const gateway = await starting;
    t.after(() => gateway.stop());
    assert.deepEqual([gateway.internalHttpsPort, gateway.httpsPort], ports);
    assert.equal(await shown(gateway), made.fingerprint);
  });

  it('tls: subscribe and publish speak https', async (t) => {
    const { secure, made } = await secureGateway(t);
    const url = `https://localhost:${secure.port}`;
    for (const [more, trust] of [[[], ['--cacert', made.cert]], [['--ws'], ['--insecure']]]) {
      const run = new Run(['subscribe', '--url', url, ...trust, ...more, '--type', 'n', '--count', '1', '--raw']);
      t.after(() => run.signal('SIGKILL'));
      await until(async () => await secure.metric('rgate_connections') === 1, 'it is subscribed');
      const sent = await runToEnd(['publish', '--url', url, ...trust, '--type', 'n', '--data', '{"a":1}']);
      assert.equal(sent.code, 0, sent.stderr);
      assert.equal((await run.exit()).code, 0);
      assert.match(run.stdout, /"data":\{"a":1\}/);
      await until(async () => await secure.metric('rgate_connections') === 0, 'it is gone');
    }
    const refused = await runToEnd(['subscribe', '--url', url, '--type', 'n', '--once'], {}, 10000);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /certificate/);
  });
});

describe('reloading', () => {
  const LOG = { LOG_LEVEL: 'info' };

  it('tls: SIGHUP changes the certificate for new clients and drops none', async (t) => {
    const { gateway, secure, directory, made } = await secureGateway(t, { env: LOG });
    const subscriptions = [{ eventType: 'n' }];
    const clients = [];
    for (let i = 0; i < 10; i++) clients.push(await SseStream.open(secure, { subscriptions }));
    clients.push(await WsClient.open(secure, { subscriptions }));
    t.after(() => clients.forEach((client) => client.close()));
    const idle = await RawConnection.open(secure.port, { tls: secure.tls });
    t.after(() => idle.close());
    assert.equal(await shown(gateway), made.fingerprint);

    let last = made;
    for (let round = 0; round < 3; round++) {
      last = await makeCertificate(directory, { days: 40 + round });
      gateway.run.signal('SIGHUP');
      await gateway.run.printed(new RegExp(`certificate reloaded fingerprint=${last.fingerprint} not_after=\\d{4}-`));
      assert.equal(await shown(gateway), last.fingerprint);
      await publish(gateway, ev('n', { round }));
      for (const client of clients) assert.equal((await client.next('n')).data.round, round);
    }
    idle.write('GET /_rig/health HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.equal((await idle.response()).text, 'OK');
    const late = gateway.overTls({ ca: last.pem });
    assert.equal((await late.get('/_rig/health')).text, 'OK');
    assert.equal(await gateway.metric('rgate_connections'), clients.length);
  });

  it('tls: a session from before the reload is resumed after it', async (t) => {
    const { gateway, secure, directory } = await secureGateway(t, { env: LOG });
    const connect = (session) => new Promise((resolve, reject) => {
      const socket = tls.connect({ port: secure.port, ...secure.tls, rejectUnauthorized: false, session });
      t.after(() => socket.destroy());
      socket.once('error', reject);
      socket.once('session', (ticket) => resolve({ socket, ticket }));
    });
    const first = await within(connect(), 'a ticket');
    await makeCertificate(directory);
    gateway.run.signal('SIGHUP');
    await gateway.run.printed(/certificate reloaded/);
    assert.equal((await within(connect(first.ticket), 'a second one')).socket.isSessionReused(), true);
  });

  it('tls: a bad certificate or key is told and not used', async (t) => {
    const { gateway, secure, directory, made } = await secureGateway(t);
    const stream = await SseStream.open(secure, { subscriptions: [{ eventType: 'n' }] });
    t.after(() => stream.close());
    const reload = async (pattern) => {
      gateway.run.signal('SIGHUP');
      await gateway.run.printed(pattern);
      assert.equal(await shown(gateway), made.fingerprint);
    };
    await writeFile(made.cert, 'no certificate\n');
    await reload(/\[error\] certificate not reloaded, the old one stays in use variable=HTTPS_CERTFILE reason=.*no PEM certificate/);
    await rm(made.cert);
    await reload(/variable=HTTPS_CERTFILE reason=.*cert\.pem cannot be read: No such file/);
    const other = await makeCertificate(await testDirectory(t));
    await copyFile(other.cert, made.cert);
    await reload(/variable=HTTPS_KEYFILE reason=.*is not the one of/);
    await publish(gateway, ev('n', {}));
    await stream.next('n');

    const good = await makeCertificate(directory, { days: 2 });
    gateway.run.signal('SIGHUP');
    await gateway.run.printed(new RegExp(`certificate ends soon .*fingerprint=${good.fingerprint}`));
    assert.equal(await shown(gateway), good.fingerprint);
  });

  it('tls: SIGHUP without HTTPS is told and harmless', async (t) => {
    const gateway = await testGateway(t, { env: LOG });
    await gateway.run.printed(/\[info\] https is off/);
    // Who answers is the loop that hears signals; the thread sanitizer loses those before it.
    assert.equal((await gateway.internal('/health')).status, 200);
    gateway.run.signal('SIGHUP');
    await gateway.run.printed(/nothing to reload/);
    assert.equal((await gateway.get('/_rig/health')).text, 'OK');
  });
});

describe('development', () => {
  it('tls: dev makes a certificate and says so', async (t) => {
    const gateway = await testGateway(t, { command: 'dev', args: ['--no-demo'] });
    await gateway.run.printed(/certificate: made for this run/);
    const secure = gateway.overTls({ rejectUnauthorized: false });
    assert.equal((await secure.get('/_rig/health')).text, 'OK');
    const fingerprint = await shown(gateway);
    const other = await testGateway(t, { command: 'dev', args: ['--no-demo'] });
    assert.notEqual(await shown(other), fingerprint);
  });
});

describe('unruly clients', () => {
  const suite = suiteCertificate();
  const shared = suiteGateway(() => ({ env: httpsVariables(suite.made) }));

  it('tls: leave nothing behind', async () => {
    const { gateway } = shared;
    const secure = { host: '127.0.0.1', port: gateway.httpsPort, rejectUnauthorized: false };
    const path = `${V1}/connection/sse?subscriptions=${encodeURIComponent('[{"eventType":"n"}]')}`;
    const get = `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
    const turns = async (n) => {
      for (let i = 0; i < n; i++) await new Promise((resolve) => { setImmediate(resolve); });
    };

    const plainSocket = (bytes) => async () => {
      const socket = net.connect(secure);
      socket.on('error', () => {}).on('data', () => {});
      socket.write(bytes);
      await turns(20);
      socket.destroy();
    };
    const tlsSocket = (act, options = {}) => async () => {
      const raw = net.connect(secure);
      const socket = tls.connect({ ...secure, ...options, socket: raw });
      raw.on('error', () => {});
      socket.on('error', () => {}).on('data', () => {});
      await act(socket, raw);
      raw.destroy();
    };
    const ready = (socket) => new Promise((resolve) => {
      socket.once('secureConnect', resolve);
      socket.once('close', resolve);
    });
    const acts = [
      plainSocket(''),
      plainSocket('GET / HTTP/1.1\r\n\r\n'),
      plainSocket(randomBytes(3000)),
      plainSocket(Buffer.from('16030100ff010000fb0303', 'hex')),
      plainSocket(Buffer.from('1603014000', 'hex')),
      tlsSocket(async () => { await turns(3); }),
      tlsSocket(async (socket) => { await ready(socket); }),
      tlsSocket(async (socket) => { await ready(socket); socket.write(get); await turns(30); }),
      tlsSocket(async (socket) => { await ready(socket); socket.write(get); await turns(30); }, { maxVersion: 'TLSv1.2' }),
      tlsSocket(async (socket) => { socket.end(get); await turns(40); }),
      tlsSocket(async (socket, raw) => { await ready(socket); raw.write(randomBytes(100)); await turns(20); }),
      tlsSocket(async (socket, raw) => { await ready(socket); socket.write(get); raw.write('GET / HTTP/1.1\r\n\r\n'); await turns(20); }),
      tlsSocket(async (socket, raw) => { await ready(socket); raw.write(Buffer.from('1703034000', 'hex')); await turns(20); }),
      tlsSocket(async (socket) => { await ready(socket); socket.write(randomBytes(50000)); await turns(20); }),
      tlsSocket(async (socket) => { socket.disableRenegotiation?.(); await ready(socket); socket.renegotiate({}, () => {}); await turns(20); }, { maxVersion: 'TLSv1.2' }),
    ];
    const stream = await SseStream.open(gateway.overTls({ ca: suite.made.pem }), { subscriptions: [{ eventType: 'n' }] });
    for (let round = 0; round < 27; round++) {
      await Promise.all([...acts.map((act) => act()), publish(gateway, ev('n', { round, text: 'z'.repeat(50000) }))]);
      assert.equal((await stream.next('n')).data.round, round);
    }
    stream.close();
    await until(async () => await gateway.metric('rgate_connections') === 0
      && await gateway.metric('rgate_http_connections') <= 1, 'all are gone', 20000);
    gateway.run.assertHealthy();
    assert.equal((await gateway.get('/_rig/health')).text, 'OK');
  });
});
