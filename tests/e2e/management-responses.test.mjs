// Answers that services give by the internal port.
//
// - Whoever has the id of a request that waits may answer it: with status, fields and the bytes of the
//   body, or, in the version before, with an event.
// - What is wrong with an answer is told in the words that services know.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SENT, altered, api, ask, respond, suiteApis } from '../support/echo-backend.mjs';
import { suiteGateway } from '../support/gateway.mjs';

const FAILED = 'Failed to parse request body: ';

describe('responses without anybody who waits', () => {
  const suite = suiteGateway({});
  const refused = async (answer, reason) => {
    const { status, headers, text } = await answer;
    assert.equal(status, 400);
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(text, `${FAILED}${reason}`);
  };
  const event = (rig) => JSON.stringify({ specversion: '0.2', type: 't', source: '/s', id: '1', rig });
  const post2 = (body, type = 'application/json') => suite.gateway.internal('/v2/responses',
    { method: 'POST', body, headers: { 'content-type': type } });

  it('management-api 45: without headers', () =>
    refused(respond(suite.gateway), ':error'));

  it('management-api 45: without an id', () =>
    refused(respond(suite.gateway, undefined, 200), ':error'));

  it('management-api 47: an id that is not base64', () =>
    refused(respond(suite.gateway, '!!!'), '{:error, :not_base64}'));

  for (const id of ['AAAA', 'c29tZXRoaW5nIGVsc2UgdGhhdCBpcyBsb25nIGVub3VnaA']) {
    it(`management-api 5.1: ${id} is no id of ours`, () =>
      refused(respond(suite.gateway, id, 200), '{:error, :invalid_term}'));
  }

  it('management-api 5.1: any content type is taken', async () => {
    for (const type of ['image/png', 'application/x-www-form-urlencoded', 'application/json']) {
      await refused(respond(suite.gateway, '!!!', 200, '{', { 'content-type': type }),
        '{:error, :not_base64}');
    }
  });

  it('management-api 5.2: what is no event, or has no id', async () => {
    for (const body of ['{}', '[]', '{"rig":{"correlation":"AAAA"}}', event(undefined), event({}),
      event({ correlation: 7 }), event({ correlation: '!!!' }), event({ correlation: 'AAAA' })]) {
      const { status, text } = await post2(body);
      assert.equal(status, 400, body);
      assert.ok(text.startsWith(FAILED), text);
    }
  });

  it('management-api 1.1: what is no JSON', async () => {
    for (const [body, type, expected] of [['{', 'application/json', 400], ['{}', 'text/plain', 415]]) {
      const { status, json } = await post2(body, type);
      assert.equal(status, expected);
      assert.deepEqual(json(), { errors: { detail: 'Bad request' } });
    }
  });

  it('management-api 2: other methods are not found', async () => {
    for (const method of ['GET', 'PUT', 'OPTIONS']) {
      const { status, json } = await suite.gateway.internal('/v3/responses', { method });
      assert.equal(status, 404);
      assert.deepEqual(json(), { errors: { detail: 'Not found' } });
    }
  });
});

describe('responses to requests that wait', () => {
  const suite = suiteApis((port) => [
    api('a', port, [['async', 'GET', '/async', { response_from: 'http_async' }]])]);

  it('management-api 46: a code that is no number', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    const { status, text } = await respond(suite.gateway, id, 'abc201');
    assert.equal(status, 400);
    assert.equal(text, `${FAILED}{:error, {:not_an_integer, "abc201"}}`);
    answer(200);
    assert.equal((await client).status, 200);
  });

  it('management-api 5.1: an id that was altered', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    const { status, text } = await respond(suite.gateway, altered(id), 200);
    assert.equal(status, 400);
    assert.equal(text, `${FAILED}{:error, :invalid_term}`);
    answer(200);
    assert.equal((await client).status, 200);
  });

  it('management-api 48: an answer is accepted, and so is another one', async () => {
    const { id, client, answer } = await ask(suite, '/async');
    for (const code of [201, 202, 203]) {
      const { status, text } = await respond(suite.gateway, id, code, 'first');
      assert.equal(status, 202);
      assert.equal(text, SENT);
    }
    answer(202);
    assert.equal((await client).status, 201);
    assert.equal((await respond(suite.gateway, id, 201)).status, 202);
  });

  for (const [what, attributes] of [
    ['0.2', { specversion: '0.2', type: 't', source: '/s', id: '1' }],
    ['0.1', { cloudEventsVersion: '0.1', eventType: 't', eventID: '1' }]]) {
    it(`management-api 49: an event of version ${what} is the answer`, async () => {
      const { id, client, answer } = await ask(suite, '/async');
      const event = JSON.stringify({ ...attributes, data: { a: 1 }, rig: { correlation: id } });
      answer(202);
      const { status, text } = await suite.gateway.internal('/v2/responses',
        { method: 'POST', body: event, headers: { 'content-type': 'application/json' } });
      assert.equal(status, 202);
      assert.equal(text, SENT);
      const got = await client;
      assert.equal(got.status, 200);
      assert.equal(got.headers['content-type'], 'application/json; charset=utf-8');
      assert.equal(got.text, event);
    });
  }
});
