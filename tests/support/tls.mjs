// A certificate for this machine that nobody has signed, and a client that takes it.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Certificate and key in files of their own, until release() is called: { certificate, key,
 * release, env }, env being what the gateway needs to use them. passphrase encrypts the key.
 */
export async function selfSigned({ passphrase, name = 'localhost' } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'rgate-tls-'));
  const certificate = join(directory, 'cert.pem');
  const key = join(directory, 'key.pem');
  const lock = passphrase === undefined ? ['-nodes'] : ['-passout', `pass:${passphrase}`];
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    ...lock, '-days', '2', '-subj', `/CN=${name}`, '-addext',
    `subjectAltName=DNS:${name},IP:127.0.0.1`, '-keyout', key, '-out', certificate]);
  return {
    certificate,
    key,
    env: { HTTPS_CERTFILE: certificate, HTTPS_KEYFILE: key,
      ...(passphrase !== undefined && { HTTPS_KEYFILE_PASS: passphrase }) },
    release: () => rm(directory, { recursive: true, force: true }),
  };
}
