// The chat of the page that `rgate dev` shows: phoenix.js in a browser.
//
// - Two users in two browsers are present on their channels with their devices, and the support sees
//   both of them come and go.
// - A message that kcat writes to Kafka for one of them reaches that one, over WebSocket and over
//   long-polling, and nobody else.
// - Kicking a device ends it, says why, and it does not come back.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { after, before, describe, it } from 'node:test';
import { Gateway } from '../support/gateway.mjs';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { until } from '../support/wait.mjs';

/** One panel of the chat in one browser. */
class Panel {
  constructor(page, number) {
    this.at = (id) => page.getByTestId(`${id}-${number}`);
  }

  async join(user, way = 'ws') {
    await this.at('chat-user').selectOption(user);
    await this.at('chat-way').selectOption(way);
    await this.at('chat-join').click();
    await this.is('joined');
  }

  async leave() {
    await this.at('chat-join').click();
    await this.is('not joined');
  }

  is(state) {
    return until(async () => await this.at('chat-state').textContent() === state,
      `the panel is ${state}`, 8000);
  }

  /** The users of the devices that are shown, in the order of names. */
  async here() {
    const rows = await this.at('chat-here').locator('li').evaluateAll(
      (nodes) => nodes.map((node) => node.dataset.user));
    return rows.sort();
  }

  sees(...users) {
    return until(async () => String(await this.here()) === String(users), `${users} are here`, 8000);
  }

  async say(to, text) {
    await this.at('chat-to').selectOption(to);
    await this.at('chat-text').fill(text);
    await this.at('chat-send').click();
  }

  hears(text) {
    return this.at('chat-messages').getByText(text).waitFor();
  }

  messages() {
    return this.at('chat-messages').textContent();
  }
}

describe('the chat of the page of rgate dev', { skip: browserUnavailable }, () => {
  let gateway;
  const browsers = [];
  const pages = [];
  let ada;
  let bob;
  let sam;

  before(async () => {
    gateway = await Gateway.start({ command: 'dev', args: ['--no-demo'] });
    await until(async () => (await gateway.internal('/ready')).status === 200, 'Kafka is read', 20000);
    for (let i = 0; i < 2; i++) {
      browsers.push(await launchBrowser());
      const page = await browsers[i].newPage();
      page.setDefaultTimeout(8000);
      await page.goto(gateway.url('/'));
      pages.push(page);
    }
    ada = new Panel(pages[0], 1);
    bob = new Panel(pages[1], 1);
    sam = new Panel(pages[1], 2);
  });
  after(async () => {
    for (const browser of browsers) await browser.close();
    await gateway?.stop();
  });

  it('dev-chat: users see their devices, the support sees all of them come and go', async () => {
    await ada.join('ada');
    await ada.sees('ada');
    await sam.join('sam');
    await sam.sees('ada');
    await bob.join('bob', 'longpoll');
    await bob.sees('bob');
    await sam.sees('ada', 'bob');
    await bob.leave();
    await sam.sees('ada');
    await bob.join('bob', 'longpoll');
    await sam.sees('ada', 'bob');
  });

  it('dev-chat: a message written by kcat reaches its user alone', async (t) => {
    const line = (await pages[0].getByTestId('chat-line').textContent()).trim();
    const hasKcat = await promisify(execFile)('/bin/sh', ['-c', 'command -v kcat'])
      .then(() => true, () => false);
    if (!hasKcat) return t.diagnostic('kcat is not here: the line was not run');
    await promisify(execFile)('/bin/sh', ['-c', line]);
    await ada.hears('kcat: Hello from Kafka');
    await sam.say('bob', 'Are you there?');
    await bob.hears('sam: Are you there?');
    assert.doesNotMatch(await bob.messages(), /Hello from Kafka/);
    assert.doesNotMatch(await ada.messages(), /Are you there/);
  });

  it('dev-chat: a kicked device ends with a reason and stays away', async () => {
    await sam.at('chat-here').locator('li[data-user="ada"] button').click();
    await ada.is('kicked');
    assert.match(await ada.at('chat-note').textContent(), /session ended/);
    await sam.sees('bob');
    await sam.say('bob', 'She is gone.');
    await bob.hears('sam: She is gone.');
    assert.deepEqual(await sam.here(), ['bob']);
    // A new login is a new session.
    await ada.join('ada');
    await sam.sees('ada', 'bob');
  });
});
