// Promises checked here:
// - What our HTTP/1.1 parser accepts, another strict parser (llhttp, in Node's http server)
//   accepts too, with the same method, target, fields and body, and with the same message
//   boundaries. So nobody who speaks to both can show them two different requests.
// - Our parser accepts every plain message: strictness does not cost compatibility.
//
// The bytes go to h1_dump (tests/support) and, over a socket, to Node. RG_H1_DUMP names the
// program; without it build directories of the project are searched.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

function findDump() {
  if (process.env.RG_H1_DUMP)
    return process.env.RG_H1_DUMP;
  const builds = path.join(root, 'build');
  const names = existsSync(builds) ? readdirSync(builds) : [];
  return names.map((name) => path.join(builds, name, 'tests/support/h1_dump')).find(existsSync);
}

const dump = findDump();
const skip = dump ? false : 'h1_dump is not built (configure with RG_TESTS=ON)';

function ours(text) {
  return new Promise((resolve, reject) => {
    const child = spawn(dump, [], { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.setEncoding('latin1').on('data', (data) => { out += data; });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(JSON.parse(out))
      : reject(new Error(`h1_dump ended with ${code} on ${JSON.stringify(text)}`))));
    child.stdin.on('error', () => {});
    child.stdin.end(Buffer.from(text, 'latin1'));
  });
}

let server;
const seen = new Map(); // client port => what Node made of the connection

before(async () => {
  const options = {
    insecureHTTPParser: false, maxHeaderSize: 128 * 1024, keepAlive: false, requireHostHeader: true,
  };
  server = http.createServer(options, (req, res) => {
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('error', () => {});
    req.on('end', () => {
      seen.get(req.socket.remotePort).messages.push({
        method: req.method, target: req.url, version: req.httpVersion, fields: req.rawHeaders,
        body: Buffer.concat(chunks).toString('latin1'),
      });
      res.end();
    });
  });
  server.maxHeadersCount = 0;
  server.on('clientError', (err, socket) => {
    const connection = seen.get(socket.remotePort);
    if (connection)
      connection.error = err.code;
    socket.destroy();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
});

after(() => server.close());

function theirs(text) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.address().port, '127.0.0.1');
    let port;
    socket.on('connect', () => {
      port = socket.localPort;
      seen.set(port, { messages: [], error: null });
      socket.end(Buffer.from(text, 'latin1'));
    });
    socket.resume();
    socket.on('error', (err) => { if (!port) reject(err); });
    socket.on('close', () => {
      resolve(seen.get(port));
      seen.delete(port);
    });
  });
}

// The same messages in every run (mulberry32).
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const random = generator(9112);
const pick = (...choices) => choices[Math.floor(random() * choices.length)];
const rarely = (odd, usual) => (random() < 0.06 ? odd() : usual);
const repeat = (max, make) => Array.from({ length: Math.floor(random() * (max + 1)) }, make);

const oddByte = () => pick('\0', '\r', '\n', '\t', ' ', '\x01', '\x0b', '\x0c', '\x1f', '\x7f', '\x80', '\xa0', '\xff',
  ':', ';', ',', '"', '\\', '#', '(', '@');
const eol = () => rarely(() => pick('\n', '\r', '\r\r\n', '\n\r', ' \r\n'), '\r\n');
const sp = () => rarely(() => pick('  ', '\t', '', ' \t'), ' ');
// llhttp refuses methods that it has never heard of; ours is the router's business.
const method = () => rarely(() => pick('G T', '', 'FOO('),
  pick('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'));
const target = () => rarely(() => pick('*', 'a', '//', 'http://h/a?b', 'http://h', 'http://x/', '/#f', `/${oddByte()}`, ''),
  `/${repeat(3, () => pick('a', '%20', '.', '..', '/', '?x=y', '&', "{'\"|^`}", '~')).join('')}`);
const version = () => rarely(() => pick('HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1', 'HTTP/1.1 ', 'HTTP/1.01', 'HTTP/0.9'),
  pick('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'));
const name = () => rarely(() => pick('', ' X', 'X ', 'X\t', `X${oddByte()}`, 'X\x80'),
  pick('X', 'accept', 'Cookie', "!#$%&'*+-.^_`|~", 'x_y', 'CONTENT-TYPE'));
const value = () => repeat(4, () => rarely(oddByte, pick('a', 'b c', '\t', '\xfc', ',', ';q="1"', ''))).join('');
const field = () => `${name()}:${pick('', ' ', '  ', '\t')}${value()}${pick('', '', ' ', '\t ')}${eol()}`;
const host = () => rarely(() => pick('', 'Host: h\r\nHost: h\r\n', 'Host : h\r\n', 'Host: a, b\r\n'), 'Host: h\r\n');
const connection = () => pick('', '', '', 'Connection: close\r\n', 'Connection: keep-alive\r\n', 'Connection: x, y\r\n');

function chunk(data) {
  const size = data.length.toString(16);
  const odd = () => pick(`0x${size}`, ` ${size}`, `${size} `, `-${size}`, `${size}g`, '', size.padStart(17, '0'),
    'ffffffffffffffff', '10000000000000001');
  const ext = rarely(() => pick(';', '; a', ';a=', ';a="', ';a="b"c', ';\n', ' ;a', `;a${oddByte()}`),
    pick('', '', '', ';a', ';a=b', ';a="b c"', ';a=b;c'));
  return `${rarely(odd, pick(size, size.toUpperCase(), size.padStart(8, '0')))}${ext}${eol()}${data}${eol()}`;
}

function chunkedBody() {
  const trailers = pick('', '', '', 'X: y\r\n', 'X: y\r\nZ:\r\n', rarely(() => pick(' X: y\r\n', 'X\r\n', 'X : y\r\n'), ''));
  const chunks = repeat(3, () => chunk(pick('a', 'hello', '\r\n', '0\r\n\r\n', 'x'.repeat(20))));
  return `${chunks.join('')}${rarely(() => pick('00', '', '0 '), '0')}${eol()}${trailers}${eol()}`;
}

function bodyOf(kind) {
  const data = pick('', 'a', 'hello', '0\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n');
  switch (kind) {
    case 'length': {
      const n = rarely(() => pick(`+${data.length}`, `${data.length},${data.length}`, '', '0x1', '99999999999999999999',
        `${data.length} `, `0${data.length}`), String(data.length));
      return [`Content-Length: ${n}\r\n`, data];
    }
    case 'chunked': {
      const coding = rarely(() => pick('Chunked', ' chunked', 'gzip, chunked', 'chunked, chunked', 'identity', '\x0bchunked',
        'chunked\r\nTransfer-Encoding: chunked', 'chunked;a', ',chunked', 'chunked,'), 'chunked');
      return [`Transfer-Encoding: ${coding}\r\n`, chunkedBody()];
    }
    case 'both':
      return [`Content-Length: ${data.length}\r\nTransfer-Encoding: chunked\r\n`, chunkedBody()];
    case 'twice':
      return [`Content-Length: ${data.length}\r\nContent-Length: ${data.length}\r\n`, data];
    default:
      return ['', ''];
  }
}

function message() {
  const [framing, body] = bodyOf(rarely(() => pick('both', 'twice'), pick('none', 'none', 'length', 'chunked')));
  const fields = [host(), connection(), framing, ...repeat(3, field)];
  if (random() < 0.3)
    fields.reverse();
  return `${rarely(() => pick('\r\n', '\n', '\r\n\r\n', '\r'), '')}${method()}${sp()}${target()}${sp()}${version()}${eol()}`
    + `${fields.join('')}${eol()}${body}`;
}

const G = 'GET / HTTP/1.1\r\nHost: h\r\n';
const P = 'POST / HTTP/1.1\r\nHost: h\r\n';
const NEXT = 'GET /next HTTP/1.1\r\nHost: h\r\n\r\n';

const plain = [
  `${G}\r\n`,
  `${G}\r\n${NEXT}`,
  `\r\n${G}\r\n`,
  'GET / HTTP/1.0\r\n\r\n',
  'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  `GET /a/b?c=%20&d=[{"e":'f'}] HTTP/1.1\r\nHost: [::1]:4000\r\n\r\n`.replace("'f'", '1'),
  'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n',
  'GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n',
  `${G}X: \xe4\xff\r\nEmpty:\r\nTab: a\tb \t\r\n\r\n`,
  `${P}Content-Length: 5\r\n\r\nhello${NEXT}`,
  `${P}Content-Length: 0\r\n\r\n${NEXT}`,
  `${P}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${NEXT}`,
  `${P}Transfer-Encoding: Chunked\r\n\r\n5;a=b;c="d e"\r\nhello\r\nA\r\n0123456789\r\n00\r\nX: y\r\n\r\n${NEXT}`,
  `${P}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok`,
  `${G}Connection: close\r\n\r\n`,
  `${G}Cookie: a=b; c="d"\r\nCookie: e=f\r\n\r\n`,
  `${G}${Array.from({ length: 99 }, (_, i) => `X-${i}: ${i}\r\n`).join('')}\r\n`,
  `GET /${'a'.repeat(16000)} HTTP/1.1\r\nHost: h\r\n\r\n`,
];

const nasty = [
  ...['5, 5', '5,5', '+5', '-5', '5 5', '0x5', '5;', '', '18446744073709551621', '5\x0b', '\xa05', '5_0', '05']
    .map((n) => `${P}Content-Length: ${n}\r\n\r\nhello${NEXT}`),
  ...['chunked, chunked', 'identity', 'gzip', 'xchunked', 'chunkedx', ' chunked ', '\tchunked', '\x0bchunked', 'chunked\x0c',
    'chunked;q=1', '"chunked"', ',chunked', 'chunked,', 'chunked, identity', 'identity, chunked', '\r\n chunked', 'chunk\xeded']
    .map((te) => `${P}Transfer-Encoding: ${te}\r\n\r\n5\r\nhello\r\n0\r\n\r\n${NEXT}`),
  ...['Transfer-Encoding : chunked', 'Transfer-Encoding\t: chunked', ' Transfer-Encoding: chunked', 'Transfer_Encoding: chunked',
    'X: y\nTransfer-Encoding: chunked', 'X: y\rTransfer-Encoding: chunked', 'Transfer-Encoding:\x00chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', ':Transfer-Encoding: chunked', 'Transfer-Encoding',
    'Content-Length: 5\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nContent-Length: 5',
    'Content-Length: 5\r\nContent-Length: 6', 'Content-Length: 5\r\nContent-Length: 5', 'Content-Length : 5',
    'Connection: Content-Length\r\nContent-Length: 5']
    .map((line) => `${P}${line}\r\n\r\n5\r\nhello\r\n0\r\n\r\n${NEXT}`),
  ...['5\nhello\r\n0\r\n\r\n', '5\r\nhello\n0\r\n\r\n', '5 \r\nhello\r\n0\r\n\r\n', '5;\r\nhello\r\n0\r\n\r\n',
    '5;a\nb\r\nhello\r\n0\r\n\r\n', '5;a\rb\r\nhello\r\n0\r\n\r\n', '5;a="\r\n"\r\nhello\r\n0\r\n\r\n', '0x5\r\nhello\r\n0\r\n\r\n',
    '00000000000000005\r\nhello\r\n0\r\n\r\n', '10000000000000005\r\nhello\r\n0\r\n\r\n', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n',
    '5\r\nhelloXX0\r\n\r\n', '5\r\nhello0\r\n\r\n', '5\r\nhello\r\n0\r\n\n', '5\r\nhello\r\n0\n\n', '5\r\nhello\r\n0\r\nX : y\r\n\r\n',
    '5\r\nhello\r\n0\r\n X: y\r\n\r\n', '5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n', '5\r\nhello\r\n\r\n', '-5\r\nhello\r\n0\r\n\r\n',
    '5;a="b\\"c"\r\nhello\r\n0\r\n\r\n', '5;a="b\\\\"\r\nhello\r\n0\r\n\r\n', '5;a=b=c\r\nhello\r\n0\r\n\r\n', '5;"a"\r\nhello\r\n0\r\n\r\n']
    .map((body) => `${P}Transfer-Encoding: chunked\r\n\r\n${body}${NEXT}`),
  `POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'GET /\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\nHost: h\n\n', 'GET / HTTP/1.1\r\nHost: h\r\n X: y\r\n\r\n',
  'GET  / HTTP/1.1\r\nHost: h\r\n\r\n', 'GET /a b HTTP/1.1\r\nHost: h\r\n\r\n', 'GET / HTTP/1.1 x\r\nHost: h\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00', '\r\n\r\n\r\n\r\n\r\n', 'CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n',
  'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n', 'GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n',
  `${G}: x\r\n\r\n`, `${G}X\r\n\r\n`, `${G}X: a\0b\r\n\r\n`, `${G}X: a\rb\r\n\r\n`, `${G}X: a\nb: c\r\n\r\n`, `${G}\r\r\n`,
];

// Node leaves scheme and authority in the target; we take them off.
function reduced(url) {
  return url.replace(/^https?:\/\/[^/?]*/i, '') || '/';
}

async function compare(text) {
  const [a, b] = await Promise.all([ours(text), theirs(text)]);
  const shown = JSON.stringify(text.length > 2000 ? `${text.slice(0, 2000)}...` : text);
  for (const [i, mine] of a.messages.entries()) {
    assert.ok(b.messages[i], `accepted by us, refused by llhttp (${b.error}): message ${i} of ${shown}`);
    const other = { ...b.messages[i], target: reduced(b.messages[i].target) };
    assert.deepEqual(mine, other, `understood differently: message ${i} of ${shown}`);
  }
  // Where we read on to the end, there is no request that only the other one sees.
  if (a.end === 'end' && a.messages.length > 0)
    assert.equal(b.messages.length, a.messages.length, `llhttp sees more messages in ${shown}`);
  return a;
}

async function compareAll(texts) {
  const results = [];
  for (let i = 0; i < texts.length; i += 8)
    results.push(...await Promise.all(texts.slice(i, i + 8).map(compare)));
  return results;
}

test('plain messages are accepted by both and mean the same', { skip }, async () => {
  for (const [i, result] of (await compareAll(plain)).entries()) {
    assert.equal(result.end, 'end', `refused with ${result.status}: ${JSON.stringify(plain[i])}`);
    assert.ok(result.messages.length > 0);
  }
});

test('nasty messages never mean something else to llhttp', { skip }, async () => {
  const results = await compareAll(nasty);
  const refused = results.filter((result) => result.status >= 400);
  assert.ok(refused.length > nasty.length * 0.7, `only ${refused.length} of ${nasty.length} refused`);
});

test('generated messages never mean something else to llhttp', { skip }, async (t) => {
  const texts = Array.from({ length: 400 }, () => message() + (random() < 0.3 ? message() : ''));
  const results = await compareAll(texts);
  const accepted = results.filter((result) => result.end === 'end').length;
  const refused = results.filter((result) => result.status >= 400).length;
  t.diagnostic(`${accepted} accepted, ${refused} refused, ${results.length} in all`);
  assert.ok(accepted >= 50 && refused >= 50, `${accepted} accepted, ${refused} refused`);
});
