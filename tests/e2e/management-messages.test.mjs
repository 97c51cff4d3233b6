// Publishing by the internal port.
//
// - An event that is accepted reaches its subscribers: in structured mode as it was posted, in binary
//   mode as the event it stands for.
// - The answer is the event. What is none is refused with 400 or 415, never with a 5xx.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway } from '../support/gateway.mjs';
import { SseStream } from '../support/sse.mjs';

const STRUCTURED = { 'content-type': 'application/cloudevents+json;charset=utf-8' };
const binary = (type, more = {}) => ({
  'content-type': type, 'ce-specversion': '0.2', 'ce-type': 'x', 'ce-source': '/t', 'ce-id': '1',
  ...more,
});
const EVENT01 = '{"cloudEventsVersion":"0.1","source":"t","eventType":"x","eventID":"1"}';

for (const version of ['v2', 'v3']) {
  describe(`messages of ${version}`, () => {
    const suite = suiteGateway({});

    const post = (body, headers) => suite.gateway.internal(
      `/${version}/messages`, { method: 'POST', body, headers });
    const subscribe = async (t, eventType = 'x') => {
      const stream = await SseStream.open(suite.gateway, { subscriptions: [{ eventType }] });
      t.after(() => stream.close());
      return stream;
    };
    const refused = async (body, headers, status, beginning = '') => {
      const answer = await post(body, headers);
      assert.equal(answer.status, status, answer.text);
      assert.ok(answer.text.startsWith(beginning), answer.text);
    };

    it('management-api 38: a structured event of version 0.1', async (t) => {
      const stream = await subscribe(t);
      assert.equal((await post(EVENT01, STRUCTURED)).status, 202);
      assert.equal((await stream.nextFrame('x')).data, EVENT01);
    });

    it('management-api 38: ce- headers change nothing in structured mode', async (t) => {
      const stream = await subscribe(t);
      const { status } = await post(EVENT01,
        { ...STRUCTURED, 'ce-specversion': 'illegal', 'ce-type': 'y' });
      assert.equal(status, 202);
      assert.equal((await stream.nextFrame('x')).data, EVENT01);
    });

    it('management-api 39: what has no version is refused', () =>
      refused('{"source":"t","eventType":"x","eventID":"1"}', STRUCTURED, 400,
        'The request body does not look like a CloudEvent'));

    it('management-api 40: JSON in binary mode becomes the data', async (t) => {
      const stream = await subscribe(t);
      assert.equal((await post('{"some":"value"}', binary('application/json'))).status, 202);
      const event = await stream.next('x');
      assert.equal(event.data.some, 'value');
      assert.equal('contenttype' in event, false);
    });

    it('management-api 41: text in binary mode becomes a string', async (t) => {
      const stream = await subscribe(t);
      assert.equal((await post('hi', binary('text/plain'))).status, 202);
      const event = await stream.next('x');
      assert.equal(event.data, 'hi');
      assert.equal(event.contenttype, 'text/plain');
    });

    it('management-api 42: another version in binary mode is refused', () =>
      refused('hi', binary('text/plain', { 'ce-specversion': '0.1' }), 400));

    for (const type of ['application/cloudevents-batch', 'application/cloudevents+xml']) {
      it(`management-api 42: ${type} is not supported`, () =>
        refused('[]', { 'content-type': type }, 415));
    }

    it('management-api 43: the answer is the event, an object', async () => {
      const { text, headers, json } = await post(EVENT01, STRUCTURED);
      assert.equal(headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(json().eventID, '1');
      assert.equal(text, EVENT01);
    });

    it('management-api 43: in binary mode it is the event that was made', async () => {
      const { json } = await post('{"some":"value"}', binary('application/json'));
      assert.deepEqual(json(), {
        specversion: '0.2', type: 'x', source: '/t', id: '1', data: { some: 'value' } });
    });

    for (const body of ['[1,2]', '5', 'null', '{']) {
      it(`management-api 44: ${body} is refused`, () =>
        refused(body, { 'content-type': 'application/json' }, 400,
          'The request body does not look like a CloudEvent'));
    }

    it('management-api 4.1: without a content type it is refused', () => refused(EVENT01, {}, 400));
  });
}
