// A real browser: the Chromium of this machine. None is ever downloaded.
import { existsSync } from 'node:fs';
import { load } from './packages.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why there is no browser here, or false. */
export const browserUnavailable = existsSync(executablePath) ? false
  : `there is no ${executablePath} (CHROMIUM names another one)`;

/** ignoreCertificateErrors also for WebSockets, which a context's ignoreHTTPSErrors leaves out. */
export function launchBrowser({ ignoreCertificateErrors = false } = {}) {
  return load('playwright-core').chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      ...(ignoreCertificateErrors ? ['--ignore-certificate-errors'] : [])],
  });
}
