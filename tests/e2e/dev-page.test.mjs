// The page that `rgate dev` shows, in a browser.
//
// - Within seconds data moves in it, over each of the three transports.
// - It publishes and filters; a connection can be cut and comes back.
// - The command lines that it shows do what it says when they are pasted into a terminal.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Gateway } from '../support/gateway.mjs';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { until, within } from '../support/wait.mjs';

const TRANSPORTS = ['sse', 'ws', 'lp'];

describe('the page of rgate dev', { skip: browserUnavailable }, () => {
  let browser;
  let gateway;
  let page;
  const complaints = [];
  const at = (id) => page.getByTestId(id);
  const events = (transport) => at(`panel-${transport}`).locator('.event');
  const newest = async (transport) => (await events(transport).allTextContents()).join('\n');
  const untilMoving = async (transport) => {
    const before = await newest(transport);
    await until(async () => await newest(transport) !== before && await newest(transport) !== '',
      `events move in the panel of ${transport}`, 8000);
  };

  before(async () => {
    gateway = await Gateway.start({ command: 'dev' });
    browser = await launchBrowser();
    page = await browser.newPage();
    page.setDefaultTimeout(8000);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(gateway.url('/'));
  });
  after(async () => {
    await browser?.close();
    await gateway?.stop();
  });

  for (const transport of TRANSPORTS) {
    it(`dev-page: data moves over ${transport}`, async () => {
      await events(transport).first().waitFor();
      await untilMoving(transport);
    });
  }

  /** Publishes through the form and returns the event that the page sent. */
  async function publishByForm(data) {
    const posted = page.waitForResponse((response) => response.request().method() === 'POST');
    await at('publish-type').selectOption('chat.message');
    await at('publish-key').fill('one-partition');
    await at('publish-data').fill(JSON.stringify(data));
    await at('publish-submit').click();
    const response = await posted;
    assert.ok(response.ok(), `status ${response.status()}`);
    return JSON.parse(response.request().postData()).event;
  }
  const untilShown = (text) => Promise.all(TRANSPORTS.map((transport) => until(
    async () => (await newest(transport)).includes(text), `${text} is in the panel of ${transport}`)));

  it('dev-page: what the form publishes arrives in all three panels', async () => {
    const event = await publishByForm({ room: 'blue', author: 'ada', text: 'from the form' });
    assert.equal(event.type, 'chat.message');
    await untilShown('from the form');
    await until(async () => await at('publish-result').textContent() !== '', 'the page says so');
  });

  it('dev-page: data that is not JSON is not sent', async () => {
    await at('publish-data').fill('{oops');
    assert.equal(await at('publish-data').getAttribute('aria-invalid'), 'true');
    await at('publish-submit').click();
    await until(async () => /not sent/.test(await at('publish-result').textContent()), 'a sentence');
  });

  for (const transport of TRANSPORTS) {
    it(`dev-page: the plug of ${transport} can be pulled and put back`, async (t) => {
      const plug = at(`plug-${transport}`);
      const says = (text) => until(
        async () => (await plug.textContent()).trim() === text, `the button says "${text}"`);
      const othersMove = async () => {
        for (const other of TRANSPORTS) if (other !== transport) await untilMoving(other);
      };
      await says('pull the plug');
      await plug.click();
      t.after(async () => {
        if ((await plug.textContent()).trim() === 'reconnect') await plug.click();
      });
      await says('reconnect');
      await othersMove(); // what had arrived before is shown by then
      const still = await newest(transport);
      await othersMove();
      assert.equal(await newest(transport), still);
      await plug.click();
      await says('pull the plug');
      await untilMoving(transport);
    });
  }

  it('dev-page: the curl line brings events', async (t) => {
    const line = (await at('curl-line').textContent()).trim();
    assert.match(line, /^curl /);
    const shell = spawn('/bin/sh', ['-c', `exec ${line}`], { stdio: ['ignore', 'pipe', 'ignore'] });
    t.after(() => shell.kill());
    shell.stdout.setEncoding('utf8');
    let text = '';
    await within(new Promise((resolve) => {
      shell.stdout.on('data', (more) => {
        text += more;
        if (/rig\.subscriptions_set[^]*\nevent: (?!rig\.)/.test(text)) resolve();
      });
    }), 'curl prints an event', 8000).catch((error) => assert.fail(`${error.message}\n${text}`));
  });

  it('dev-page: the kcat line names the broker', async (t) => {
    const line = (await at('kcat-line').textContent()).trim();
    assert.match(line, /kcat /);
    assert.ok(line.includes(gateway.kafkaBootstrap), line);
    const hasKcat = await promisify(execFile)('/bin/sh', ['-c', 'command -v kcat'])
      .then(() => true, () => false);
    if (!hasKcat) return t.diagnostic('kcat is not here: the line was not run');
    return promisify(execFile)('/bin/sh', ['-c', line], { timeout: 15000 });
  });

  it('dev-page: a filter leaves only what it asks for', async () => {
    const filter = async (type, field, value) => {
      await at('filter-type').selectOption(type);
      await at('filter-field').selectOption(field);
      await at('filter-value').fill(value);
      await at('filter-apply').click();
      for (const transport of TRANSPORTS) {
        await until(async () => (await at(`in-force-${transport}`).textContent()).includes(value),
          `${value} is in force over ${transport}`);
      }
    };
    await filter('chat.message', 'room', 'hall');
    await publishByForm({ room: 'cellar', author: 'ada', text: 'unwanted' });
    await publishByForm({ room: 'hall', author: 'ada', text: 'wanted' });
    await untilShown('hall');
    for (const transport of TRANSPORTS) assert.doesNotMatch(await newest(transport), /cellar/);
    await at('filter-clear').click();
    for (const transport of TRANSPORTS) await untilMoving(transport);
  });

  it('dev-page: the browser has nothing to complain about', () => {
    assert.deepEqual(complaints, []);
  });
});
