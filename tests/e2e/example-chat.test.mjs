// The example examples/chat, as its README says to run it: a real Kafka, the application, browsers.
//
// - Two devices of one user see each other; a message to the user reaches both, one to another user none.
// - Ending a device's session from the other one ends that one alone, and it is told why.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { baseEnvironment, binary } from '../support/gateway.mjs';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { kafkaUnavailable } from '../support/kafka.mjs';
import { freePortRange } from '../support/ports.mjs';
import { until, within } from '../support/wait.mjs';

const run = fileURLToPath(new URL('../../examples/chat/run', import.meta.url));
const skip = browserUnavailable || await kafkaUnavailable();

describe('the example of a chat', { skip }, () => {
  let child;
  let output = '';
  let ended;
  let url;
  const browsers = [];
  const pages = [];

  async function logIn(page, name) {
    await page.goto(url);
    await page.locator('#name').fill(name);
    await page.locator('#login button').click();
    await page.getByText(`You are ${name}.`).waitFor();
  }

  const say = async (page, to, text) => {
    await page.locator('#to').fill(to);
    await page.locator('#text').fill(text);
    await page.locator('#say button').click();
  };
  const devices = (page, n) => until(async () => await page.locator('#devices li').count() === n,
    `${n} devices are shown`, 10000);

  before(async () => {
    const base = await freePortRange(8);
    child = spawn(run, {
      env: { ...baseEnvironment(), RGATE_BINARY: binary, KAFKA_BASEPORT: String(base),
        INBOUND_PORT: String(base + 4), API_HTTP_PORT: String(base + 5), PORT: String(base + 6) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    ended = new Promise((resolve) => { child.on('close', resolve); });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => { output += text; });
    }
    await until(() => /chat: (http:\S+)/.test(output), 'the example runs', 120000)
      .catch((error) => assert.fail(`${error.message}\n${output}`));
    url = /chat: (http:\S+)/.exec(output)[1];
    const ready = `http://localhost:${base + 5}/ready`;
    await until(async () => (await fetch(ready)).status === 200, 'Kafka is read', 60000);
    for (let i = 0; i < 3; i++) {
      browsers.push(await launchBrowser());
      pages.push(await browsers[i].newPage());
      pages[i].setDefaultTimeout(10000);
    }
  });
  after(async () => {
    for (const browser of browsers) await browser.close();
    child?.kill('SIGTERM');
    if (ended) await within(ended, 'the example ends', 60000);
  });

  it('example-chat: a message to a user reaches all devices of that user and no other', async () => {
    await logIn(pages[0], 'ada');
    await logIn(pages[1], 'ada');
    await logIn(pages[2], 'bob');
    for (const page of [pages[0], pages[1]]) await devices(page, 2);
    await devices(pages[2], 1);
    await say(pages[2], 'ada', 'Hi Ada');
    for (const page of [pages[0], pages[1]]) await page.getByText('bob: Hi Ada').waitFor();
    await say(pages[0], 'bob', 'Hi Bob');
    await pages[2].getByText('ada: Hi Bob').waitFor();
    assert.doesNotMatch(await pages[2].locator('#messages').textContent(), /Hi Ada/);
  });

  it('example-chat: a device can end another one of the same user', async () => {
    // Newest first is not promised: whichever device goes, the other one stays.
    await pages[0].locator('#devices li button').first().click();
    await until(async () => {
      const states = await Promise.all([0, 1].map((i) => pages[i].locator('#state').textContent()));
      return states.filter((text) => /The session is over: session ended/.test(text)).length === 1;
    }, 'one of two devices is gone', 10000);
    const states = await Promise.all([0, 1].map((i) => pages[i].locator('#state').textContent()));
    const left = pages[/You are ada/.test(states[0]) ? 0 : 1];
    await devices(left, 1);
    await say(pages[2], 'ada', 'Still there?');
    await left.getByText('bob: Still there?').waitFor();
  });
});
