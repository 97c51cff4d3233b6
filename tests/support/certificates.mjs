// Certificates and keys for tests, made by the openssl command.
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A directory that is gone when the test or suite t is over. */
export async function testDirectory(t) {
  const directory = await mkdtemp(join(tmpdir(), 'rgate-tls-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/**
 * Writes a key and a self-signed certificate for localhost and 127.0.0.1 to key.pem and cert.pem
 * of the directory, both at once for whoever reads them. pass encrypts the key, in its traditional
 * form if asked for. Returns { cert, key, pem, fingerprint }: two paths, text, and hex.
 */
export async function makeCertificate(directory, { days = 30, pass, traditional = false } = {}) {
  const path = (name) => join(directory, name);
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-keyout', path('new-key.pem'), '-out', path('new-cert.pem'), '-days', String(days),
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']);
  if (pass !== undefined) {
    await run('openssl', ['pkey', '-in', path('new-key.pem'), '-out', path('locked.pem'), '-aes256',
      '-passout', `pass:${pass}`, ...(traditional ? ['-traditional'] : [])]);
    await rename(path('locked.pem'), path('new-key.pem'));
  }
  await rename(path('new-key.pem'), path('key.pem'));
  await rename(path('new-cert.pem'), path('cert.pem'));
  const pem = await readFile(path('cert.pem'), 'utf8');
  const fingerprint = new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
  return { cert: path('cert.pem'), key: path('key.pem'), pem, fingerprint };
}

/** A directory for the enclosing suite with a certificate in it: { directory, made }. */
export function suiteCertificate(options) {
  const suite = {};
  const ends = [];
  before(async () => {
    suite.directory = await testDirectory({ after: (end) => ends.push(end) });
    suite.made = await makeCertificate(suite.directory, options);
  });
  after(() => Promise.all(ends.map((end) => end())));
  return suite;
}

/** The variables that make a gateway use it. */
export function httpsVariables({ cert, key }) {
  return { HTTPS_CERTFILE: cert, HTTPS_KEYFILE: key };
}

/** What `openssl s_client` prints when it connects to the port, says input and ends. */
export async function opensslClient(port, args = [], input = '') {
  const child = run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args],
    { timeout: 10000 });
  child.child.stdin.on('error', () => {});
  child.child.stdin.end(input);
  const { stdout, stderr } = await child.catch((error) => error);
  return stdout + stderr;
}
