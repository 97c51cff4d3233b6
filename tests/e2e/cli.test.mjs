// The commands of the program.
//
// - Each says what it does; a wrong word is met with the right one.
// - publish and subscribe are a producer and a browser for the terminal.
// - check tells what is wrong before anything is started.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { cast, openWs } from '../support/channels.mjs';
import { Run, runToEnd, suiteGateway } from '../support/gateway.mjs';
import { FIXTURE, ev, publish } from '../support/events.mjs';
import { SseStream } from '../support/sse.mjs';

const COMMANDS = ['serve', 'dev', 'check', 'publish', 'subscribe', 'token', 'version', 'help'];

describe('help', () => {
  for (const args of [['help'], ['--help'], ['-h']]) {
    it(`cli: rgate ${args} names every command`, async () => {
      const { code, stdout } = await runToEnd(args);
      assert.equal(code, 0);
      for (const command of COMMANDS) assert.match(stdout, new RegExp(`\\b${command}\\b`));
    });
  }

  for (const command of COMMANDS) {
    it(`cli: rgate ${command} --help`, async () => {
      const { code, stdout, stderr } = await runToEnd([command, '--help']);
      assert.equal(code, 0, stderr);
      assert.match(stdout, command === 'help' ? /^Usage: rgate / : new RegExp(`^Usage: rgate \\[?${command}`));
    });
  }

  it('cli: the variables are described', async () => {
    const { code, stdout } = await runToEnd(['help', 'variables']);
    assert.equal(code, 0);
    for (const name of ['INBOUND_PORT', 'EXTRACTORS', 'KAFKA_BROKERS', 'LOG_LEVEL']) {
      assert.match(stdout, new RegExp(`\\b${name}\\b`));
    }
  });

  for (const args of [['version'], ['--version']]) {
    it(`cli: rgate ${args}`, async () => {
      const { code, stdout } = await runToEnd(args);
      assert.equal(code, 0);
      assert.match(stdout, /^rgate \d+\.\d+\.\d+/);
    });
  }

  it('cli: a misspelt command is met with the right one', async () => {
    const { code, stderr } = await runToEnd(['serv']);
    assert.equal(code, 2);
    assert.match(stderr, /serve/);
  });

  for (const args of [['check', '--nonsense'], ['publish'], ['subscribe'], ['check', 'x'],
    ['publish', '--type', 'a', '{}'], ['publish', '--user', 'ada'],
    ['publish', '--user', 'ada', '--type', 'a', '{}'], ['publish', '--user', '', '{}'],
    ['publish', '--user', 'ada', '--brokers', 'b', '{}'], ['subscribe', '--type', 'a', '--count', '0'],
    ['subscribe', '--where', 'a=b'], ['token', '--secret', 's', '--exp', 'soon'], ['token']]) {
    it(`cli: rgate ${args.join(' ')} is wrong usage`, async () => {
      const { code, stderr, stdout } = await runToEnd(args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, new RegExp(`^rgate ${args[0]}: `));
    });
  }
});

describe('check', () => {
  it('cli: check tells what would be done', async () => {
    const { code, stdout, stderr } = await runToEnd(['check'], { env: FIXTURE });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /4000/);
    assert.match(stdout, /chat\.posted: .*room/);
  });

  it('cli: check finds every problem', async () => {
    const { code, stderr } = await runToEnd(
      ['check'], { env: { INBOUND_PORT: 'x', LOG_FMT: 'yaml' } });
    assert.equal(code, 1);
    assert.match(stderr, /^rgate: configuration error: INBOUND_PORT: /m);
    assert.match(stderr, /^rgate: configuration error: LOG_FMT: /m);
  });

  it('cli: check --all shows values but no secrets', async () => {
    const { stdout } = await runToEnd(['check', '--all', '--no-connect'],
      { env: { NODE_COOKIE: 'very-secret', KAFKA_BROKERS: 'a:1', KAFKA_SASL: 'plain:u:very-secret' } });
    assert.match(stdout, /INBOUND_PORT=4000/);
    assert.match(stdout, /NODE_COOKIE=\*\*\*/);
    assert.doesNotMatch(stdout, /very-secret/);
  });

  it('cli: check misses a broker that does not answer', async () => {
    const { code, stderr } = await runToEnd(
      ['check'], { env: { KAFKA_BROKERS: '127.0.0.1:1' } }, 10000);
    assert.equal(code, 1);
    assert.match(stderr, /KAFKA_BROKERS/);
  });
});

describe('publish and subscribe', () => {
  const suite = suiteGateway({ command: 'dev', env: FIXTURE });
  const url = () => suite.gateway.url('');
  const open = async (t) => {
    const stream = await SseStream.open(suite.gateway, { subscriptions: [{ eventType: 'cli.test' }] });
    t.after(() => stream.close());
    return stream;
  };
  const succeed = async (args, options) => {
    const { code, stdout, stderr } = await runToEnd(args, options, 15000);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  it('cli: publish builds an event from its parts', async (t) => {
    const stream = await open(t);
    await succeed(['publish', '--url', url(), '--type', 'cli.test', '--data', '{"n":1}']);
    const event = await stream.next('cli.test');
    assert.deepEqual(event.data, { n: 1 });
    assert.equal(event.source, 'rgate');
  });

  it('cli: publish takes data that is no JSON as text', async (t) => {
    const stream = await open(t);
    await succeed(['publish', '--url', url(), '--type', 'cli.test', '--data', 'hello "you"']);
    assert.equal((await stream.next('cli.test')).data, 'hello "you"');
  });

  it('cli: publish takes an event as an argument, from a file and from a pipe', async (t) => {
    const stream = await open(t);
    const directory = await mkdtemp(join(tmpdir(), 'rgate-cli-'));
    t.after(() => rm(directory, { recursive: true }));
    const events = [1, 2, 3].map((n) => ev('cli.test', { n }));
    const file = join(directory, 'event.json');
    await writeFile(file, JSON.stringify(events[1]));
    await succeed(['publish', '--url', url(), JSON.stringify(events[0])]);
    await succeed(['publish', '--url', url(), `@${file}`]);
    await succeed(['publish', '--url', url(), '-'], { input: JSON.stringify(events[2]) });
    for (const event of events) assert.deepEqual(await stream.next('cli.test'), event);
  });

  it('cli: publish to Kafka tells where the message is', async () => {
    const stdout = await succeed(['publish', '--brokers', suite.gateway.kafkaBootstrap,
      '--topic', 'rig', '--key', 'k', '--type', 'cli.test']);
    assert.match(stdout, /^topic rig partition \d+ offset \d+\n$/);
  });

  it('cli: publish sends a message to a user', async (t) => {
    const { A, ada } = cast();
    const socket = await openWs(t, suite.gateway, { token: A });
    await socket.joinOwn(`user:${ada}`);
    const to = ['--user', ada, '--url', `http://127.0.0.1:${suite.gateway.internalPort}/`];
    for (const [args, payload] of [[['{"n":1}'], { n: 1 }], [['--data', 'hi "you"'], 'hi "you"']]) {
      assert.equal(await succeed(['publish', ...to, ...args]), 'status 202 {"devices":1}\n');
      assert.deepEqual((await socket.find(`user:${ada}`, 'message')).payload, payload);
    }
    const { code, stderr } = await runToEnd(['publish', ...to, 'no json']);
    assert.equal(code, 1);
    assert.match(stderr, /status 400: The request body is not JSON/);
  });

  it('cli: publish tells what the gateway refuses', async () => {
    const { code, stderr } = await runToEnd(['publish', '--url', url(), '{}']);
    assert.equal(code, 1);
    assert.match(stderr, /status 400/);
  });

  it('cli: publish tells that nobody answers', async () => {
    const { code, stderr } = await runToEnd(
      ['publish', '--url', 'http://127.0.0.1:1', '--type', 'a'], {}, 10000);
    assert.equal(code, 1);
    assert.match(stderr, /127\.0\.0\.1/);
  });

  for (const more of [[], ['--ws']]) {
    it(`cli: subscribe ${more} prints the events that match and ends`, async (t) => {
      const run = new Run(['subscribe', '--url', url(), '--type', 'chat.posted', '--where',
        'room=blue', '--where', 'urgent=true', '--count', '2', ...more]);
      t.after(() => run.signal('SIGKILL'));
      await run.printed(/subscribed/);
      const blue = [1, 2].map((n) => ev('chat.posted', { room: 'blue', urgent: true, n }));
      await publish(suite.gateway, ev('chat.posted', { room: 'blue' }));
      await publish(suite.gateway, blue[0]);
      await publish(suite.gateway, ev('chat.posted', { room: 'red', urgent: true }));
      await publish(suite.gateway, blue[1]);
      assert.equal((await run.exit()).code, 0);
      const lines = run.stdout.trimEnd().split('\n');
      assert.equal(lines.length, 2);
      for (const [i, line] of lines.entries()) {
        const [, json] = /^\d\d:\d\d:\d\d\.\d{3} chat\.posted (.*)$/.exec(line);
        assert.deepEqual(JSON.parse(json), blue[i]);
      }
    });
  }

  it('cli: subscribe --raw prints events only', async (t) => {
    const run = new Run(['subscribe', '--url', url(), '--all', '--raw', '--count', '2',
      '--subscriptions', '[{"eventType":"a"}]']);
    t.after(() => run.signal('SIGKILL'));
    assert.equal((await run.exit()).code, 0);
    assert.deepEqual(run.stdout.trimEnd().split('\n').map((line) => JSON.parse(line).type),
      ['rig.connection.create', 'rig.subscriptions_set']);
  });

  it('cli: subscribe ends with Ctrl-C', async (t) => {
    const run = new Run(['subscribe', '--url', url(), '--type', 'a']);
    t.after(() => run.signal('SIGKILL'));
    await run.printed(/subscribed/);
    run.signal('SIGINT');
    assert.equal((await run.exit()).signal, null);
  });

  for (const more of [[], ['--ws']]) {
    it(`cli: subscribe ${more} tells what the gateway refuses`, async () => {
      const { code, stderr } = await runToEnd(
        ['subscribe', '--url', url(), '--jwt', 'foobar', '--once', ...more], {}, 10000);
      assert.equal(code, 1);
      assert.notEqual(stderr, '');
    });
  }
});

describe('token', () => {
  for (const [alg, hash] of [['HS256', 'sha256'], ['HS384', 'sha384'], ['HS512', 'sha512']]) {
    it(`cli: token makes ${alg} tokens`, async () => {
      const { code, stdout, stderr } = await runToEnd(
        ['token', '--alg', alg, '--sub', '7', '--jti', 's1', '--claim', 'roles=["a"]', '--exp', '60'],
        { env: { JWT_SECRET_KEY: 'secret' } });
      assert.equal(code, 0, stderr);
      const [head, claims, signature] = stdout.trimEnd().split('.');
      const decode = (part) => JSON.parse(Buffer.from(part, 'base64url'));
      assert.equal(decode(head).alg, alg);
      const { exp, ...rest } = decode(claims);
      assert.deepEqual(rest, { sub: '7', jti: 's1', roles: ['a'] });
      assert.ok(Math.abs(exp - Date.now() / 1000 - 60) < 5);
      assert.equal(signature,
        createHmac(hash, 'secret').update(`${head}.${claims}`).digest('base64url'));
    });
  }
});
