// The session blacklist on the internal port, as HTTP: sessions.test.mjs has what it does.
//
// - The body is read by its content type; what cannot be read is refused in the port's own form.
// - Where an entry is found keeps the path that was used; other methods and paths are not there.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway } from '../support/gateway.mjs';
import { exchange } from '../support/http.mjs';

const BAD_REQUEST = { errors: { detail: 'Bad request' } };
const JSON_TYPE = 'application/json; charset=utf-8';

describe('the session blacklist', () => {
  const suite = suiteGateway();
  let n = 0;
  const fresh = () => `session-${++n}`;

  const post = (body, type = 'application/json', path = '/v3/session-blacklist') =>
    suite.gateway.internal(path, {
      method: 'POST', body, headers: type === null ? {} : { 'content-type': type },
    });
  const entry = (sessionId, validityInSeconds = 60) =>
    JSON.stringify({ sessionId, validityInSeconds });
  const isBanned = async (id) =>
    (await suite.gateway.internal(`/v3/session-blacklist/${encodeURIComponent(id)}`)).status === 200;

  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.x+json']) {
    it(`management-api 1.1: JSON as ${type}`, async () => {
      const id = fresh();
      assert.equal((await post(entry(id), type)).status, 201);
      assert.equal(await isBanned(id), true);
    });
  }

  it('management-api 1.1: a form', async () => {
    const { status, headers } = await post('sessionId=a+form%2F1&validityInSeconds=60',
      'application/x-www-form-urlencoded');
    assert.equal(status, 201);
    assert.equal(headers.location, '/v3/session-blacklist/a%20form%2F1');
    assert.equal(await isBanned('a form/1'), true);
  });

  it('management-api 1.1: without a content type there is no body', async () => {
    const { status, text } = await post(entry(fresh()), null);
    assert.equal(status, 400);
    assert.equal(text, 'Missing value for "sessionId"');
  });

  it('management-api 1.1: parameters of the query are not looked at', async () => {
    const id = fresh();
    const { status } = await post('{}', undefined,
      `/v3/session-blacklist?sessionId=${id}&validityInSeconds=60`);
    assert.equal(status, 400);
    assert.equal(await isBanned(id), false);
  });

  for (const [number, what, body, type, status] of [
    [3, 'broken JSON', '{', undefined, 400],
    [3, 'JSON that is no object', '["s"]', undefined, 400],
    [3, 'a broken form', 'sessionId=%zz', 'application/x-www-form-urlencoded', 400],
    [4, 'plain text', entry('no'), 'text/plain', 415],
  ]) {
    it(`management-api ${number}: ${what} is refused with ${status}`, async () => {
      const response = await post(body, type);
      assert.equal(response.status, status);
      assert.deepEqual(response.json(), BAD_REQUEST);
      assert.equal(response.headers['content-type'], JSON_TYPE);
      assert.equal(response.headers['access-control-allow-origin'], '*');
    });
  }

  it('management-api 5: a body of 9 MB is too long', async () => {
    // The head says so; the answer does not wait for the body.
    const { status } = await exchange(suite.gateway.internalPort,
      'POST /v3/session-blacklist HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
      'Content-Length: 9000000\r\n\r\n');
    assert.equal(status, 413);
  });

  it('management-api 31: the answers carry what all of the port do', async () => {
    const { headers } = await post(entry(fresh()));
    assert.match(headers['x-request-id'], /^.{20,200}$/);
    assert.equal(headers['cache-control'], 'max-age=0, private, must-revalidate');
    assert.ok(headers.date);
  });

  it('management-api 31: a slash at the end of the path changes nothing', async () => {
    const id = fresh();
    const { status, headers } = await post(entry(id), undefined, '/v2/session-blacklist/');
    assert.equal(status, 201);
    assert.equal(headers.location, `/v2/session-blacklist/${id}`);
    assert.equal((await suite.gateway.internal(`${headers.location}/`)).status, 200);
  });

  it('management-api 31: HEAD is a GET without the body', async () => {
    const id = fresh();
    await post(entry(id));
    const { status, text } = await suite.gateway.internal(
      `/v3/session-blacklist/${id}`, { method: 'HEAD' });
    assert.deepEqual({ status, text }, { status: 200, text: '' });
  });

  it('management-api 36: a name can have any characters, and splits no answer', async () => {
    for (const id of ['ä€😀', 'a\r\nlocation: x', '..', '%2F', 'a?b#c']) {
      const { status, headers } = await post(entry(id));
      assert.equal(status, 201);
      assert.match(headers.location, /^\/v3\/session-blacklist\/[\w.~%-]+$/);
      assert.equal(await isBanned(id), true);
    }
    assert.equal((await suite.gateway.internal('/v3/session-blacklist/%2')).status, 400);
  });

  for (const [method, path] of [
    ['OPTIONS', '/v3/session-blacklist'], ['OPTIONS', '/v3/session-blacklist/s'],
    ['GET', '/v3/session-blacklist'], ['DELETE', '/v3/session-blacklist/s'],
    ['PUT', '/v3/session-blacklist'], ['POST', '/v1/session-blacklist'],
  ]) {
    it(`management-api 2: ${method} ${path} is not there`, async () => {
      const response = await suite.gateway.internal(path, { method });
      assert.equal(response.status, 404);
      assert.deepEqual(response.json(), { errors: { detail: 'Not found' } });
      assert.equal(response.headers['content-type'], JSON_TYPE);
    });
  }
});
