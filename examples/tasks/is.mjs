// IS, the identity service: users, login, logout, and the files of the page.
//
//   IS_PORT            where it listens (7070)
//   GATEWAY_INTERNAL   the gateway's internal port (http://localhost:4010)
import { randomUUID, scryptSync, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { claimsOf, readJson, Refusal, serve, sign } from './service.mjs';

const { IS_PORT = '7070', GATEWAY_INTERNAL = 'http://localhost:4010' } = process.env;
const HOUR_S = 3600;
const MAX_USERS = 1000;

const files = {
  'index.html': ['index.html', 'text/html'],
  'app.mjs': ['app.mjs', 'text/javascript'],
  'phoenix.mjs': ['node_modules/phoenix/priv/static/phoenix.mjs', 'text/javascript'],
};

/* ---- users, in memory ---- */

const users = new Map();

function addUser(username, password, role) {
  const salt = randomUUID();
  users.set(username, { role, salt, hash: scryptSync(password, salt, 32) });
}

function isRight(user, password) {
  return user !== undefined && typeof password === 'string'
    && timingSafeEqual(scryptSync(password, user.salt, 32), user.hash);
}

addUser('ada', 'lovelace', ['customer']);
addUser('bob', 'builder', ['customer']);
addUser('sam', 'supports', ['support']); // may join everybody's channel

const now = () => Math.floor(Date.now() / 1000);

serve('IS', IS_PORT, {
  async 'GET /'() {
    return [302, undefined, { location: '/ui/index.html' }];
  },

  async 'GET /ui/{id}'({ id }) {
    const [file, type] = files[id] ?? [];
    if (!file) throw new Refusal(404, 'there is no such file');
    return [200, await readFile(new URL(file, import.meta.url)), { 'content-type': `${type}; charset=utf-8` }];
  },

  async 'POST /is/users'({ req }) {
    const { username, password } = await readJson(req);
    if (typeof username !== 'string' || !/^[\w.-]{1,40}$/.test(username)) throw new Refusal(400, 'no such name');
    if (typeof password !== 'string' || password.length < 8) throw new Refusal(400, 'the password is too short');
    if (users.has(username)) throw new Refusal(409, 'the name is taken');
    if (users.size >= MAX_USERS) throw new Refusal(503, 'there are too many users');
    addUser(username, password, ['customer']);
    return [201, { username }];
  },

  async 'GET /is/users/{id}'({ req, id, query }) {
    claimsOf(req, query);
    if (!users.has(id)) throw new Refusal(404, 'there is no such user');
    return [200, { username: id, role: users.get(id).role }];
  },

  async 'POST /is/login'({ req }) {
    const { username, password } = await readJson(req);
    const user = users.get(username);
    if (!isRight(user, password)) throw new Refusal(403, 'name or password is wrong');
    return [200, { token: sign({ username, role: user.role, jti: randomUUID(), exp: now() + HOUR_S }) }];
  },

  /** The token is refused from now on, and the sockets that it has opened end. */
  async 'POST /is/logout'({ req, query }) {
    const { jti, exp } = claimsOf(req, query);
    const banned = await fetch(`${GATEWAY_INTERNAL}/v2/session-blacklist`, {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sessionId: jti, validityInSeconds: exp - now() + 1 }),
    });
    if (banned.status !== 201) throw new Error(`the gateway answers ${banned.status}`);
    return [204];
  },
});
