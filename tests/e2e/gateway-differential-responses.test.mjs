// Promises checked here:
// - Whatever a service answers, each request of a client gets one answer: the service's, or 502
//   `Bad gateway.`, or, where that has begun, a connection that is cut in the middle of it.
// - The next request gets its own answer, on the same connection and from another client: nothing of
//   an answer that was malformed, too long or not asked for goes to somebody else.
// - What both nginx and HAProxy do not pass on the gateway does not either, and what all three pass
//   on is the same.
//
// The same answers go to each from a service that plays bytes; all other answers have a number.
// RGATE_TEST_SEED repeats the generated ones.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Subject } from '../support/conversation.mjs';
import { api, environment } from '../support/echo-backend.mjs';
import { Gateway } from '../support/gateway.mjs';
import { RawConnection } from '../support/http.mjs';
import { missingProxies, OtherProxy } from '../support/proxies.mjs';
import { Random } from '../support/random.mjs';
import { numbered, RawBackend } from '../support/raw-backend.mjs';
import { readResponses, valuesOf } from '../support/strict-http.mjs';
import { deferred, within } from '../support/wait.mjs';

const GENERATED = 500;

// ---- what is answered ----

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const SMUGGLED = 'HTTP/1.1 200 OK\r\nSmuggled: yes\r\nContent-Length: 8\r\n\r\nsmuggled';

/** What becomes of it: the status and body that the client gets. */
const passed = (body, status = 200) => ({ kind: 'passed', status, body });
const REFUSED = { kind: 'refused' };
const CUT = { kind: 'cut' };

// [bytes, what becomes of it, method, whether the service closes behind it]
const answers = [
  [`${OK}Content-Length: 2\r\n\r\nok`, passed('ok')],
  [`${OK}content-length:2\r\nX: \xe4\r\n\r\nok`, passed('ok')],
  [`${CHUNKED}2\r\nok\r\n0\r\n\r\n`, passed('ok')],
  [`${CHUNKED}2;a=b\r\nok\r\n00\r\nX: y\r\n\r\n`, passed('ok')],
  [`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`, passed('ok')],
  ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', passed('', 404)],
  ['HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n', passed('', 599)],
  ['HTTP/1.1 204 No Content\r\n\r\n', passed('', 204)],
  ['HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n', passed('', 304)],
  [`${OK}Content-Length: 10\r\n\r\n`, passed(''), 'HEAD'],
  [`${OK}Transfer-Encoding: chunked\r\n\r\n`, passed(''), 'HEAD'],
  [`${OK}\r\nuntil the end`, passed('until the end'), 'GET', true],
  ['HTTP/1.0 200 OK\r\n\r\nuntil the end', passed('until the end'), 'GET', true],
  ['HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', passed('ok'), 'GET', true],
  [`${OK}Connection: close\r\nContent-Length: 2\r\n\r\nok`, passed('ok'), 'GET', true],
  [`${OK}Connection: x-hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok`, passed('ok')],

  // More than one answer, or more than was announced: what is behind it belongs to nobody.
  [`${OK}Content-Length: 2\r\n\r\nok${SMUGGLED}`, passed('ok')],
  [`${OK}Content-Length: 2\r\n\r\nokXX`, passed('ok')],
  [`${OK}Content-Length: 0\r\n\r\nXX${SMUGGLED}`, passed('')],
  [`${CHUNKED}2\r\nok\r\n0\r\n\r\n${SMUGGLED}`, passed('ok')],
  [`HTTP/1.1 204 No Content\r\n\r\n${SMUGGLED}`, passed('', 204)],
  [`HTTP/1.1 304 Not Modified\r\n\r\n${SMUGGLED}`, passed('', 304)],
  [`${OK}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, passed(''), 'HEAD'],
  [`${OK}Content-Length: 2\r\n\r\nok\r\n`, passed('ok')],

  // Less than was announced.
  [`${OK}Content-Length: 20\r\n\r\nok`, CUT, 'GET', true],
  [`${CHUNKED}2\r\nok\r\n`, CUT, 'GET', true],
  [`${CHUNKED}20\r\nok`, CUT, 'GET', true],
  [`${CHUNKED}2\r\nok\r\n0\r\n`, CUT, 'GET', true],
  [`${CHUNKED}2\r\nok\r\n0\r\nX: y\r\n`, CUT, 'GET', true],
  ['', REFUSED, 'GET', true],
  ['HTTP/1.1 200', REFUSED, 'GET', true],
  [OK, REFUSED, 'GET', true],
  ['HTTP/1.1 100 Continue\r\n\r\n', REFUSED, 'GET', true],

  // Chunks that are none. What was before them may be on its way already.
  ...['x\r\nok\r\n0\r\n\r\n', '2\nok\r\n0\r\n\r\n', '2 \r\nok\r\n0\r\n\r\n', '0x2\r\nok\r\n0\r\n\r\n', '-2\r\nok\r\n0\r\n\r\n',
    '\r\nok\r\n0\r\n\r\n', '00000000000000002\r\nok\r\n0\r\n\r\n', '10000000000000002\r\nok\r\n0\r\n\r\n', '2;a\nb\r\nok\r\n0\r\n\r\n',
    '2;a\rb\r\nok\r\n0\r\n\r\n', '2\r\nokXX0\r\n\r\n', '2\r\nok0\r\n\r\n', '2\r\nok\n0\r\n\r\n', '2\r\nok\r\n0\r\n X: y\r\n\r\n',
    '2\r\nok\r\n0\r\nX : y\r\n\r\n', '2\r\nok\r\n0\r\nX\r\n\r\n', '2\r\nok\r\n0\n\n', '2\0\r\nok\r\n0\r\n\r\n',
    `2;${'a'.repeat(300)}\r\nok\r\n0\r\n\r\n`, 'ffffffffffffffff\r\nok\r\n0\r\n\r\n',
    '2\r\nok\r\n0\r\nX: a\0\r\n\r\n']
    .map((body) => [CHUNKED + body, CUT, 'GET', true]),

  // Heads that can be read in two ways, or in none.
  ...['Content-Length: 2\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nContent-Length: 2',
    'Content-Length: 2\r\nContent-Length: 3', 'Content-Length: 2\r\nContent-Length: 2', 'Content-Length: 2, 2', 'Content-Length: +2',
    'Content-Length: -2', 'Content-Length: 0x2', 'Content-Length:', 'Content-Length: 2 2', 'Content-Length: 18446744073709551618',
    'Content-Length: 9223372036854775808', 'Content-Length : 2', ' Content-Length: 2', 'Content-Length: 2\r\n\t', 'Content-Length: \x0b2',
    'X: y\r\n Content-Length: 2\r\nContent-Length: 2', 'X: y\nContent-Length: 2', 'X: a\rb\r\nContent-Length: 2', 'X: a\0b\r\nContent-Length: 2',
    'X: a\nSmuggled: yes\r\nContent-Length: 2', ': x\r\nContent-Length: 2', 'X\r\nContent-Length: 2', 'X : y\r\nContent-Length: 2',
    '\xe4: y\r\nContent-Length: 2', 'X(: y\r\nContent-Length: 2', 'X: \x01\r\nContent-Length: 2', 'X: y\r\r\nContent-Length: 2',
    'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: identity', 'Transfer-Encoding: xchunked',
    'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding : chunked', 'Transfer-Encoding: chunked;q=1', 'Transfer-Encoding:\r\n chunked', 'Transfer-Encoding: ']
    .map((lines) => [`${OK}${lines}\r\n\r\n2\r\nok\r\n0\r\n\r\n`, REFUSED, 'GET', true]),
  ...['HTTP/1.2 200 OK', 'HTTP/2.0 200 OK', 'HTTP/0.9 200 OK', 'http/1.1 200 OK', 'HTTP/1.1  200 OK', 'HTTP/1.1 200\tOK', 'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK', 'HTTP/1.1 099 OK', 'HTTP/1.1 600 OK', 'HTTP/1.1 999 OK', 'HTTP/1.1 abc OK', 'HTTP/1.1 -20 OK', 'HTTP/1.1', '200 OK',
    ' HTTP/1.1 200 OK', 'HTTP/1.1 200 O\0K', 'HTTP/1.1 200 O\rK', 'HTTP/1.01 200 OK', 'ICY 200 OK', 'HTTP/1.1\x0b200 OK', 'HTTP /1.1 200 OK',
    '\r\nHTTP/1.1 200 OK', 'HTTP/1.1 200 OK\r']
    .map((line) => [`${line}\r\nContent-Length: 2\r\n\r\nok`, REFUSED, 'GET', true]),
  ['HTTP/1.1 200 OK\nContent-Length: 2\n\nok', REFUSED, 'GET', true],
  ['HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', REFUSED, 'GET', true],
  ['HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok', REFUSED, 'GET', true],
  ['HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', REFUSED, 'GET', true],
  [`HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n${SMUGGLED}`, REFUSED],
  [`HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok${SMUGGLED}`, REFUSED],
  [`${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50)}${OK}Content-Length: 2\r\n\r\nok`, REFUSED, 'GET', true],
  [`${OK}X: ${'a'.repeat(200000)}\r\nContent-Length: 2\r\n\r\nok`, REFUSED, 'GET', true],
  [`${OK}${'X: y\r\n'.repeat(1000)}Content-Length: 2\r\n\r\nok`, REFUSED, 'GET', true],
  [`HTTP/1.1 200 ${'a'.repeat(200000)}\r\nContent-Length: 2\r\n\r\nok`, REFUSED, 'GET', true],
  ['<html>hello</html>', REFUSED, 'GET', true],
  ['\0'.repeat(100), REFUSED, 'GET', true],
  ['\x15\x03\x03\x00\x02\x02\x0a', REFUSED, 'GET', true],
];

const random = new Random();
const oddities = ['\0', '\r', '\n', '\r\n', ' ', '\t', '\x0b', '\x7f', '\xa0', ':', ';', ',', '0', '1', '2', 'f', '-', '+', 'x', '\r\n ',
  'Content-Length: 1\r\n', 'Transfer-Encoding: chunked\r\n', SMUGGLED];

/** One of the above with a few bytes in, out or doubled. */
function mutated() {
  const base = answers[random.below(answers.length)];
  let bytes = base[0].slice(0, 500);
  for (let i = 1 + random.below(3); i > 0; i--) {
    const at = random.below(bytes.length + 1);
    const odd = random.pick(oddities);
    bytes = random.pick([
      () => bytes.slice(0, at) + odd + bytes.slice(at),
      () => bytes.slice(0, at) + bytes.slice(at + 1),
      () => bytes.slice(0, at) + odd + bytes.slice(at + 1),
      () => bytes.slice(0, at) + bytes.slice(Math.max(0, at - 5)),
    ])();
  }
  return [bytes, null, base[2], true];
}

// ---- what is expected ----

/**
 * What the gateway passes on although nginx and HAProxy both do not: which bytes, and why they are
 * clear enough.
 */
const ALONE = [];

const shown = (text) => JSON.stringify(text.length > 1500 ? `${text.slice(0, 1500)}...` : text);

/** What a client has got for the first of its two requests: passed, refused or cut. */
function outcome(talk, method) {
  const read = readResponses(talk.text, [method, 'GET'], talk.hasEnded);
  const [first] = read.messages;
  const isOwn = first?.status >= 500 && valuesOf(first.fields, 'x-number').length === 0
    && (method === 'HEAD' ? [500, 502].includes(first.status) : /bad gateway|502|500/i.test(first.body));
  if (!first) return { ...read, kind: read.partial?.head ? 'cut' : 'refused' };
  return { ...read, kind: isOwn ? 'refused' : 'passed', status: first.status, body: first.body };
}

/** Everything that must hold of the gateway, whatever is answered. */
function assertSound(talk, got, method, about) {
  assert.equal(got.error, null, `${got.error}: ${about}`);
  for (const { fields } of got.messages.slice(1)) assert.deepEqual(valuesOf(fields, 'smuggled'), [], about);
  if (got.kind === 'cut') {
    assert.ok(talk.hasEnded, `an answer was cut, but not the connection: ${about}`);
    assert.equal(got.messages.length, 0, about);
    assert.ok(!talk.text.includes('Bad gateway.'), `an answer within an answer: ${about}`);
    return;
  }
  if (got.kind === 'refused') {
    const body = method === 'HEAD' ? '' : 'Bad gateway.';
    assert.deepEqual([got.messages[0]?.status, got.messages[0]?.body], [502, body], about);
  }
  // Once more where the service has closed the connection meanwhile: GET may be repeated.
  const next = talk.requests.filter(({ target }) => target === '/next');
  assert.ok(next.length === 1 || next.length === 2, `the next request came ${next.length} times: ${about}`);
  assert.equal(got.messages.length, 2, `the next request has no answer: ${about}`);
  assert.deepEqual(valuesOf(got.messages[1].fields, 'x-number'), [String(next.at(-1).number)],
    `the next request has somebody else's answer: ${about}`);
  assert.ok(talk.requests.filter(({ target }) => target === '/case').length <= 2, about);
}

const everything = (port) => [api('all', port,
  ['GET', 'POST', 'HEAD'].map((method) => [method.toLowerCase(), method, '.*']))];

/** Plays the current answer for /case. */
function playing(backend) {
  backend.play = { bytes: '', closes: false };
  backend.script = ({ target, number, method }, socket) => {
    if (target !== '/case') {
      socket.write(numbered(number, method));
      return;
    }
    const { bytes, closes } = backend.play;
    if (closes) socket.end(bytes, 'latin1');
    else socket.write(bytes, 'latin1');
  };
  return backend;
}

describe('answers through the gateway, nginx and HAProxy', { skip: missingProxies() }, () => {
  const subjects = [];
  const stops = [];
  const alone = [];
  let gateway;

  before(async () => {
    for (const name of ['rgate', 'nginx', 'haproxy']) {
      const backend = playing(await new RawBackend().listen());
      const proxy = name === 'rgate'
        ? await Gateway.start({ env: environment(everything(backend.port), { REACTORS: '1', LOG_LEVEL: 'warn' }) })
        : await OtherProxy.start(name, backend.port);
      gateway ??= proxy;
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

  async function run([bytes, , method = 'GET', closes = false]) {
    const text = `${method} /case HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n`;
    const talks = await Promise.all(subjects.map((subject) => {
      subject.backend.play = { bytes, closes };
      return subject.converse(text);
    }));
    const [ours, ...others] = talks.map((talk) => outcome(talk, method));
    assertSound(talks[0], ours, method, `${method} answered ${shown(bytes)}\nto the client: ${shown(talks[0].text)}`);
    ours.text = talks[0].text;
    if (ours.kind !== 'passed') return ours;
    const theirs = others.filter(({ kind }) => kind === 'passed');
    if (theirs.length === 0 && !ALONE.some(({ is }) => is(bytes))) alone.push(`${method} ${shown(bytes)}`);
    if (theirs.length < others.length) return ours;
    // One that has no own answer for the next request has got into disorder.
    for (const { status, body, messages, error } of theirs) {
      if (error || messages.length < 2 || valuesOf(messages[1].fields, 'x-number').length === 0) continue;
      assert.deepEqual([ours.status, ours.body], [status, body], `others pass on something else of ${shown(bytes)}`);
    }
    return ours;
  }

  for (const answer of answers) {
    const [bytes, expected, method = 'GET'] = answer;
    it(`${method}: ${shown(bytes.slice(0, 150))} is ${expected.kind}`, async () => {
      const { kind, status, body, text } = await run(answer);
      assert.doesNotMatch(text, /smuggled/i);
      if (expected === CUT) assert.ok(kind === 'cut' || kind === 'refused', kind);
      else if (expected === REFUSED) assert.equal(kind, 'refused');
      else assert.deepEqual({ kind, status, body }, expected);
    });
  }

  it('generated answers are passed on as they are, or refused, or cut', async (t) => {
    t.diagnostic(`RGATE_TEST_SEED=${random.seed}`);
    const kinds = { passed: 0, refused: 0, cut: 0 };
    for (let i = 0; i < GENERATED; i++) {
      const { kind } = await run(mutated()).catch((error) => {
        error.message += `\nRGATE_TEST_SEED=${random.seed}`;
        throw error;
      });
      kinds[kind]++;
    }
    t.diagnostic(JSON.stringify(kinds));
    assert.ok(Object.values(kinds).every((n) => n > GENERATED / 100), JSON.stringify(kinds));
  });

  it('of all these there is nothing that only the gateway passes on', () => {
    assert.deepEqual(alone, [], `RGATE_TEST_SEED=${random.seed}`);
  });

  it('what comes on a kept connection unasked is nobody\'s, and the connection ends', async (t) => {
    const [{ backend }] = subjects;
    const kept = deferred();
    const { script } = backend;
    t.after(() => { backend.script = script; });
    backend.script = ({ number, method }, socket) => {
      kept.resolve(socket);
      socket.write(numbered(number, method));
    };
    const client = await RawConnection.open(gateway.port);
    t.after(() => client.close());
    await client.write('GET /first HTTP/1.1\r\nHost: h\r\n\r\n').response();
    const socket = await within(kept.promise, 'the service is asked');
    const over = new Promise((resolve) => { socket.once('close', resolve); });
    socket.write(SMUGGLED);
    await within(over, 'the connection to the service ends');
    const { headers } = await client.write('GET /second HTTP/1.1\r\nHost: h\r\n\r\n').response();
    assert.equal(Number(headers['x-number']), backend.requests.find(({ target }) => target === '/second').number);
  });
});
