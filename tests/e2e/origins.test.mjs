// Which pages may open a WebSocket.
//
// - A browser tells the origin of the page, and one that is not listed is turned away before
//   anything is looked at; other programs tell none and are not concerned.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { FIXTURE, query } from '../support/events.mjs';
import { connect } from '../support/clients.mjs';
import { RawConnection } from '../support/http.mjs';
import { token } from '../support/jwt.mjs';
import { handshake } from '../support/websocket.mjs';

const PATH = `${V1}/connection/ws`;

/** The status of a handshake that sends this origin. */
async function statusFor(gateway, origin, parameters = {}, more = {}) {
  const connection = await RawConnection.open(gateway.port);
  try {
    connection.write(handshake(PATH + query(parameters), { origin, ...more }));
    return (await connection.head()).status;
  } finally {
    connection.close();
  }
}

describe('ORIGINS', () => {
  const suite = suiteGateway({ env: {
    ...FIXTURE, ORIGINS: 'https://ui.example, http://localhost:3000', JWT_COOKIE: 'session' } });

  for (const origin of ['https://ui.example', 'http://localhost:3000', 'HTTPS://UI.example', undefined]) {
    it(`origins: ${origin ?? 'no origin'} may`, async () => {
      assert.equal(await statusFor(suite.gateway, origin), 101);
    });
  }

  for (const origin of ['https://evil.example', 'http://ui.example', 'https://ui.example:8443',
    'https://ui.example.evil.example', 'https://ui.exampl', 'https://ui.example/', 'null', '', '*',
    'https://ui.example, https://evil.example']) {
    it(`origins: ${JSON.stringify(origin)} may not`, async () => {
      assert.equal(await statusFor(suite.gateway, origin), 403);
    });
  }

  it('origins: neither with a token nor with somebody\'s cookie', async () => {
    const jwt = token({ username: 'ada' });
    assert.equal(await statusFor(suite.gateway, 'https://evil.example', { jwt }), 403);
    assert.equal(await statusFor(
      suite.gateway, 'https://evil.example', {}, { cookie: `session=${jwt}` }), 403);
  });

  it('origins: by default any page may', async (t) => {
    const gateway = await testGateway(t, { env: FIXTURE });
    for (const origin of ['https://evil.example', 'null', undefined]) {
      assert.equal(await statusFor(gateway, origin), 101);
    }
  });

  it('origins: a client that is let in is served', (t) =>
    connect(t, 'ws', suite.gateway, {}, { origin: 'https://ui.example' }));
});
