// Listening sockets handed over by the service manager (LISTEN_FDS).
//
// - The gateway serves on the socket it is given, so nothing is refused while it is restarted.
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { Gateway } from '../support/gateway.mjs';
import { request } from '../support/http.mjs';
import { SseStream } from '../support/sse.mjs';

// sh puts its own process id, which exec keeps, where the protocol wants the receiver's.
const ACTIVATE = ['/bin/sh', '-c', 'export LISTEN_PID=$$; exec "$@"', 'activate'];

async function listener() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

describe('socket activation', () => {
  it('socket-activation: the handed-over socket is served', async (t) => {
    const server = await listener();
    const { port } = server.address();
    const starting = Gateway.start({
      env: { INBOUND_PORT: '1', LISTEN_FDS: '1' },
      via: ACTIVATE,
      stdio: [server._handle.fd],
    });
    server.close(); // here; the gateway has its own descriptor of the same socket
    const gateway = await starting;
    t.after(() => gateway.stop());
    assert.equal(gateway.port, port);
    assert.equal((await request({ port, path: '/_rig/health' })).text, 'OK');
    const stream = await SseStream.open(gateway);
    stream.close();
  });

  it('socket-activation: a process that was not meant ignores the variables', async (t) => {
    const gateway = await Gateway.start({ env: { LISTEN_FDS: '1', LISTEN_PID: '1' } });
    t.after(() => gateway.stop());
    assert.equal((await gateway.get('/_rig/health')).text, 'OK');
  });
});
