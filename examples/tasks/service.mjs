// What the three services share: a small HTTP server, and the tokens that IS makes and all of them read.
//
//   LISTEN           address (127.0.0.1)
//   JWT_SECRET_KEY   the key that the gateway verifies tokens with, too
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const { LISTEN = '127.0.0.1', JWT_SECRET_KEY = '' } = process.env;

if (!JWT_SECRET_KEY) throw new Error('JWT_SECRET_KEY is not set');

/* ---- tokens ---- */

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const hmac = (text) => createHmac('sha256', JWT_SECRET_KEY).update(text).digest();

export function sign(claims) {
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${hmac(text).toString('base64url')}`;
}

/**
 * The claims of whoever asks. The gateway has checked the token of every route with "auth": true, its session,
 * too; a service that others can reach without the gateway checks again.
 */
export function claimsOf(req, query) {
  const token = req.headers.authorization?.replace(/^Bearer /i, '') ?? query.get('token') ?? '';
  const [head, claims, signature] = token.split('.');
  const given = Buffer.from(signature ?? '', 'base64url');
  const wanted = hmac(`${head}.${claims}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Refusal(401, 'log in first');
  const parsed = JSON.parse(Buffer.from(claims, 'base64url'));
  if (!(parsed.exp > Date.now() / 1000)) throw new Refusal(401, 'log in again');
  return parsed;
}

/* ---- requests ---- */

/** What a handler throws to refuse a request. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function readBody(req, max = 65536) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > max) throw new Refusal(413, 'too long');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

export async function readJson(req) {
  try {
    const value = JSON.parse((await readBody(req)).toString() || '{}');
    if (value !== null && typeof value === 'object') return value;
  } catch (error) {
    if (error instanceof Refusal) throw error;
  }
  throw new Refusal(400, 'not a JSON object');
}

/** "GET /ts/tasks/{id}" and the like; what stands for {id} is the handler's id. */
function find(routes, method, path) {
  for (const [route, handler] of Object.entries(routes)) {
    const [wanted, pattern] = route.split(' ');
    const [start, end] = pattern.split('{id}');
    if (wanted !== method) continue;
    if (end === undefined && path === pattern) return { handler };
    if (end === '' && path.startsWith(start) && path.length > start.length)
      return { handler, id: decodeURIComponent(path.slice(start.length)) };
  }
  return {};
}

async function answer(routes, req, res) {
  const { pathname, searchParams: query } = new URL(req.url, 'http://localhost');
  const { handler, id } = find(routes, req.method === 'HEAD' ? 'GET' : req.method, pathname);
  if (!handler) throw new Refusal(404, 'there is no such thing');
  const [status, body, headers = {}] = await handler({ req, id, query });
  if (Buffer.isBuffer(body)) res.writeHead(status, headers).end(body);
  else res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body && JSON.stringify(body));
}

/**
 * Serves routes: handlers by "METHOD /path", which get { req, id, query } and return [status, body, headers], body a
 * Buffer or what becomes JSON.
 */
export function serve(name, port, routes) {
  const server = createServer((req, res) => {
    answer(routes, req, res).catch((error) => {
      if (!(error instanceof Refusal)) console.error(`${name}:`, error);
      if (!res.headersSent) res.writeHead(error.status ?? 500, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: error.status ? error.message : 'something went wrong' }));
    });
  });
  server.listen(Number(port), LISTEN, () => console.log(`${name}: port ${server.address().port}`));
  process.on('SIGTERM', () => process.exit(0));
}
