// Publishing over HTTP.
//
// - An event that is accepted reaches its subscribers as it was posted, byte for byte.
// - An event in binary mode reaches them as the structured event it stands for.
// - What is not exactly one CloudEvent is refused with 400, never with a 5xx.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, post, publish, put, receivedUntilLast } from '../support/events.mjs';
import { LongPollClient } from '../support/longpoll.mjs';
import { SseStream } from '../support/sse.mjs';
import { WsClient } from '../support/websocket.mjs';

const EVENTS = `${V1}/events`;
const CHAT = { subscriptions: [{ eventType: 'chat.posted' }, LAST] };
const BLUE = { subscriptions: [{ eventType: 'chat.posted', oneOf: [{ room: 'blue' }] }, LAST] };

const BINARY = {
  'content-type': 'application/json', 'ce-specversion': '0.2', 'ce-type': 'chat.posted',
  'ce-source': '/t', 'ce-id': '9',
};

describe('publishing', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const openSse = async (t, parameters = CHAT) => {
    const stream = await SseStream.open(suite.gateway, parameters);
    t.after(() => stream.close());
    return stream;
  };
  const openWs = async (t, parameters = CHAT) => {
    const client = await WsClient.open(suite.gateway, parameters);
    t.after(() => client.close());
    return client;
  };
  const refused = async (body, headers, beginning = '') => {
    const response = await post(suite.gateway, body, headers);
    assert.equal(response.status, 400, response.text);
    assert.ok(response.text.startsWith(beginning), response.text);
    assert.equal(response.headers['access-control-allow-origin'], '*');
  };

  it('client-api 85: an accepted event is echoed', async () => {
    const event = ev('chat.posted', { room: 'blue' });
    const { status, headers, json } = await post(suite.gateway, event);
    assert.equal(status, 202);
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.match(headers['cache-control'], /max-age=0, private, must-revalidate/);
    assert.deepEqual(json(), event);
  });

  it('client-api 86: subscribers get the posted bytes', async (t) => {
    const stream = await openSse(t);
    const socket = await openWs(t);
    const text = '{ "specversion":"0.2",  "type" : "chat.posted","id":"e\\u0301 é 😀",'
      + '\t"additional property":true,"source":"/t","data":{"a":1.50,"a":2,"b":[ ]} }';
    assert.equal((await post(suite.gateway, text)).status, 202);
    assert.equal((await stream.nextFrame('chat.posted')).data, text);
    assert.equal(await socket.messages.next(), text);
  });

  it('client-api 86: the WebSocket, the stream and long polling agree on a large event', async (t) => {
    const clients = [await openSse(t), await openWs(t), await LongPollClient.open(suite.gateway, CHAT)];
    const event = await publish(suite.gateway, ev('chat.posted', 'x'.repeat(300_000)));
    for (const client of clients) assert.deepEqual(await client.next('chat.posted'), event);
  });

  for (const [name, lineEnd] of [['LF', '\n'], ['CR', '\r'], ['CRLF', '\r\n']]) {
    it(`client-api 87: ${name} inside of the JSON makes lines that join again`, async (t) => {
      const stream = await openSse(t);
      const socket = await openWs(t);
      const lines = ['{"specversion":"0.2",', '"type":"chat.posted",', '', '"id":"1",',
        '"source":"/t"}', ''];
      const text = lines.join(lineEnd);
      assert.equal((await post(suite.gateway, text)).status, 202);
      const frame = await stream.nextFrame('chat.posted');
      assert.equal(frame.data, lines.join('\n'));
      assert.equal(frame.lines.length, 1 + lines.length);
      assert.ok(!frame.text.includes('\r'));
      assert.equal(await socket.messages.next(), text);
    });
  }

  it('client-api 5.5: a line break in the type does not break the frame', async (t) => {
    const stream = await openSse(t, { subscriptions: [{ eventType: 'a\r\nb: c' }] });
    await publish(suite.gateway, ev('a\r\nb: c', {}));
    assert.match((await stream.nextFrame()).event, /^a +b: c$/);
  });

  it('client-api 88: a 0.1 event', async (t) => {
    const stream = await openSse(t, BLUE);
    const text = '{"cloudEventsVersion":"0.1","eventType":"chat.posted","eventID":"1","source":"/t",'
      + '"data":{"room":"blue"}}';
    assert.equal((await post(suite.gateway, text)).status, 202);
    assert.equal((await stream.nextFrame('chat.posted')).data, text);
  });

  it('client-api 88: with both version markers 0.2 counts', async (t) => {
    const stream = await openSse(t);
    await publish(suite.gateway, ev('chat.posted', {},
      { cloudEventsVersion: '0.1', eventType: 'other', eventID: '2' }));
    await stream.nextFrame('chat.posted');
  });

  it('client-api 89: the source may be missing and the id a number', async () => {
    const event = ev('chat.posted', {});
    delete event.source;
    await publish(suite.gateway, event);
    await publish(suite.gateway, ev('chat.posted', {}, { id: 5 }));
  });

  for (const body of [
    '{"specversion":"0.2","type":"a","source":"/t"}', '{"specversion":"0.2","id":"1"}', '{}', '',
    'not json']) {
    it(`client-api 90: ${body || 'nothing'} is refused`, () =>
      refused(body, {}, 'The request body does not look like a CloudEvent:'));
  }

  for (const body of [
    '{"specversion":"0.2","type":"a","id":"1"', '[]', '5', 'null', '"text"',
    '{"specversion":"0.2","type":"a","id":"1"} x', '{"specversion":"0.2","type":null,"id":"1"}',
    '{"specversion":"0.2","type":"","id":"1"}', '{"specversion":"0.2","type":"a","id":""}',
    '{"specversion":"0.2","type":"a","id":null}', '{"specversion":"0.2","type":5,"id":"1"}',
    '{"specversion":"0.3","type":"a","id":"1"}', '{"specversion":0.2,"type":"a","id":"1"}',
    '{"specversion":"0.2","type":"a","id":"1","data":01}',
    '{"specversion":"0.2","type":"a","id":"1","data":"\u0001"}',
    `{"specversion":"0.2","type":"a","id":"1","data":${'['.repeat(65)}${']'.repeat(65)}}`]) {
    it(`client-api 91: ${JSON.stringify(body).slice(0, 70)} is refused`, () => refused(body));
  }

  it('client-api 91: bytes that are not UTF-8 are refused', () =>
    refused(Buffer.from('7b22737065637665727369 6f6e223a22302e32222c2274797065223a2261222c226964223a22ff227d'
      .replaceAll(' ', ''), 'hex')));

  it('client-api 92: a 1.0 event is delivered unchanged', async (t) => {
    const stream = await openSse(t, BLUE);
    const text = '{"specversion":"1.0","type":"chat.posted","source":"/t","id":"1",'
      + '"data":{"room":"blue"}}';
    assert.equal((await post(suite.gateway, text)).status, 202);
    assert.equal((await stream.nextFrame('chat.posted')).data, text);
  });

  it('client-api 93: in structured mode the ce- headers are not looked at', async (t) => {
    const stream = await openSse(t);
    const event = await publish(suite.gateway, ev('chat.posted', {}), {
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'ce-specversion': 'bogus', 'ce-type': 'x',
    });
    assert.deepEqual(await stream.next('chat.posted'), event);
  });

  for (const [type, text] of [
    ['application/cloudevents+xml', /is currently not supported for structured mode\.$/],
    ['application/cloudevents-batch', /^The batched CloudEvents HTTP transport binding mode/]]) {
    it(`client-api 94: ${type} is not supported`, async () => {
      const response = await post(suite.gateway, ev('a', {}), { 'content-type': type });
      assert.equal(response.status, 415);
      assert.match(response.text, text);
    });
  }

  it('client-api 95: another type without ce- headers is refused', () =>
    refused(ev('a', {}), { 'content-type': 'text/plain' }));

  it('client-api 95: binary mode takes no 0.1', () =>
    refused({}, { ...BINARY, 'ce-specversion': '0.1' }));

  it('client-api 96: binary mode builds the event', async (t) => {
    const stream = await openSse(t, BLUE);
    const response = await post(suite.gateway, '{"room":"blue"}', BINARY);
    assert.equal(response.status, 202);
    const wanted = { specversion: '0.2', type: 'chat.posted', source: '/t', id: '9',
      data: { room: 'blue' } };
    assert.deepEqual(await stream.next('chat.posted'), wanted);
    assert.deepEqual(response.json(), wanted);
  });

  it('client-api 97: in binary mode text becomes a string', async (t) => {
    const stream = await openSse(t);
    const body = 'Grüß dich\n"du"';
    await post(suite.gateway, body, { ...BINARY, 'content-type': 'text/plain' });
    const event = await stream.next('chat.posted');
    assert.equal(event.contenttype, 'text/plain');
    assert.equal(event.data, body);
  });

  it('client-api 98: extension values that are JSON become JSON', async (t) => {
    const stream = await openSse(t);
    await post(suite.gateway, '{}', { ...BINARY, 'ce-hops': '5', 'ce-note': 'plain', 'ce-time': '7' });
    const event = await stream.next('chat.posted');
    assert.equal(event.hops, 5);
    assert.equal(event.note, 'plain');
    assert.equal(event.time, '7');
  });

  it('client-api 98: a 1.0 event in binary mode', async (t) => {
    const stream = await openSse(t);
    await post(suite.gateway, Buffer.from([0xff, 0x00]), { ...BINARY, 'ce-specversion': '1.0',
      'content-type': 'application/octet-stream', 'ce-subject': '5' });
    const event = await stream.next('chat.posted');
    assert.equal(event.specversion, '1.0');
    assert.equal(event.subject, '5');
    assert.equal(event.data_base64, '/wA=');
    assert.equal('data' in event, false);
  });

  it('client-api 99: binary mode with a broken body is refused', () => refused('{', BINARY));

  for (const type of [undefined, 'nonsense']) {
    it(`client-api 99: content type ${type} is refused`, async () => {
      const headers = { 'content-type': type, 'content-length': '2' };
      if (type === undefined) delete headers['content-type'];
      const { status } = await suite.gateway.request(
        { method: 'POST', path: EVENTS, headers, body: '{}' });
      assert.equal(status, 400);
    });
  }

  for (const name of ['ce-id', 'ce-type']) {
    it(`client-api 100: binary mode without ${name} is refused`, () => {
      const headers = { ...BINARY };
      delete headers[name];
      return refused('{}', headers);
    });
  }

  it('client-api 101: the preflight', async () => {
    const { status, headers } = await suite.gateway.request({ method: 'OPTIONS', path: EVENTS });
    assert.equal(status, 204);
    assert.equal(headers['access-control-allow-methods'], 'POST');
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.match(headers['access-control-allow-headers'], /content-type/);
    assert.match(headers['access-control-allow-headers'], /authorization/);
  });

  for (const path of [EVENTS, `${V1}/connection/init`, '/_rig/nowhere', '/nowhere']) {
    it(`client-api 102: GET ${path} is not found`, async () => {
      const { status, headers, text } = await suite.gateway.get(path);
      assert.equal(status, 404);
      assert.deepEqual(JSON.parse(text), { message: 'Not Found' });
      assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    });
  }

  it('client-api 103: nobody needs to be subscribed', () =>
    publish(suite.gateway, ev('nobody.wants.it', {})));

  it('client-api 10.8: a long type is delivered', async (t) => {
    const type = 't'.repeat(4096);
    const stream = await openSse(t);
    await put(suite.gateway, stream.token, { subscriptions: [{ eventType: type }] });
    await stream.next('rig.subscriptions_set');
    await publish(suite.gateway, ev(type, {}));
    await stream.nextFrame(type);
  });

  it('client-api 105: a request id is echoed if it is long enough', async () => {
    const answered = async (id) =>
      (await post(suite.gateway, ev('a', {}), { 'x-request-id': id })).headers['x-request-id'];
    assert.equal(await answered('0123456789abcdefghij'), '0123456789abcdefghij');
    assert.equal(await answered('x'.repeat(200)), 'x'.repeat(200));
    for (const refusedId of ['short', 'x'.repeat(201)]) {
      const generated = await answered(refusedId);
      assert.ok(generated.length >= 20);
      assert.notEqual(generated, refusedId);
    }
  });

  it('client-api 106: the answer continues the trace', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { headers } = await post(suite.gateway, ev('a', {}), { traceparent });
    const [version, trace, span, flags] = headers.traceparent.split('-');
    assert.equal(version, '00');
    assert.equal(trace, '0af7651916cd43dd8448eb211c80319c');
    assert.match(span, /^[0-9a-f]{16}$/);
    assert.notEqual(span, 'b7ad6b7169203331');
    assert.match(flags, /^0[01]$/);
  });

  for (const traceparent of [undefined, 'nonsense', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`]) {
    it(`client-api 106: traceparent ${traceparent} begins a trace`, async () => {
      const { headers } = await post(suite.gateway, ev('a', {}), traceparent ? { traceparent } : {});
      assert.match(headers.traceparent, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/);
    });
  }

  it('client-api 107: trace attributes of an event are delivered', async (t) => {
    const stream = await openSse(t);
    const event = await publish(suite.gateway, ev('chat.posted', {}, {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=b' }));
    assert.deepEqual(await stream.next('chat.posted'), event);
  });

  for (const version of ['v2', 'v3']) {
    it(`client-api 11.9: events can be posted to /${version}/messages of the internal port`,
      async (t) => {
        const stream = await openSse(t);
        const event = ev('chat.posted', {});
        const { status } = await suite.gateway.internal(`/${version}/messages`, {
          method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(event),
        });
        assert.equal(status, 202);
        assert.deepEqual(await receivedUntilLast(stream), [event]);
      });
  }
});

describe('publishing a batch', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const TYPE = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };
  const postBatch = (batch) => post(suite.gateway, batch, TYPE);
  const open = async (t) => {
    const stream = await SseStream.open(suite.gateway, BLUE);
    t.after(() => stream.close());
    return stream;
  };
  const blue = (n) => ev('chat.posted', { room: 'blue', n });

  it('batch: every event of it is delivered, in its order and as it was posted', async (t) => {
    const stream = await open(t);
    const texts = ['{"specversion":"1.0", "type":"chat.posted","source":"/t","id":"1","data":{"room":"blue"}}',
      '{"cloudEventsVersion":"0.1","eventType":"chat.posted","eventID":"2","data":{"room":"blue"}}',
      ...Array.from({ length: 100 }, (_, n) => JSON.stringify(blue(n)))];
    const response = await postBatch(
      ` [ ${texts[0]} ,${JSON.stringify(ev('chat.posted', { room: 'red' }))},\n${texts.slice(1).join(',')}] `);
    assert.equal(response.status, 202, response.text);
    assert.equal(response.headers['access-control-allow-origin'], '*');
    for (const text of texts) assert.equal((await stream.nextFrame('chat.posted')).data, text);
    assert.deepEqual(await receivedUntilLast(stream), []);
  });

  it('batch: an empty one is accepted', async () => {
    assert.equal((await postBatch('[]')).status, 202);
  });

  for (const [what, bad] of [
    ['no object', 5], ['an event without id', { ...blue(2), id: undefined }],
    ['an event without type', { ...blue(2), type: '' }], ['an unknown version',
      { ...blue(2), specversion: '3' }], ['a batch inside', [blue(2)]]]) {
    for (const place of [0, 1, 2]) {
      it(`batch: ${what} in place ${place} is refused with all of it`, async (t) => {
        const stream = await open(t);
        const events = [blue(0), blue(1)];
        events.splice(place, 0, bad);
        const response = await postBatch(events);
        assert.equal(response.status, 400, response.text);
        assert.ok(response.text.startsWith('The request body does not look like a CloudEvent'), response.text);
        assert.deepEqual(await receivedUntilLast(stream), []);
      });
    }
  }

  for (const body of ['', '{}', JSON.stringify(blue(0)), '[', `[${JSON.stringify(blue(0))}`,
    `[${JSON.stringify(blue(0))},]`, `[${JSON.stringify(blue(0))}] x`,
    `[${JSON.stringify(blue(0))} ${JSON.stringify(blue(1))}]`, 'not json']) {
    it(`batch: ${body.slice(0, 30)}${body.slice(30) && '…'}${body.slice(-3)} is refused`, async (t) => {
      const stream = await open(t);
      assert.equal((await postBatch(body)).status, 400);
      assert.deepEqual(await receivedUntilLast(stream), []);
    });
  }

  it('batch: one of too many events is refused with all of it', async (t) => {
    const stream = await open(t);
    const event = '{"specversion":"1.0","type":"chat.posted","id":"1","data":{"room":"blue"}}';
    const response = await postBatch(`[${Array(10001).fill(event).join(',')}]`);
    assert.ok([400, 413].includes(response.status), `${response.status} ${response.text}`);
    assert.deepEqual(await receivedUntilLast(stream), []);
  });

  for (const type of ['application/cloudevents-batch', 'application/cloudevents-batch+xml']) {
    it(`client-api 94: ${type} is no batch that is known`, async () => {
      const { status } = await post(suite.gateway, [blue(0)], { 'content-type': type });
      assert.ok([400, 415].includes(status), String(status));
    });
  }
});

describe('publishing with an origin of its own', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, CORS: 'https://ui.example' } });

  it('client-api 104: CORS names the origin', async (t) => {
    const stream = await SseStream.open(suite.gateway);
    t.after(() => stream.close());
    for (const response of [
      await post(suite.gateway, ev('a', {})),
      await put(suite.gateway, stream.token, { subscriptions: [] }),
      stream,
    ]) {
      assert.equal(response.headers['access-control-allow-origin'], 'https://ui.example');
    }
  });
});
