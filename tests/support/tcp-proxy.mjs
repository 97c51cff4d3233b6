// A network that fails: a TCP proxy in front of a port, which can hold back, cut and refuse.
import net from 'node:net';

export class TcpProxy {
  port;
  target;
  #server;
  #pairs = new Set();
  #isStalled = false;
  #webSockets = 'pass';

  static async open(target) {
    const proxy = new TcpProxy();
    proxy.target = target;
    proxy.#server = net.createServer((client) => proxy.#accept(client));
    await new Promise((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    proxy.port = proxy.#server.address().port;
    return proxy;
  }

  url(path, scheme = 'ws') {
    return `${scheme}://127.0.0.1:${this.port}${path}`;
  }

  #accept(client) {
    const server = net.connect({ host: '127.0.0.1', port: this.target });
    const pair = { client, server, isHeld: false };
    this.#pairs.add(pair);
    this.#carry(pair, client, server);
    this.#carry(pair, server, client);
    if (this.#isStalled) this.#hold(pair);
  }

  #carry(pair, from, to) {
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      if (from === pair.client && /upgrade: websocket/i.test(chunk.toString('latin1'))) {
        if (this.#webSockets === 'swallow') return;
        if (this.#webSockets === 'reset') {
          this.#end(pair);
          return;
        }
      }
      to.write(chunk);
    });
    // Who is held back does not hear of the other's end, either.
    const over = () => {
      if (!pair.isHeld) this.#end(pair);
    };
    from.on('end', over);
    from.on('close', over);
    from.on('error', () => {});
  }

  #hold(pair) {
    pair.isHeld = true;
    pair.client.pause();
    pair.server.pause();
  }

  #end(pair) {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  }

  /** From now on nothing passes, and nobody is told. */
  stall() {
    this.#isStalled = true;
    for (const pair of this.#pairs) this.#hold(pair);
  }

  /** Everything passes again. Connections whose one end has gone are ended. */
  resume() {
    this.#isStalled = false;
    for (const pair of [...this.#pairs]) {
      pair.isHeld = false;
      if (pair.client.destroyed || pair.server.destroyed) {
        this.#end(pair);
      } else {
        pair.client.resume();
        pair.server.resume();
      }
    }
  }

  /**
   * The same, but connections of before stay as they are: the gateway goes on to believe in them.
   */
  resumeForNewcomers() {
    this.#isStalled = false;
  }

  /** Ends all connections. */
  cut() {
    for (const pair of [...this.#pairs]) this.#end(pair);
  }

  /** What happens to the handshakes of WebSockets: 'pass', 'swallow' (no answer) or 'reset'. */
  set webSockets(how) {
    this.#webSockets = how;
  }

  async close() {
    const closed = new Promise((resolve) => { this.#server.close(resolve); });
    this.cut();
    await closed;
  }
}

/** A proxy for one test. */
export async function testProxy(t, target) {
  const proxy = await TcpProxy.open(target);
  t.after(() => proxy.close());
  return proxy;
}
