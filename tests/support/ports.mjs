// Ports that nobody listens on at the moment.
import net from 'node:net';

/** n different free ports of 127.0.0.1. */
export async function freePorts(n) {
  const servers = [];
  for (let i = 0; i < n; i++) {
    const server = net.createServer();
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => { server.close(done); })));
  return ports;
}

/** The first of n neighbouring free ports, below the range that the system gives out itself. */
export async function freePortRange(n) {
  for (;;) {
    const first = 10000 + Math.floor(Math.random() * (20000 - n));
    const taken = await Promise.all(
      Array.from({ length: n }, (_, i) => isTaken(first + i)));
    if (!taken.includes(true)) return first;
  }
}

/** Whether something on this machine listens on the port. */
export function isListening(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function isTaken(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(true));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)));
  });
}
