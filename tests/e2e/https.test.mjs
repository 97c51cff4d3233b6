// HTTPS.
//
// - With a certificate both HTTPS ports speak TLS, modern TLS only, and the plain ones stay open.
// - A certificate, key or pass phrase that cannot work is told before any port is open.
// - Every transport works over TLS as it does without, and over HTTP/2.
// - A new certificate is taken up without losing a client.
import assert from 'node:assert/strict';
import { copyFile, rename, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { Gateway, V1, runToEnd, testGateway } from '../support/gateway.mjs';
import { TRANSPORTS, assertRefused, connect, subscriptionsOf } from '../support/clients.mjs';
import { FIXTURE, LAST, ev, publish, query, receivedUntilLast, subscribe }
  from '../support/events.mjs';
import { bearer, token } from '../support/jwt.mjs';
import { isListening } from '../support/ports.mjs';
import { selfSigned } from '../support/tls.mjs';
import { Inbox, until, within } from '../support/wait.mjs';

/** A TLS handshake: the socket, or an error with a code. */
function handshake(port, options = {}) {
  const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  return within(new Promise((resolve, reject) => {
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  }), 'the handshake').catch((error) => {
    socket.destroy();
    throw error;
  });
}

/** The program must refuse this environment and name exactly these variables. */
async function assertFails(env, ...names) {
  const { code, stderr, stdout } = await runToEnd(['serve'], { env });
  assert.equal(code, 1, stderr);
  const named = [...stderr.matchAll(/^rgate: configuration error: (\w+): /gm)].map(([, name]) => name);
  assert.deepEqual([...new Set(named)].sort(), names.sort(), stderr);
  assert.doesNotMatch(stdout, /port: http/);
  return stderr;
}

describe('HTTPS settings', () => {
  const certificates = {};

  before(async () => {
    certificates.plain = await selfSigned();
    certificates.other = await selfSigned();
    certificates.locked = await selfSigned({ passphrase: 'open sesame' });
  });
  after(() => Promise.all(Object.values(certificates).map((one) => one.release())));

  it('configuration 24: a part alone is refused', async () => {
    const { certificate, key } = certificates.plain;
    await assertFails({ HTTPS_CERTFILE: certificate }, 'HTTPS_KEYFILE');
    await assertFails({ HTTPS_KEYFILE: key }, 'HTTPS_CERTFILE');
    await assertFails({ HTTPS_KEYFILE_PASS: 'x' }, 'HTTPS_CERTFILE', 'HTTPS_KEYFILE');
  });

  it('configuration 25: both HTTPS ports speak TLS, the others HTTP', async (t) => {
    const gateway = await testGateway(t, { env: certificates.plain.env });
    for (const either of [gateway, gateway.secure]) {
      assert.equal((await either.get('/_rig/health')).text, 'OK');
      assert.equal((await either.internal('/health')).text, 'OK');
    }
    for (const port of [gateway.httpsPort, gateway.internalHttpsPort]) {
      for (const [maxVersion, ciphers] of [['TLSv1', 'ALL:@SECLEVEL=0'], ['TLSv1.1', 'ALL:@SECLEVEL=0'],
        ['TLSv1.2', 'AES128-GCM-SHA256'], ['TLSv1.2', 'ECDHE-ECDSA-AES128-SHA']]) {
        await assert.rejects(
          handshake(port, { minVersion: maxVersion === 'TLSv1.2' ? maxVersion : 'TLSv1', maxVersion, ciphers }),
          /alert|EPROTO|ECONNRESET/, `${maxVersion} ${ciphers}`);
      }
      for (const version of ['TLSv1.2', 'TLSv1.3']) {
        const socket = await handshake(port, { minVersion: version, maxVersion: version });
        assert.equal(socket.getProtocol(), version);
        assert.match(socket.getCipher().name, /GCM|CHACHA20/);
        socket.destroy();
      }
    }
  });

  it('configuration 25: without a certificate the HTTPS ports are closed', async (t) => {
    const gateway = await testGateway(t);
    assert.doesNotMatch(gateway.run.output, /https port/);
    for (const port of [4001, 4011]) {
      if (await isListening(port)) t.diagnostic(`port ${port} is somebody else's`);
    }
  });

  it('configuration 26: an encrypted key and its pass phrase', async (t) => {
    const { env } = certificates.locked;
    const gateway = await testGateway(t, { env });
    assert.equal((await gateway.secure.get('/_rig/health')).text, 'OK');
    const stderr = await assertFails({ ...env, HTTPS_KEYFILE_PASS: 'open barley' }, 'HTTPS_KEYFILE_PASS');
    assert.ok(!stderr.includes('barley'), stderr);
    await assertFails({ ...env, HTTPS_KEYFILE_PASS: '' }, 'HTTPS_KEYFILE_PASS');
  });

  it('configuration 27: a file that is not there, or is something else', async () => {
    const { env, key } = certificates.plain;
    for (const name of ['HTTPS_CERTFILE', 'HTTPS_KEYFILE']) {
      assert.match(await assertFails({ ...env, [name]: '/no/file' }, name), /\/no\/file/);
      await assertFails({ ...env, [name]: '/dev/null' }, name);
    }
    await assertFails({ ...env, HTTPS_CERTFILE: key }, 'HTTPS_CERTFILE');
    await assertFails({ ...env, HTTPS_KEYFILE: certificates.other.key }, 'HTTPS_KEYFILE');
  });
});

describe('clients over TLS', () => {
  let certificate;
  let gateway;

  before(async () => {
    certificate = await selfSigned();
    gateway = await Gateway.start({ env: { ...FIXTURE, ...certificate.env } });
  });
  after(async () => {
    await gateway?.stop();
    await certificate?.release();
  });

  for (const transport of TRANSPORTS) {
    it(`https: ${transport} works over TLS`, async (t) => {
      const client = await connect(t, transport, gateway.secure,
        { jwt: token({ username: 'ada' }), subscriptions: [LAST] });
      assert.deepEqual(subscriptionsOf(client)[0],
        { eventType: 'chat.posted', oneOf: [{ author: 'ada' }] });
      const events = [await publish(gateway, ev('chat.posted', { author: 'ada' })),
        await publish(gateway.secure, ev('chat.posted', { author: 'ada', text: 'x'.repeat(100000) }))];
      await publish(gateway.secure, ev('chat.posted', { author: 'bob' }));
      assert.deepEqual(await receivedUntilLast(client), events);
      await subscribe(client, [LAST]);
      await assertRefused(transport, gateway.secure, { jwt: 'foobar' });
    });
  }

  it('https: a handshake that is never finished costs nobody anything', async (t) => {
    const sockets = Array.from({ length: 50 }, () => net.connect(gateway.httpsPort, '127.0.0.1'));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.write(Buffer.from('16030100a5010000a10303', 'hex'));
    }
    const client = await connect(t, 'ws', gateway.secure, { subscriptions: [LAST] });
    assert.deepEqual(await receivedUntilLast(client), []);
  });

  it('https: plain HTTP on a TLS port is not answered as HTTP', async () => {
    const socket = net.connect(gateway.httpsPort, '127.0.0.1');
    socket.end('GET /_rig/health HTTP/1.1\r\nHost: a\r\n\r\n');
    let bytes = '';
    socket.on('data', (chunk) => { bytes += chunk.toString('latin1'); });
    await within(new Promise((resolve) => {
      socket.on('close', resolve);
      socket.on('error', resolve);
    }), 'the gateway closes');
    assert.doesNotMatch(bytes, /200 OK/);
  });

  it('https: SIGHUP takes up a new certificate, and clients stay', async (t) => {
    const [own, next] = [await selfSigned(), await selfSigned()];
    t.after(() => Promise.all([own.release(), next.release()]));
    const reloading = await testGateway(t, { env: { ...own.env, LOG_LEVEL: 'info' } });
    const fingerprint = async () => {
      const socket = await handshake(reloading.httpsPort);
      socket.destroy();
      return socket.getPeerCertificate().fingerprint256;
    };
    const shown = await fingerprint();
    const client = await connect(t, 'sse', reloading.secure, { subscriptions: [LAST] });

    await writeFile(own.certificate, 'no certificate');
    reloading.run.signal('SIGHUP');
    await reloading.run.printed(/not reloaded/);
    assert.equal(await fingerprint(), shown);

    await copyFile(next.key, own.key);
    await copyFile(next.certificate, `${own.certificate}.next`);
    await rename(`${own.certificate}.next`, own.certificate);
    reloading.run.signal('SIGHUP');
    await until(async () => await fingerprint() !== shown, 'the new certificate is shown');
    assert.deepEqual(await receivedUntilLast(client), []);
  });
});

describe('clients over HTTP/2', () => {
  let certificate;
  let gateway;
  let session;

  before(async () => {
    certificate = await selfSigned();
    gateway = await Gateway.start({ env: { ...FIXTURE, ...certificate.env } });
    session = http2.connect(gateway.secure.url(''), { rejectUnauthorized: false });
    await within(new Promise((resolve, reject) => {
      session.once('connect', resolve);
      session.once('error', reject);
    }), 'an HTTP/2 connection');
  });
  after(async () => {
    session?.destroy();
    await gateway?.stop();
    await certificate?.release();
  });

  /** One request on the shared connection: { status, headers, text }. */
  function ask(headers, body) {
    const stream = session.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    return within(new Promise((resolve, reject) => {
      let text = '';
      let head;
      stream.setEncoding('utf8');
      stream.on('response', (given) => { head = given; });
      stream.on('data', (chunk) => { text += chunk; });
      stream.on('end', () => resolve({ status: head[':status'], headers: head, text }));
      stream.on('error', reject);
    }), 'an answer over HTTP/2');
  }

  /** A stream of events, and their types and data as they come. */
  async function openStream(t, parameters) {
    const stream = session.request({ ':path': `${V1}/connection/sse${query(parameters)}` });
    t.after(() => stream.close());
    const events = new Inbox();
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      const frames = (rest + chunk).split('\n\n');
      rest = frames.pop();
      for (const frame of frames) {
        const data = frame.split('\n').filter((line) => line.startsWith('data: '));
        if (data.length > 0) events.put(JSON.parse(data.map((line) => line.slice(6)).join('\n')));
      }
    });
    const head = await within(new Promise((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('error', reject);
    }), 'the stream is answered');
    assert.equal(head[':status'], 200);
    assert.equal(head['content-type'], 'text/event-stream; charset=utf-8');
    const { data } = await events.next();
    return { events, token: data.connection_token, set: await events.next() };
  }

  it('http2: many streams on one connection, each with its own events', async (t) => {
    assert.equal(session.alpnProtocol, 'h2');
    const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    const streams = await Promise.all(users.map(
      (username) => openStream(t, { jwt: token({ username }), subscriptions: [LAST] })));
    const sent = [];
    for (const author of users) {
      const event = ev('chat.posted', { author });
      const { status, text } = await ask({ ':method': 'POST', ':path': `${V1}/events`,
        'content-type': 'application/json' }, JSON.stringify(event));
      assert.equal(status, 202, text);
      sent.push(event);
    }
    const last = await publish(gateway, ev(LAST.eventType, null));
    for (const [i, { events }] of streams.entries()) {
      assert.deepEqual(await events.next(), sent[i]);
      assert.deepEqual(await events.next(), last);
    }
  });

  it('http2: requests and refusals are what they are over HTTP/1.1', async (t) => {
    assert.equal((await ask({ ':path': '/_rig/health' })).text, 'OK');
    const refused = await ask({ ':path': `${V1}/connection/sse?jwt=foobar` });
    assert.equal(refused.status, 400);
    assert.match(refused.text, /^could not parse subscriptions: could not decode JWT/);
    const { token: id, events } = await openStream(t, {});
    const { status } = await ask({ ':method': 'PUT',
      ':path': `${V1}/connection/sse/${id}/subscriptions`, 'content-type': 'application/json',
      ...bearer(token({ username: 'ada' })) }, '{"subscriptions":[]}');
    assert.equal(status, 204);
    assert.deepEqual((await events.next()).data,
      [{ eventType: 'chat.posted', oneOf: [{ author: 'ada' }] }]);
    const large = ev('chat.posted', { author: 'ada', text: 'x'.repeat(500000) });
    await publish(gateway, large);
    assert.deepEqual(await events.next(), large);
  });

  it('http2: HTTP2=false leaves HTTP/1.1', async (t) => {
    const plain = await testGateway(t, { env: { ...certificate.env, HTTP2: 'false' } });
    const socket = await handshake(plain.httpsPort, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(socket.alpnProtocol, 'http/1.1');
    socket.destroy();
    assert.equal((await plain.secure.get('/_rig/health')).text, 'OK');
  });
});
