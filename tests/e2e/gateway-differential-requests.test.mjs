// Promises checked here:
// - Whatever a client sends, what the gateway's service gets is a sequence of requests that can be
//   read in one way only, or the beginning of one, behind which the connection ends.
// - Each request that is passed on, or refused, is answered once; behind a refusal of what is no
//   request the connection ends.
// - What both nginx and HAProxy refuse, the gateway refuses, too. What all three pass on is the same
//   to their services: method, path and body.
// - Plain requests are taken by all three.
//
// The same bytes go to each, in front of a service of its own that keeps what it gets.
// RGATE_TEST_SEED repeats the generated ones.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { answersOf, Subject } from '../support/conversation.mjs';
import { api, environment } from '../support/echo-backend.mjs';
import { Gateway } from '../support/gateway.mjs';
import { missingProxies, OtherProxy } from '../support/proxies.mjs';
import { Random } from '../support/random.mjs';
import { RawBackend } from '../support/raw-backend.mjs';
import { valuesOf } from '../support/strict-http.mjs';

const GENERATED = 1000;
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'];

const everything = (port) =>
  [api('all', port, METHODS.map((method) => [method.toLowerCase(), method, '.*']))];

// ---- what is sent ----

const G = 'GET /g HTTP/1.1\r\nHost: h\r\n';
const P = 'POST /p HTTP/1.1\r\nHost: h\r\n';
const MARKER = 'GET /marker HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n';
const chunked = (te, body) => `${P}Transfer-Encoding:${te}\r\n\r\n${body}`;
const HELLO = '5\r\nhello\r\n0\r\n\r\n';

const plain = [
  `${G}\r\n`,
  `\r\n${G}\r\n`,
  'GET /a/b?c=%20&d=e HTTP/1.1\r\nHost: [::1]:4000\r\n\r\n',
  'DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n',
  `PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok`,
  `${G}X: \xe4\xff\r\nEmpty:\r\nTab: a\tb \t\r\n\r\n`,
  `${P}Content-Length: 5\r\n\r\nhello`,
  `${P}Content-Length: 0\r\n\r\n`,
  `${P}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  chunked(' chunked', HELLO),
  chunked(' Chunked', `5;a=b;c="d e"\r\nhello\r\nA\r\n0123456789\r\n00\r\nX: y\r\n\r\n`),
  chunked(' chunked', `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`),
  `${P}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok`,
  `${G}Cookie: a=b; c="d"\r\nCookie: e=f\r\n\r\n`,
  `${G}Connection: x-hop\r\nX-Hop: 1\r\n\r\n`,
  'GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n',
  // Without the field one cannot be told from the other, so these close.
  'GET /old HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n',
  `${G}\r\n${P}Content-Length: 2\r\n\r\nok${G}\r\n`,
];

const nasty = [
  ...[' 5, 5', ' 5,5', ' +5', ' -5', ' 5 5', ' 0x5', ' 5;', '', ' 18446744073709551621', ' 5\x0b', ' \xa05', ' 5_0',
    ' 05', ' 9223372036854775808', ' 00000000000000000005', ' 5\t', ' 5\r\n\t', ' five', ' 5.0', ' 5e0']
    .map((n) => `${P}Content-Length:${n}\r\n\r\nhello`),
  ...[' chunked, chunked', ' identity', ' gzip', ' xchunked', ' chunkedx', '  chunked ', '\tchunked', ' \x0bchunked',
    ' chunked\x0c', ' chunked;q=1', ' "chunked"', ' ,chunked', ' chunked,', ' chunked, identity', ' identity, chunked',
    '\r\n chunked', ' chunk\xeded', ' cHuNkEd', '', ' chunked\x00', ' gzip, chunked', "'chunked'", ' chunked\x1f']
    .map((te) => chunked(te, HELLO)),
  ...['Transfer-Encoding : chunked', 'Transfer-Encoding\t: chunked', ' Transfer-Encoding: chunked',
    'Transfer_Encoding: chunked', 'X: y\nTransfer-Encoding: chunked', 'X: y\rTransfer-Encoding: chunked',
    'Transfer-Encoding:\x00chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    ':Transfer-Encoding: chunked', 'Transfer-Encoding', 'Transfer-Encoding\x00: chunked', 'Transfer-Encoding\xa0: chunked',
    'Content-Length: 5\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nContent-Length: 5',
    'Transfer-Encoding: chunked\r\nContent-Length: 0', 'Transfer-Encoding: x\r\nContent-Length: 15',
    'Content-Length: 5\r\nContent-Length: 6', 'Content-Length: 15\r\nContent-Length: 15', 'Content-Length : 15',
    'Content-Length: 15\r\nContent-Length:', 'Content-Length: 15\r\ncontent-length: 0',
    'Connection: Content-Length\r\nContent-Length: 15', 'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked',
    'Connection: Host\r\nContent-Length: 15', 'Content-Length: 15\r\nX: \r\n y']
    .map((line) => `${P}${line}\r\n\r\n${HELLO}`),
  ...['5\nhello\r\n0\r\n\r\n', '5\r\nhello\n0\r\n\r\n', '5 \r\nhello\r\n0\r\n\r\n', '5;\r\nhello\r\n0\r\n\r\n',
    '5;a\nb\r\nhello\r\n0\r\n\r\n', '5;a\rb\r\nhello\r\n0\r\n\r\n', '5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    '0x5\r\nhello\r\n0\r\n\r\n', '00000000000000005\r\nhello\r\n0\r\n\r\n', '10000000000000005\r\nhello\r\n0\r\n\r\n',
    'fffffffffffffffff\r\nhello\r\n0\r\n\r\n', '5\r\nhelloXX0\r\n\r\n', '5\r\nhello0\r\n\r\n', '5\r\nhello\r\n0\r\n\n',
    '5\r\nhello\r\n0\n\n', '5\r\nhello\r\n0\n\r\n', '5\r\nhello\r\n0\r\nX : y\r\n\r\n', '5\r\nhello\r\n0\r\n X: y\r\n\r\n',
    '5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n', '5\r\nhello\r\n\r\n', '-5\r\nhello\r\n0\r\n\r\n', '+5\r\nhello\r\n0\r\n\r\n',
    '5;a="b\\"c"\r\nhello\r\n0\r\n\r\n', '5\x0b\r\nhello\r\n0\r\n\r\n', '5\0\r\nhello\r\n0\r\n\r\n', ' 5\r\nhello\r\n0\r\n\r\n',
    '5;\x00\r\nhello\r\n0\r\n\r\n', '5\r\nhello\r\n-0\r\n\r\n', '5\r\nhello\r\n0\r\nContent-Length: 0\r\n\r\n',
    '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n', '5\r\nhello\r\n0\r\nHost: other\r\n\r\n',
    `5;${'a'.repeat(300)}\r\nhello\r\n0\r\n\r\n`, '5\r\nhello\r\r\n0\r\n\r\n', '5\r\r\nhello\r\n0\r\n\r\n', '5\rX\nhello\r\n0\r\n\r\n']
    .map((body) => chunked(' chunked', body)),
  ...['GET /v HTTP/1.2', 'GET /v HTTP/2.0', 'GET /v http/1.1', 'GET /v HTTP/1', 'GET /v HTTP/1.1 ', 'GET /v HTTP/1.01',
    'GET /v HTTP/0.9', 'GET  /v HTTP/1.1', 'GET /v\tHTTP/1.1', 'GET /v  HTTP/1.1', 'GET\t/v HTTP/1.1', 'G T /v HTTP/1.1',
    ' GET /v HTTP/1.1', 'GET v HTTP/1.1', 'GET  HTTP/1.1', 'GET /a b HTTP/1.1', 'GET /v HTTP/1.1 x', '(GET) /v HTTP/1.1',
    'GET /\0 HTTP/1.1', 'GET /\x7f HTTP/1.1', 'GET /\r HTTP/1.1', 'GET /#f HTTP/1.1', 'GET * HTTP/1.1', 'get /v HTTP/1.1',
    'GET ftp://h/v HTTP/1.1', 'GET http://h HTTP/1.1', 'GET http://other/v HTTP/1.1', 'GET http://u@h/v HTTP/1.1',
    'GET //other/v HTTP/1.1', 'GET /a/../v HTTP/1.1', 'GET /%2e%2e/v HTTP/1.1', 'GET /a%2fv HTTP/1.1', 'GET /a\\v HTTP/1.1',
    'GET /%00 HTTP/1.1', 'GET /%0d%0aSmuggled:%20yes HTTP/1.1', 'GET /%zz HTTP/1.1', 'GET /? HTTP/1.1', 'GET ?a HTTP/1.1',
    'GET http://h?a HTTP/1.1', 'GET http:///v HTTP/1.1', 'CONNECT h:1 HTTP/1.1', 'PRI * HTTP/1.1']
    .map((line) => `${line}\r\nHost: h\r\n\r\n`),
  ...['Host: h\r\nHost: h', 'Host: h\r\nHost: other', 'Host: a, b', 'Host : h', '', 'Host:', 'Host: h/x', 'Host: u@h',
    'Host: h:80:80', 'Host: h\r\n other', 'Host: h\0', 'Host: a b', ' Host: h', 'Host: [::1', 'Host: h:x', 'Host: h?x', 'Host: h#x',
    'X: y\r\n Host: h', 'Host\r\n: h', 'Host: h\r\n\r', 'Host: \x0bh']
    .map((line) => `GET /host HTTP/1.1\r\n${line}\r\n\r\n`),
  ...[': x', 'X', 'X: a\0b', 'X: a\rb', 'X: a\nSmuggled: yes', 'X : y', 'X\x0b: y', '\x00X: y', 'X: \x01', 'X: \x7f', '\xe4: y',
    'X(: y', 'X: y\r\n z', 'X: y\r\n\tz', 'X: y\r\r', 'X: y\n', '"X": y', 'X: a\r Smuggled: yes', 'X\r: y']
    .map((line) => `${G}${line}\r\n\r\n`),
  'POST /p HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  `POST /p HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  `POST /p HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok`,
  'GET /\r\n\r\n', 'GET /\n', 'GET /g HTTP/1.1\nHost: h\n\n', '\n\nGET /g HTTP/1.1\r\nHost: h\r\n\r\n', `\r${G}\r\n`,
  `\r\n\r\n\r\n\r\n\r\n\r\n${G}\r\n`, '\0', '\x16\x03\x01\x02\x00\x01\x00',
  `${G}\r\r\n`, `${G}\n\r\n`, `${G}Content-Length: 5\r\n\r\nhello`, `${G}Transfer-Encoding: chunked\r\n\r\n${HELLO}`,
  `${P}Content-Length: 2\r\n\r\nokXX`, `${P}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}`,
  `${P}Expect: 200-ok\r\nContent-Length: 2\r\n\r\nok`, `${P}Expect:\r\n 100-continue\r\nContent-Length: 2\r\n\r\nok`,
  `${G}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`,
  `${G}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
];

const random = new Random();
const pick = (...choices) => random.pick(choices);
const rarely = (odd, usual) => (random.below(100) < 6 ? odd() : usual);
const some = (max, make) => Array.from({ length: random.below(max + 1) }, make);

const oddByte = () => pick('\0', '\r', '\n', '\t', ' ', '\x01', '\x0b', '\x0c', '\x1f', '\x7f', '\x80', '\xa0', '\xff',
  ':', ';', ',', '"', '\\', '#', '(', '@');
const eol = () => rarely(() => pick('\n', '\r', '\r\r\n', '\n\r', ' \r\n'), '\r\n');
const sp = () => rarely(() => pick('  ', '\t', '', ' \t'), ' ');
const method = () => rarely(() => pick('G T', '', 'GET(', 'get', 'POSTS'), pick(...METHODS));
const target = () => rarely(() => pick('*', 'a', '//', 'http://h/a?b', 'http://h', 'http://x/', '/#f', `/${oddByte()}`, ''),
  `/${some(3, () => pick('a', '%20', 'b.c', '/d', '?x=y', '&', '~', '%C3%A4', ';p=1')).join('')}`);
const version = () => rarely(() => pick('HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1', 'HTTP/1.1 ', 'HTTP/1.01', 'HTTP/0.9'),
  pick('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'));
const name = () => rarely(() => pick('', ' X', 'X ', 'X\t', `X${oddByte()}`, 'X\x80'),
  pick('X', 'Accept', 'Cookie', "!#$%&'*+-.^_`|~", 'x_y', 'Content-Type'));
const value = () => some(4, () => rarely(oddByte, pick('a', 'b c', '\t', '\xfc', ',', ';q="1"', ''))).join('');
const field = () => `${name()}:${pick('', ' ', '  ', '\t')}${value()}${pick('', '', ' ', '\t ')}${eol()}`;
const host = () => rarely(() => pick('', 'Host: h\r\nHost: h\r\n', 'Host : h\r\n', 'Host: a, b\r\n', 'Host: \r\n'),
  'Host: h\r\n');
const connection = () => pick('', '', '', '', 'Connection: keep-alive\r\n', 'Connection: x, y\r\n', 'Connection: close\r\n');

function chunk(data) {
  const size = data.length.toString(16);
  const odd = () => pick(`0x${size}`, ` ${size}`, `${size} `, `-${size}`, `${size}g`, '', size.padStart(17, '0'),
    'ffffffffffffffff', '10000000000000001', '0', (data.length - 1).toString(16));
  const ext = rarely(() => pick(';', '; a', ';a=', ';a="', ';a="b"c', ';\n', ' ;a', `;a${oddByte()}`),
    pick('', '', '', ';a', ';a=b', ';a="b c"', ';a=b;c'));
  return `${rarely(odd, pick(size, size.toUpperCase(), size.padStart(8, '0')))}${ext}${eol()}${data}${eol()}`;
}

function chunkedBody() {
  const trailers = pick('', '', '', 'X: y\r\n', 'X: y\r\nZ:\r\n', rarely(() => pick(' X: y\r\n', 'X\r\n', 'X : y\r\n'), ''));
  const chunks = some(3, () => chunk(pick('a', 'hello', '\r\n', '0\r\n\r\n', `0\r\n\r\n${SMUGGLED}`)));
  return `${chunks.join('')}${rarely(() => pick('00', '', '0 '), '0')}${eol()}${trailers}${eol()}`;
}

/** [fields, body]. No body begins with a request: behind a head without framing it would be one. */
function bodyOf(kind) {
  const data = pick('', 'a', 'hello', '0\r\n\r\n', `0\r\n\r\n${SMUGGLED}`);
  switch (kind) {
    case 'length': {
      const n = rarely(() => pick(`+${data.length}`, `${data.length},${data.length}`, '', '0x1', '99999999999999999999',
        `${data.length} `, `0${data.length}`, String(2 ** 40)), String(data.length));
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
  const fields = [host(), connection(), framing, ...some(3, field)];
  if (random.below(10) < 3) fields.reverse();
  return `${rarely(() => pick('\r\n', '\n', '\r'), '')}${method()}${sp()}${target()}${sp()}${version()}${eol()}`
    + `${fields.join('')}${eol()}${body}`;
}

// ---- what is expected ----

/**
 * What the gateway takes although nginx and HAProxy both refuse it: what it is, and why it may be.
 * Each names the bytes that it is about.
 */
const ALONE = [
  // nginx refuses the one and HAProxy the other, so that both of them together are refused by both.
  // RFC 9112 3.2 has the empty Host, and the service gets another Host and a body with our framing.
  { what: 'GET or DELETE in HTTP/1.0 with a length and an empty Host',
    is: (bytes) => /(GET|DELETE) \S+ HTTP\/1\.0\r\n/.test(bytes) && /\nHost:[ \t]*\r\n/i.test(bytes)
      && /\nContent-Length:/i.test(bytes) },
];

/** Where the gateway means to pass on something else than both others. */
const OTHERWISE = [
  { what: 'leading slashes are one, and dot segments are gone, before endpoints are looked for (8.1)',
    is: (target) => /^\/\/|\/\.|%2e/i.test(target) },
  { what: 'an empty query is none (8.2)', is: (target) => /^[^?]*\?$/.test(target) },
];

const shown = (text) => JSON.stringify(text.length > 1500 ? `${text.slice(0, 1500)}...` : text);

// Scheme and authority of an absolute-form are the proxy's business.
const reduced = (target) => target.replace(/^https?:\/\/[^/?]*/i, '').replace(/^(?!\/)/, '/');

/** Everything that must hold of the gateway, whatever was sent. */
function assertSound(talk, bytes) {
  const about = `${shown(bytes)}\nto the client: ${shown(talk.text)}`;
  for (const { error, text, hasEnded, partial } of talk.connections) {
    assert.equal(error, null, `the service gets what is no request: ${error} in ${shown(text)}; sent: ${about}`);
    if (partial) assert.ok(hasEnded, `the service waits for the rest of ${shown(text)}; sent: ${about}`);
  }
  for (const { target, fields, method } of talk.requests) {
    assert.ok(METHODS.includes(method), `${method} was passed on: ${about}`);
    assert.notEqual(target, '/smuggled', `smuggled: ${about}`);
    assert.deepEqual(valuesOf(fields, 'smuggled'), [], `a field smuggled: ${about}`);
    for (const name of ['connection', 'expect', 'upgrade', 'keep-alive', 'te', 'trailer', 'http2-settings']) {
      assert.deepEqual(valuesOf(fields, name), [], `${name} was passed on: ${about}`);
    }
  }
  assert.ok(talk.requests.filter(({ target }) => target === '/marker').length <= 1, about);
  const { messages, error, partial } = answersOf(talk);
  assert.equal(error, null, `${error}: ${about}`);
  assert.equal(partial, null, `an answer was cut: ${about}`);
  const numbers = messages.flatMap(({ fields }) => valuesOf(fields, 'x-number')).map(Number);
  assert.deepEqual(numbers, talk.requests.map(({ number }) => number), `answers and requests differ: ${about}`);
  const own = messages.filter(({ fields }) => valuesOf(fields, 'x-number').length === 0);
  for (const { status } of own) {
    assert.ok((status >= 400 && status < 500) || status === 501 || status === 505, `${status}: ${about}`);
  }
  // What is wrong with a path or a method only is clear where it ends.
  for (const { status, body } of messages.slice(0, -1)) {
    assert.ok([200, 404, 405].includes(status) || body.startsWith('Bad request: the path '),
      `${status}, and the connection goes on: ${about}`);
  }
  assert.ok(talk.hasEnded, `the connection goes on behind what is not complete: ${about}`);
  // Somebody who waits for an answer has not sent all of a request.
  if (messages.length === 0) assert.ok(talk.waited, `no answer: ${about}`);
}

const ENDED = { whatever: 'came next was not looked at' };

/**
 * What became of one request after the other: what the service got, null where it was refused, and
 * ENDED where the connection did, for a reason that is not the next request's.
 */
function fates(talk) {
  const { messages, error } = answersOf(talk);
  if (error) return talk.requests; // HTTP/0.9
  const list = messages.map(({ fields }) => {
    const [number] = valuesOf(fields, 'x-number').map(Number);
    return talk.requests.find((request) => request.number === number) ?? null;
  });
  const last = messages.at(-1);
  const closes = last && list.at(-1) && valuesOf(last.fields, 'connection').includes('close');
  return closes ? [...list, ENDED] : list;
}

/** What another proxy makes of request i; ours is what the gateway does. */
function fateOf(list, i, ours) {
  if (i < list.length) return list[i];
  if (list.at(-1) === ENDED) return ENDED;
  // The gateway has refused it as well, and went on.
  return list.length > 0 && list.at(-1) === null && !ours[list.length - 1] ? ENDED : null;
}

/** Compares what three services got. False where the gateway has taken what both others refuse. */
function compare(ours, others, bytes) {
  const mine = fates(ours);
  const theirs = others.map(fates);
  for (const [i, request] of mine.entries()) {
    if (!request || request === ENDED) continue;
    const all = theirs.map((list) => fateOf(list, i, mine));
    if (all.every((other) => other === null)) return false;
    const same = all.filter((other) => other && other !== ENDED);
    if (same.length < others.length || OTHERWISE.some(({ is }) => is(reduced(same[0].target)))) continue;
    for (const other of same) {
      const triple = (r) => [r.method, reduced(r.target), r.body];
      assert.deepEqual(triple(request), triple(other), `request ${i} is another to others: ${shown(bytes)}`);
    }
  }
  return true;
}

describe('requests through the gateway, nginx and HAProxy', { skip: missingProxies() }, () => {
  const subjects = [];
  const stops = [];
  const alone = [];

  before(async () => {
    for (const name of ['rgate', 'nginx', 'haproxy']) {
      const backend = await new RawBackend().listen();
      const proxy = name === 'rgate'
        ? await Gateway.start({ env: environment(everything(backend.port), { REACTORS: '1', LOG_LEVEL: 'warn' }) })
        : await OtherProxy.start(name, backend.port);
      const subject = new Subject(name, proxy.port, backend);
      subjects.push(subject);
      stops.push(async () => {
        subject.close();
        await proxy.stop();
        await backend.close();
      });
    }
  });
  after(async () => {
    for (const stop of stops) await stop();
  });

  async function run(bytes, splitAt) {
    const [ours, ...others] = await Promise.all(
      subjects.map((subject) => subject.converse(bytes, splitAt)));
    assertSound(ours, bytes);
    if (!compare(ours, others, bytes) && !ALONE.some(({ is }) => is(bytes))) alone.push(shown(bytes));
    return { ours, others };
  }

  for (const bytes of plain) {
    it(`all take ${shown(bytes)}`, async () => {
      const { ours, others } = await run(bytes + MARKER);
      const targets = ours.requests.map(({ target }) => target);
      assert.equal(targets.at(-1), '/marker');
      for (const other of others) {
        assert.deepEqual(other.requests.map(({ target }) => reduced(target)), targets);
      }
    });
  }

  it('nasty requests mean nothing else to the gateway', async (t) => {
    let refused = 0;
    for (const bytes of nasty) {
      const { ours } = await run(bytes + MARKER);
      refused += ours.requests.some(({ target }) => target === '/marker') ? 0 : 1;
    }
    t.diagnostic(`${refused} of ${nasty.length} refused`);
    assert.ok(refused > nasty.length * 0.7, `only ${refused} of ${nasty.length} refused`);
  });

  it('generated requests mean nothing else to the gateway', async (t) => {
    t.diagnostic(`RGATE_TEST_SEED=${random.seed}`);
    const passed = [0, 0, 0];
    for (let i = 0; i < GENERATED; i++) {
      const bytes = message() + (random.below(10) < 3 ? message() : '') + MARKER;
      const splitAt = pick(0, 0, 1 + random.below(bytes.length));
      const { ours, others } = await run(bytes, splitAt).catch((error) => {
        error.message += `\nRGATE_TEST_SEED=${random.seed}`;
        throw error;
      });
      [ours, ...others].forEach(({ requests }, n) => { passed[n] += requests.length > 0 ? 1 : 0; });
    }
    t.diagnostic(`passed on: rgate ${passed[0]}, nginx ${passed[1]}, haproxy ${passed[2]} of ${GENERATED}`);
    assert.ok(passed.every((n) => n > GENERATED * 0.15 && n < GENERATED * 0.95), String(passed));
  });

  it('of all these there is nothing that only the gateway takes', () => {
    assert.deepEqual(alone, [], `RGATE_TEST_SEED=${random.seed}`);
  });
});
