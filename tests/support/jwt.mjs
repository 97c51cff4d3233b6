// Tokens and the keys that sign them, made with node:crypto, which owes nothing to the gateway.
import { constants, createHmac, generateKeyPairSync, randomBytes, sign as signBytes }
  from 'node:crypto';
import { FIXTURE } from './events.mjs';

const { RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants;

const hash = (alg) => `sha${alg.slice(2)}`;
const encode = (part) => Buffer.from(
  typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/** What each family of algorithms signs with. */
const SIGN = {
  HS: (alg, key, bytes) => createHmac(hash(alg), key).update(bytes).digest(),
  RS: (alg, key, bytes) => signBytes(hash(alg), bytes, key),
  PS: (alg, key, bytes) => signBytes(hash(alg), bytes,
    { key, padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST }),
  ES: (alg, key, bytes) => signBytes(hash(alg), bytes, { key, dsaEncoding: 'ieee-p1363' }),
  Ed: (alg, key, bytes) => signBytes(null, bytes, key),
};

const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** Now, in the seconds that tokens count in. */
export const now = () => Math.floor(Date.now() / 1000);

/** The text of a token with exactly this head and these claims, objects or any text. */
export function sign(head, claims, key, alg = head.alg) {
  const text = `${encode(head)}.${encode(claims)}`;
  const signature = alg === 'none' ? Buffer.alloc(0) : SIGN[alg.slice(0, 2)](alg, key, Buffer.from(text));
  return `${text}.${signature.toString('base64url')}`;
}

/**
 * A token with these claims that is good for ten minutes; claims of undefined are left out, exp
 * included. Without a key it is HS256 under the fixture's secret.
 */
export function token(claims = {}, { alg = 'HS256', key = FIXTURE.JWT_SECRET_KEY, head = {} } = {}) {
  return sign({ alg, typ: 'JWT', ...head }, { exp: now() + 600, ...claims }, key);
}

/** The header of a request with these tokens. */
export const bearer = (...tokens) => ({
  authorization: tokens.map((one) => `Bearer ${one}`).join(', '),
});

function generate(alg) {
  switch (alg.slice(0, 2)) {
    case 'ES': return generateKeyPairSync('ec', { namedCurve: CURVES[alg] });
    case 'Ed': return generateKeyPairSync('ed25519');
    default: return generateKeyPairSync('rsa', { modulusLength: 2048 });
  }
}

let rsa; // making one takes long, and all algorithms of RSA can share it

/** A key for one algorithm: it signs tokens, and shows what the gateway needs to verify them. */
export class SigningKey {
  alg;
  kid;
  #private;
  #public;

  constructor(alg, { kid, fresh = false } = {}) {
    this.alg = alg;
    this.kid = kid;
    if (alg.startsWith('HS')) {
      this.#private = randomBytes(64).toString('base64url');
      return;
    }
    const isRsa = /^[RP]S/.test(alg);
    const pair = isRsa && !fresh ? (rsa ??= generate(alg)) : generate(alg);
    this.#private = pair.privateKey;
    this.#public = pair.publicKey;
  }

  /** The value of JWT_SECRET_KEY: the secret, or the public key as PEM. */
  get setting() {
    return this.#public?.export({ type: 'spki', format: 'pem' }) ?? this.#private;
  }

  /** The private key as PEM. */
  get pem() {
    return this.#private.export({ type: 'pkcs8', format: 'pem' });
  }

  /** The member of a key set for it; more adds or replaces members, undefined takes one away. */
  jwk(more = {}) {
    const material = this.#public?.export({ format: 'jwk' })
      ?? { kty: 'oct', k: Buffer.from(this.#private).toString('base64url') };
    return { ...material, alg: this.alg, kid: this.kid, use: 'sig', ...more };
  }

  /** A token that is good for ten minutes, with the key's id in its head if it has one. */
  token(claims, head = {}, alg = this.alg) {
    return token(claims, { alg, key: this.#private,
      head: { ...(this.kid !== undefined && { kid: this.kid }), ...head } });
  }
}

/** The text of a key set. */
export const keySet = (...keys) => JSON.stringify(
  { keys: keys.map((key) => (key instanceof SigningKey ? key.jwk() : key)) });
