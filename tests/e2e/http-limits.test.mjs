// HTTP as a stranger may speak it.
//
// - What exceeds a limit is answered with that limit's status, never with silence.
// - What two parsers could read differently is refused, and the connection ends with it.
// - What is merely unusual works: small pieces, pipelines, chunks.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { LAST, ev, publish, receivedUntilLast } from '../support/events.mjs';
import { RawConnection, exchange } from '../support/http.mjs';
import { SseStream } from '../support/sse.mjs';
import { OPCODE, RawWebSocket } from '../support/websocket.mjs';

const HEALTH = '/_rig/health';
const EVENTS = `${V1}/events`;
const get = (headers = '', path = HEALTH) => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const event = JSON.stringify(ev('chat.posted', {}));
const postHead = (headers) =>
  `POST ${EVENTS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}\r\n`;
const chunk = (text, more = '') => `${Buffer.byteLength(text).toString(16)}${more}\r\n${text}\r\n`;

describe('limits of HTTP', () => {
  const suite = suiteGateway({ env: {
    MAX_EVENT_BYTES: '100000', HTTP_HEADER_TIMEOUT: '400', HTTP_IDLE_TIMEOUT: '60000' } });

  const answers = (name, bytes, status) => it(name, async () => {
    const response = await exchange(suite.gateway.port, bytes);
    assert.equal(response.status, status, response.text);
  });

  answers('configuration 28: a header of 16000 bytes is accepted', get(`X: ${'x'.repeat(16000)}\r\n`), 200);
  answers('configuration 28: a header of 20000 bytes is too large', get(`X: ${'x'.repeat(20000)}\r\n`), 431);
  answers('configuration 28: 100 headers are accepted',
    get(Array.from({ length: 99 }, (_, i) => `X${i}: y\r\n`).join('')), 200);
  answers('configuration 28: 101 headers are too many',
    get(Array.from({ length: 100 }, (_, i) => `X${i}: y\r\n`).join('')), 431);
  answers('configuration 28: many headers that are too large together',
    get(Array.from({ length: 20 }, (_, i) => `X${i}: ${'y'.repeat(4000)}\r\n`).join('')), 431);
  answers('client-api 1.4: a request line of 16 KiB is accepted',
    get('', `${HEALTH}?${'x'.repeat(16384 - 40)}`), 200);
  answers('client-api 1.4: a longer request line is too long',
    get('', `${HEALTH}?${'x'.repeat(20000)}`), 414);
  answers('client-api 1.4: a request line without end is too long', `GET /${'x'.repeat(100000)}`, 414);
  answers('configuration section 5: a method name of 33 bytes', `${'M'.repeat(33)} / HTTP/1.1\r\nHost: a\r\n\r\n`, 501);

  answers('client-api 11.8: a body that is announced as too large is not read',
    postHead('Content-Length: 100001\r\n'), 413);
  answers('client-api 11.8: a length beyond all numbers is refused',
    postHead('Content-Length: 99999999999999999999\r\n'), 400);
  it('client-api 11.8: a chunked body that becomes too large is cut', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(postHead('Transfer-Encoding: chunked\r\n'));
    for (let i = 0; i < 11; i++) connection.write(chunk('x'.repeat(10000)));
    assert.equal((await connection.response()).status, 413);
  });

  it('configuration section 5: a head that does not end is given up', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write('GET / HTTP/1.1\r\nHost: a\r\n');
    assert.equal((await connection.response()).status, 408);
    await connection.closed();
  });

  it('configuration section 5: a slow trickle of header bytes is given up as well', async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write('GET / HTTP/1.1\r\n');
    const trickle = setInterval(() => connection.write('X: y\r\n'), 50);
    t.after(() => clearInterval(trickle));
    assert.equal((await connection.response()).status, 408);
  });
});

describe('odd but proper requests', () => {
  const suite = suiteGateway({});
  const open = async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    return connection;
  };

  it('client-api 1.3: a connection is kept and reused', async (t) => {
    const connection = await open(t);
    for (let i = 0; i < 100; i++) {
      connection.write(get());
      assert.equal((await connection.response()).text, 'OK');
    }
  });

  it('client-api 1.3: requests in one packet are answered in order', async (t) => {
    const connection = await open(t);
    const post = postHead(`Content-Length: ${event.length}\r\n`) + event;
    connection.write(get() + post + get('', '/nowhere') + post + get());
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await connection.response()).status);
    assert.deepEqual(statuses, [200, 202, 404, 202, 200]);
  });

  it('client-api 1.3: a request may arrive byte by byte', async (t) => {
    const connection = await open(t);
    for (const byte of postHead(`Content-Length: ${event.length}\r\n`) + event) {
      connection.write(byte);
      await new Promise(setImmediate);
    }
    assert.equal((await connection.response()).status, 202);
  });

  it('client-api 1.3: Connection: close is respected', async (t) => {
    const connection = await open(t);
    connection.write(get('Connection: close\r\n'));
    const { status, headers } = await connection.response();
    assert.equal(status, 200);
    assert.equal(headers.connection, 'close');
    assert.equal(await connection.closed(), 'end');
  });

  it('client-api 1.3: HTTP/1.0 ends with its response', async (t) => {
    const connection = await open(t);
    connection.write(`GET ${HEALTH} HTTP/1.0\r\n\r\n`);
    assert.equal((await connection.response()).status, 200);
    assert.equal(await connection.closed(), 'end');
  });

  it('client-api 1.3: HEAD has the head of GET and no body', async (t) => {
    const connection = await open(t);
    connection.write(`HEAD ${HEALTH} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.deepEqual((await connection.head()).headers['content-length'], '2');
    connection.write(get());
    assert.equal((await connection.response()).text, 'OK');
  });

  it('client-api 1.3: a chunked body with extensions and trailers', async (t) => {
    const connection = await open(t);
    const parts = [event.slice(0, 7), event.slice(7)];
    connection.write(postHead('Transfer-Encoding: chunked\r\n') + chunk(parts[0], ';a=b')
      + chunk(parts[1], ';c="d"') + '0\r\nX-Trailer: y\r\n\r\n' + get());
    assert.equal((await connection.response()).status, 202);
    assert.equal((await connection.response()).status, 200);
  });

  it('client-api 1.3: Expect: 100-continue is answered before the body', async (t) => {
    const connection = await open(t);
    connection.write(postHead(`Content-Length: ${event.length}\r\nExpect: 100-continue\r\n`));
    assert.equal((await connection.head()).status, 100);
    connection.write(event);
    assert.equal((await connection.response()).status, 202);
  });

  it('client-api 1.5: a slash at the end of a path is ignored', async () => {
    assert.equal((await suite.gateway.get(`${HEALTH}/`)).status, 200);
  });

  it('client-api 1.6: a malformed query is refused', async () => {
    for (const query of ['%', '%zz', 'jwt=%1', '%ff=1']) {
      const { status } = await exchange(
        suite.gateway.port, get('', `${V1}/connection/sse?${query}`));
      assert.equal(status, 400, query);
    }
  });

  it('client-api 1.6: a parameter without an equals sign is absent', async (t) => {
    const connection = await open(t);
    connection.write(get('', `${V1}/connection/sse?jwt&subscriptions`));
    assert.equal((await connection.head()).status, 200);
  });

  it('hardening: a request behind a stream\'s request is not answered', async (t) => {
    const connection = await open(t);
    connection.write(get('', `${V1}/connection/sse`) + get());
    assert.equal((await connection.head()).status, 200);
    await connection.take('rig.subscriptions_set');
    connection.endWriting();
    const rest = await connection.closed().then(() => connection.take('HTTP/1.1'))
      .catch((error) => error.message);
    assert.match(rest, /^closed before/);
  });

  it('hardening: half a WebSocket frame costs the gateway nothing', async (t) => {
    const ws = await RawWebSocket.openAndGreet(suite.gateway);
    t.after(() => ws.close());
    // Claims 2 GiB and sends a little more than a client's message may have.
    ws.send(OPCODE.text, 'a'.repeat(5000), { length: 2 ** 31 - 1 });
    const frame = await ws.frame();
    assert.equal(frame.opcode, OPCODE.close);
    assert.ok([1000, 1009].includes(frame.code), String(frame.code));
  });

  it('hardening: a message of endless fragments is cut', async (t) => {
    const ws = await RawWebSocket.openAndGreet(suite.gateway);
    t.after(() => ws.close());
    ws.send(OPCODE.text, 'a', { fin: false });
    for (let i = 0; i < 70; i++) ws.send(OPCODE.continuation, '', { fin: false });
    assert.equal((await ws.frame()).opcode, OPCODE.close);
  });
});

describe('requests that two parsers could read differently', () => {
  const suite = suiteGateway({});
  const refuses = (what, bytes, status = 400) => it(`hardening: ${what}`, async (t) => {
    const connection = await RawConnection.open(suite.gateway.port);
    t.after(() => connection.close());
    connection.write(bytes);
    const response = await connection.response();
    assert.equal(response.status, status, response.text);
    assert.equal(await connection.closed(), 'end');
    await assert.rejects(connection.take('HTTP/1.1 '), /closed before/,
      'nothing behind it is answered');
  });
  const line = (header) => get(`${header}\r\n`) + get();
  const body = (headers, text) => postHead(headers) + text + get();

  refuses('two lengths', body('Content-Length: 1\r\nContent-Length: 2\r\n', 'xx'));
  refuses('one length twice', body('Content-Length: 2\r\nContent-Length: 2\r\n', '{}'));
  refuses('a list of lengths', body('Content-Length: 2, 2\r\n', '{}'));
  refuses('a signed length', body('Content-Length: +2\r\n', '{}'));
  refuses('a hexadecimal length', body('Content-Length: 0x2\r\n', '{}'));
  refuses('an empty length', body('Content-Length: \r\n', '{}'));
  refuses('a negative length', body('Content-Length: -1\r\n', ''));
  refuses('a length and a transfer coding',
    body('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'));
  refuses('a transfer coding in HTTP/1.0',
    `POST ${EVENTS} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get()}`);
  for (const [coding, status] of [['chunked, chunked', 400], ['gzip, chunked', 501],
    ['xchunked', 501], ['identity', 501]]) {
    it(`hardening: the transfer coding ${coding}`, async () => {
      const response = await exchange(
        suite.gateway.port, body(`Transfer-Encoding: ${coding}\r\n`, '0\r\n\r\n'));
      assert.ok([400, status].includes(response.status), String(response.status));
    });
  }
  refuses('white space before a colon', line('X : y'));
  refuses('white space before the transfer coding\'s colon',
    body('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'));
  refuses('a folded line', line('X: y\r\n z'));
  refuses('an empty name', line(': y'));
  refuses('a line without a colon', line('X'));
  refuses('a bare CR in a value', line('X: y\rZ: w'));
  refuses('a NUL in a value', line('X: \0'));
  refuses('a control byte in a value', line('X: \x01'));
  refuses('a control byte in the target', get('', '/a\x01') + get());
  refuses('bare LF as line ends', `GET ${HEALTH} HTTP/1.1\nHost: a\n\n${get()}`);
  refuses('two spaces in the request line', `GET  ${HEALTH} HTTP/1.1\r\nHost: a\r\n\r\n${get()}`);
  refuses('a request line without version', `GET ${HEALTH}\r\n\r\n${get()}`);
  refuses('HTTP/2.0 in a request line', `GET ${HEALTH} HTTP/2.0\r\nHost: a\r\n\r\n${get()}`, 505);
  refuses('no host', `GET ${HEALTH} HTTP/1.1\r\n\r\n${get()}`);
  refuses('two hosts', line('Host: b'));
  refuses('an authority that is not the host',
    `GET http://b${HEALTH} HTTP/1.1\r\nHost: a\r\n\r\n${get()}`);
  refuses('a target that is no path', `GET health HTTP/1.1\r\nHost: a\r\n\r\n${get()}`);
  refuses('CONNECT', `CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${get()}`, 501);
  refuses('TLS on the clear-text port', Buffer.from('16030100a5010000a1030300112233', 'hex'));

  for (const [what, text] of [
    ['a chunk size of no digits', '\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size with a prefix', '0x2\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size with a sign', '+2\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size of 17 digits', '10000000000000002\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size that ends with LF', '2\n{}\r\n0\r\n\r\n'],
    ['a chunk that ends with LF', '2\r\n{}\n0\r\n\r\n'],
    ['a chunk longer than its size', '2\r\n{}x\r\n0\r\n\r\n'],
    ['white space before a chunk size', ' 2\r\n{}\r\n0\r\n\r\n'],
    ['an endless chunk extension', `2;${'x'.repeat(300)}\r\n{}\r\n0\r\n\r\n`],
    ['a trailer without a name', '2\r\n{}\r\n0\r\n: y\r\n\r\n'],
  ]) refuses(what, body('Transfer-Encoding: chunked\r\n', text));

  it('hardening: after all that the gateway serves others', async (t) => {
    const stream = await SseStream.open(suite.gateway, { subscriptions: [LAST] });
    t.after(() => stream.close());
    await publish(suite.gateway, ev('a', {}));
    assert.deepEqual(await receivedUntilLast(stream), []);
  });
});
