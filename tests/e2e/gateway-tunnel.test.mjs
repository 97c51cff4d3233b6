// WebSockets, and other protocols, through the gateway to a service.
//
// - An endpoint that takes upgrades leads to a service that switches, in both versions of HTTP.
// - What both sides say goes through as it is, however much, and each waits for the other.
// - Where one side leaves, so does the other; at the end of the gateway all are cut in time.
// - An endpoint that does not take them makes a plain request of it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Gateway, testGateway } from '../support/gateway.mjs';
import { makeCertificate, testDirectory } from '../support/certificates.mjs';
import { H2Client } from '../support/h2.mjs';
import { RawConnection } from '../support/http.mjs';
import { load } from '../support/packages.mjs';
import { token } from '../support/jwt.mjs';
import { FIXTURE } from '../support/events.mjs';
import { Inbox, deferred, until, within } from '../support/wait.mjs';
import { OPCODE, handshake } from '../support/websocket.mjs';

const WebSocket = load('ws');

/** A service with WebSockets that echo, and other things at other paths. */
class SocketService {
  requests = [];                  // of upgrades
  sockets = new Inbox();
  plain = [];                     // requests without one
  #server;
  #all = new Set();

  async listen() {
    const upgraded = new WebSocket.Server({ noServer: true, perMessageDeflate: true,
      handleProtocols: (protocols) => [...protocols][0] });
    this.#server = http.createServer((req, res) => {
      this.plain.push(req);
      res.end(`plain ${req.headers.upgrade ?? 'request'}`);
    });
    this.#server.on('connection', (socket) => this.#all.add(socket));
    this.#server.on('upgrade', (req, socket, head) => {
      this.requests.push(req);
      socket.on('error', () => {});
      if (req.url === '/ws/refused') {
        socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno');
      } else if (req.url === '/ws/polite') {
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi');
      } else if (req.headers.upgrade === 'lines/1') {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n'
          + 'upgrade: lines/1\r\n\r\nwelcome\n');
        this.sockets.put(socket);
      } else if (req.url === '/ws/liar') {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n'
          + 'upgrade: websocket\r\nsec-websocket-accept: bm90IHRoaXM=\r\n\r\n');
      } else {
        upgraded.handleUpgrade(req, socket, head, (ws) => {
          this.sockets.put(ws);
          ws.on('error', () => {});
          ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
        });
      }
    });
    await new Promise((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    this.port = this.#server.address().port;
    return this;
  }

  async close() {
    const closed = new Promise((resolve) => { this.#server.close(resolve); });
    for (const socket of this.#all) socket.destroy();
    await closed;
  }
}

const definitions = (port) => JSON.stringify([{
  id: 'sockets', name: 'Sockets', auth_type: 'jwt',
  auth: { use_header: true, header_name: 'Authorization', use_query: true, query_name: 'token' },
  version_data: { default: { endpoints: [
    { id: 'ws', method: 'GET', path_regex: '/ws/[a-z]+', upgrade: true },
    { id: 'mine', method: 'GET', path_regex: '/mine', upgrade: true, secured: true },
    { id: 'plain', method: 'GET', path_regex: '/plain' },
  ] } },
  proxy: { target_url: '127.0.0.1', port },
}]);
const environment = (port, more) => ({ ...FIXTURE, PROXY_CONFIG_FILE: definitions(port), ...more });

/** A client that is connected: { socket, messages, closed }. */
async function connect(t, gateway, path, protocols = [], options = {}) {
  const socket = new WebSocket(gateway.url(path, 'ws'), protocols,
    { rejectUnauthorized: false, ...gateway.tls, ...options });
  const messages = new Inbox();
  const closed = deferred();
  socket.on('message', (data, isBinary) => messages.put(isBinary ? data : data.toString()));
  socket.on('error', () => {});
  socket.on('close', (code) => closed.resolve(code));
  t.after(() => socket.terminate());
  await within(new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  }), 'the WebSocket opens');
  return { socket, messages, closed: closed.promise };
}

/** The status with which a WebSocket is refused. */
const refusal = (gateway, path, options) => new Promise((resolve, reject) => {
  const socket = new WebSocket(gateway.url(path, 'ws'), options);
  socket.on('error', () => {});
  socket.on('unexpected-response', (_, response) => {
    let text = '';
    response.on('data', (chunk) => { text += chunk; });
    response.on('end', () => resolve({ status: response.statusCode, text }));
  });
  socket.on('open', () => reject(new Error('it opened')));
});

describe('a WebSocket to a service', () => {
  let service;
  let gateway;

  before(async () => {
    service = await new SocketService().listen();
    gateway = await Gateway.start({ env: environment(service.port) });
  });
  after(async () => {
    await gateway?.stop();
    await service?.close();
  });

  it('gateway: messages go through in both directions', async (t) => {
    const { socket, messages } = await connect(t, gateway, '/ws/echo?a=b');
    socket.send('hello');
    assert.equal(await messages.next('the echo'), 'hello');
    const ws = await service.sockets.next('the socket of the service');
    ws.send('from the service');
    assert.equal(await messages.next('its own message'), 'from the service');
    const req = service.requests.at(-1);
    assert.equal(req.url, '/ws/echo?a=b');
    assert.equal(req.headers.host, `127.0.0.1:${service.port}`);
    assert.match(req.headers.forwarded, /^for=127\.0\.0\.1;by=/);
    socket.close(4001);
    const code = await within(new Promise((resolve) => { ws.once('close', resolve); }), 'the end');
    assert.equal(code, 4001);
  });

  it('gateway: subprotocols and extensions are between the two of them', async (t) => {
    const { socket, messages } = await connect(t, gateway, '/ws/echo', ['chat.v2', 'chat.v1']);
    await service.sockets.next('the socket of the service');
    assert.equal(socket.protocol, 'chat.v2');
    assert.match(socket.extensions, /permessage-deflate/);
    socket.send('x'.repeat(100000));
    assert.equal((await messages.next('the echo')).length, 100000);
  });

  it('gateway: however much is sent, it arrives', async (t) => {
    const { socket, messages } = await connect(t, gateway, '/ws/echo', [],
      { perMessageDeflate: false });
    await service.sockets.next('the socket of the service');
    const sent = createHash('sha256');
    const got = createHash('sha256');
    for (let i = 0; i < 64; i++) {
      const piece = randomBytes(256 << 10);
      sent.update(piece);
      socket.send(piece);
    }
    for (let i = 0; i < 64; i++) got.update(await messages.next('a piece', 20000));
    assert.equal(got.digest('hex'), sent.digest('hex'));
  });

  it('gateway: a side that does not read holds the other back', async (t) => {
    const { socket } = await connect(t, gateway, '/ws/echo', [], { perMessageDeflate: false });
    const ws = await service.sockets.next('the socket of the service');
    socket.pause();
    const piece = Buffer.alloc(1 << 20);
    for (let i = 0; i < 96; i++) ws.send(piece);
    let last = -1;
    await until(() => {
      const same = ws.bufferedAmount === last;
      last = ws.bufferedAmount;
      return same && last > 0;
    }, 'the service is held back');
    assert.ok(last > 32 << 20, `${last} bytes wait at the service`);
    assert.equal((await gateway.get('/plain')).text, 'plain request');
    socket.resume();
    await until(() => ws.bufferedAmount === 0, 'the rest goes through', 20000);
  });

  it('gateway: where the client leaves without a word, the service is left', async (t) => {
    const { socket } = await connect(t, gateway, '/ws/echo');
    const ws = await service.sockets.next('the socket of the service');
    const gone = new Promise((resolve) => { ws.once('close', resolve); });
    socket.terminate();
    assert.equal(await within(gone, 'the service is left'), 1006);
  });

  it('gateway: where the service breaks, so does the client\'s', async (t) => {
    const { closed } = await connect(t, gateway, '/ws/echo');
    (await service.sockets.next('the socket of the service')).terminate();
    assert.equal(await within(closed, 'the client is left'), 1006);
  });

  it('gateway: a service that does not want to is heard', async () => {
    assert.deepEqual(await refusal(gateway, '/ws/refused'), { status: 403, text: 'no' });
  });

  it('gateway: a secured endpoint needs a token before anything is switched', async (t) => {
    const seen = service.requests.length;
    assert.deepEqual(await refusal(gateway, '/mine'),
      { status: 401, text: 'Authentication failed.' });
    assert.equal(service.requests.length, seen);
    const { socket, messages } = await connect(t, gateway, `/mine?token=${token({})}`);
    await service.sockets.next('the socket of the service');
    socket.send('hi');
    assert.equal(await messages.next('the echo'), 'hi');
  });

  it('api-gateway 8.3: an endpoint that takes none makes a plain request of it', async (t) => {
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    connection.write(handshake('/plain'));
    const { status, text } = await connection.response();
    assert.equal(status, 200);
    assert.equal(text, 'plain request');
    assert.equal(service.plain.at(-1).headers.connection?.includes('upgrade') ?? false, false);
  });

  it('gateway: any protocol may follow, and one side may end before the other', async (t) => {
    const connection = await RawConnection.open(gateway.port);
    t.after(() => connection.close());
    connection.write('GET /ws/lines HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n'
      + 'upgrade: lines/1\r\n\r\nearly\n');
    const head = await connection.head();
    assert.equal(head.status, 101);
    assert.equal(head.headers.upgrade, 'lines/1');
    await connection.take('welcome\n');
    const socket = await service.sockets.next('the socket of the service');
    const heard = new Inbox();
    socket.on('data', (chunk) => heard.put(chunk.toString()));
    assert.equal(await heard.next('what was said too early'), 'early\n');
    socket.end('goodbye\n');
    await connection.take('goodbye\n');
    connection.write('and you\n');
    assert.equal(await heard.next('the last word'), 'and you\n');
  });

  it('gateway: a WebSocket over HTTP/2 becomes one over HTTP/1.1', async (t) => {
    const client = await H2Client.open(t, gateway);
    const { status, headers, socket } = await client.connect('/ws/echo',
      { 'sec-websocket-protocol': 'chat.v1' });
    assert.equal(status, 200);
    assert.equal(headers['sec-websocket-protocol'], 'chat.v1');
    assert.equal(headers['sec-websocket-accept'], undefined);
    await service.sockets.next('the socket of the service');
    const req = service.requests.at(-1);
    assert.equal(req.httpVersion, '1.1');
    assert.equal(req.method, 'GET');
    assert.match(req.headers['sec-websocket-key'], /^[A-Za-z0-9+/]{22}==$/);
    socket.send(OPCODE.text, 'over HTTP/2');
    const frame = await socket.frame();
    assert.equal(frame.opcode, OPCODE.text);
    assert.equal(frame.payload.toString(), 'over HTTP/2');
  });

  it('gateway: of HTTP/2 only what leads to a tunnel is one', async (t) => {
    const client = await H2Client.open(t, gateway);
    assert.equal((await client.connect('/plain')).status, 501);
    assert.equal((await client.connect('/mine')).status, 401);
    assert.equal((await client.connect('/nowhere')).status, 404);
    assert.equal((await client.connect('/ws/refused')).status, 403);
    assert.equal((await client.connect('/ws/liar')).status, 502);
    assert.equal((await client.connect('/ws/polite')).status, 502);
    assert.deepEqual(await refusal(gateway, '/ws/polite'), { status: 200, text: 'hi' });
  });

  it('gateway: tunnels are counted', async (t) => {
    await until(async () => await gateway.metric('rgate_proxy_tunnels') === 0, 'all have ended');
    const before = await gateway.metric('rgate_proxy_tunnels_total');
    const { socket } = await connect(t, gateway, '/ws/echo');
    await service.sockets.next('the socket of the service');
    assert.equal(await gateway.metric('rgate_proxy_tunnels'), 1);
    assert.equal(await gateway.metric('rgate_proxy_tunnels_total'), before + 1);
    assert.equal(await gateway.metric('rig_proxy_requests_total',
      { path: '/ws/refused', status: 'ok' }), 2);
    socket.terminate();
    await until(async () => await gateway.metric('rgate_proxy_tunnels') === 0, 'it is gone');
  });
});

describe('tunnels in TLS', () => {
  it('gateway: a WebSocket that comes through TLS goes on like any other', async (t) => {
    const service = await new SocketService().listen();
    t.after(() => service.close());
    const { cert, key } = await makeCertificate(await testDirectory(t));
    const gateway = await testGateway(t, { env: environment(service.port,
      { HTTPS_CERTFILE: cert, HTTPS_KEYFILE: key }) });
    const { socket, messages, closed } = await connect(t, gateway.overTls(), '/ws/echo', [],
      { perMessageDeflate: false });
    const ws = await service.sockets.next('the socket of the service');
    const piece = randomBytes(5 << 20);
    socket.send(piece);
    assert.ok(piece.equals(await messages.next('the echo', 20000)));
    ws.close(4002);
    assert.equal(await within(closed, 'it is closed'), 4002);
  });
});

describe('the end of tunnels', () => {
  it('shutdown: a tunnel that ends by itself is waited for', async (t) => {
    const service = await new SocketService().listen();
    t.after(() => service.close());
    const gateway = await testGateway(t, { env: environment(service.port) });
    const { socket, messages, closed } = await connect(t, gateway, '/ws/echo');
    gateway.run.signal('SIGTERM');
    await until(async () => (await gateway.internal('/health')).status === 503, 'it is ending');
    socket.send('still there');
    assert.equal(await messages.next('the echo'), 'still there');
    socket.close(1000);
    assert.equal(await within(closed, 'it is closed'), 1000);
    assert.equal((await gateway.run.exit(10000)).code, 0);
  });

  it('shutdown: one that does not is cut when the time is over', async (t) => {
    const service = await new SocketService().listen();
    t.after(() => service.close());
    const gateway = await testGateway(t,
      { env: environment(service.port, { SHUTDOWN_TIMEOUT: '1000' }) });
    const { closed } = await connect(t, gateway, '/ws/echo');
    gateway.run.signal('SIGTERM');
    assert.equal(await within(closed, 'it is cut'), 1006);
    assert.equal((await gateway.run.exit(10000)).code, 0);
  });
});
