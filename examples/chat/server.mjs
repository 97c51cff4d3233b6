// The application behind the gateway: it logs people in, writes what they say to Kafka, and can throw
// a session out. It keeps no state: who is connected, and with what, is the gateway's business.
//
//   node server.mjs                 serves until it is told to stop
//   node server.mjs create-topic    makes the topic, where brokers do not do that by themselves
//
//   PORT                 where it listens (8080; 0: a free one)
//   KAFKA_BROKERS        HOST:PORT,...
//   JWT_SECRET_KEY       the key that the gateway verifies tokens with
//   GATEWAY              what browsers call the gateway (http://localhost:4000)
//   GATEWAY_INTERNAL     its internal port (http://localhost:4010)
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import kafkajs from 'kafkajs';

const { PORT = '8080', KAFKA_BROKERS = 'localhost:9092', JWT_SECRET_KEY = '',
  GATEWAY = 'http://localhost:4000', GATEWAY_INTERNAL = 'http://localhost:4010' } = process.env;
const TOPIC = 'message';
const HOUR_S = 3600;

if (!JWT_SECRET_KEY) throw new Error('JWT_SECRET_KEY is not set');

const kafka = new kafkajs.Kafka({ brokers: KAFKA_BROKERS.split(','), logLevel: kafkajs.logLevel.ERROR });
const producer = kafka.producer();

/* ---- tokens ---- */

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (text) => createHmac('sha256', JWT_SECRET_KEY).update(text).digest();

function newToken(username) {
  const head = encode({ alg: 'HS256', typ: 'JWT' });
  const claims = encode({ username, role: ['customer'], jti: randomUUID(), exp: Math.floor(Date.now() / 1000) + HOUR_S });
  return `${head}.${claims}.${sign(`${head}.${claims}`).toString('base64url')}`;
}

/** The claims of whoever asks, or null. */
function claimsOf(req) {
  const [head, claims, signature] = (req.headers.authorization ?? '').replace(/^Bearer /, '').split('.');
  const given = Buffer.from(signature ?? '', 'base64url');
  const wanted = sign(`${head}.${claims}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null;
  const parsed = JSON.parse(Buffer.from(claims, 'base64url'));
  return parsed.exp > Date.now() / 1000 ? parsed : null;
}

/* ---- requests ---- */

async function readJson(req) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > 65536) throw new Error('too long');
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString() || '{}');
}

const isName = (value) => typeof value === 'string' && /^[\w.-]{1,40}$/.test(value);

const handlers = {
  async 'POST /login'(req) {
    const { username } = await readJson(req);
    return isName(username) ? [200, { token: newToken(username), gateway: GATEWAY }] : [400, { error: 'no such name' }];
  },

  /** A message to one user: to all of that user's devices, wherever they are connected. */
  async 'POST /messages'(req) {
    const claims = claimsOf(req);
    const { to, text } = await readJson(req);
    if (!claims) return [401, { error: 'log in first' }];
    if (!isName(to) || typeof text !== 'string') return [400, { error: 'to and text are needed' }];
    const value = JSON.stringify({ username: to, from: claims.username, text, at: Date.now() });
    await producer.send({ topic: TOPIC, messages: [{ key: to, value }] });
    return [202, {}];
  },

  /** Ends one of the asker's own sessions, on every device that shares it, and bans its token. */
  async 'POST /kick'(req) {
    const claims = claimsOf(req);
    const { session } = await readJson(req);
    if (!claims) return [401, { error: 'log in first' }];
    const url = `${GATEWAY_INTERNAL}/v3/sessions/${encodeURIComponent(session)}`;
    const found = await fetch(url);
    if (!found.ok || (await found.json()).user !== claims.username) return [404, { error: 'no such session of yours' }];
    await fetch(url, { method: 'DELETE' });
    return [204];
  },
};

const files = {
  '/': ['index.html', 'text/html'],
  '/app.mjs': ['app.mjs', 'text/javascript'],
  '/phoenix.mjs': ['node_modules/phoenix/priv/static/phoenix.mjs', 'text/javascript'],
};

async function answer(req, res) {
  const { pathname } = new URL(req.url, 'http://localhost');
  const handler = handlers[`${req.method} ${pathname}`];
  const [file, type] = files[pathname] ?? [];
  if (handler) {
    const [status, body] = await handler(req);
    res.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body));
  } else if (file && req.method === 'GET') {
    const body = await readFile(new URL(file, import.meta.url));
    res.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(body);
  } else {
    res.writeHead(404).end();
  }
}

const server = createServer((req, res) => {
  answer(req, res).catch((error) => {
    console.error(error);
    if (!res.headersSent) res.writeHead(400, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ error: error.message }));
  });
});

if (process.argv[2] === 'create-topic') {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: TOPIC }] });
  await admin.disconnect();
  process.exit(0);
}

await producer.connect();
server.listen(Number(PORT), '127.0.0.1', () => console.log(`chat: http://localhost:${server.address().port}/`));
process.on('SIGTERM', () => process.exit(0));
