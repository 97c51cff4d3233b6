// nginx and HAProxy in front of a service, to compare the gateway with: each on a free port, with
// files in a directory of its own, unprivileged, in the foreground, stopped by its process id.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { freePorts, isListening } from './ports.mjs';
import { until, within } from './wait.mjs';

// Time limits are longer than any test waits: what is compared is what they say, not when.
const NGINX = (directory, port, backendPort) => `
daemon off;
master_process off;
worker_processes 1;
pid ${directory}/pid;
error_log stderr error;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_requests 100000;
  upstream service { server 127.0.0.1:${backendPort} max_fails=0; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream off;
    }
  }
}
`;

const HAPROXY = (directory, port, backendPort) => `
global
  nbthread 1
defaults
  mode http
  retries 0
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-request 60s
  timeout http-keep-alive 60s
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  http-reuse safe
  server s 127.0.0.1:${backendPort}
`;

const KINDS = {
  nginx: {
    file: '/usr/sbin/nginx', configuration: NGINX,
    args: (directory) => ['-p', directory, '-c', `${directory}/conf`, '-e', 'stderr'],
  },
  haproxy: {
    file: '/usr/sbin/haproxy', configuration: HAPROXY,
    args: (directory) => ['-db', '-q', '-f', `${directory}/conf`],
  },
};

/** False where both are installed, else why the tests that need them are skipped. */
export function missingProxies() {
  const missing = Object.values(KINDS).map(({ file }) => file).filter((file) => !existsSync(file));
  return missing.length > 0 && `not installed: ${missing.join(', ')}`;
}

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class OtherProxy {
  kind;
  port;
  output = '';
  #child;
  #exited;
  #directory;

  static async start(kind, backendPort) {
    const proxy = new OtherProxy();
    proxy.kind = kind;
    [proxy.port] = await freePorts(1);
    proxy.#directory = await mkdtemp(path.join(os.tmpdir(), `rgate-${kind}-`));
    await mkdir(path.join(proxy.#directory, 'body'));
    await writeFile(path.join(proxy.#directory, 'conf'),
      KINDS[kind].configuration(proxy.#directory, proxy.port, backendPort));
    proxy.#run();
    try {
      await until(() => isListening(proxy.port), `${kind} listens`, 10000);
    } catch (error) {
      error.message += `\n${proxy.output}`;
      await proxy.stop();
      throw error;
    }
    return proxy;
  }

  #run() {
    const { file, args } = KINDS[this.kind];
    this.#child = spawn(file, args(this.#directory),
      { env: { PATH: process.env.PATH }, cwd: this.#directory, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.#child);
    for (const name of ['stdout', 'stderr']) {
      this.#child[name].setEncoding('utf8').on('data', (text) => { this.output += text; });
    }
    this.#exited = new Promise((resolve) => {
      this.#child.on('error', resolve);
      this.#child.on('exit', resolve);
    });
  }

  async stop() {
    // Neither has anything to bring to an end in good order.
    this.#child.kill('SIGKILL');
    try {
      await within(this.#exited, `${this.kind} ends`);
    } finally {
      running.delete(this.#child);
      await rm(this.#directory, { recursive: true, force: true });
    }
  }
}
