// The page. All that it asks for, it asks the gateway: /is, /ps and /ts are the services behind it, /socket is
// the gateway's own.
import { Socket } from './phoenix.mjs';

const $ = (id) => document.getElementById(id);
const tasks = new Map();
let token;

async function ask(method, path, body) {
  const isForm = body instanceof FormData;
  const answer = await fetch(path, { method, body: isForm || body === undefined ? body : JSON.stringify(body),
    headers: { ...(token && { authorization: token }), ...(body && !isForm && { 'content-type': 'application/json' }) } });
  const text = await answer.text();
  const value = text && JSON.parse(text);
  if (!answer.ok) throw new Error(value.error ?? value.message ?? `status ${answer.status}`);
  return value;
}

const say = (text) => { $('state').textContent = text; };

/** What runs work and tells what went wrong. */
const tell = (work) => () => { work().catch((error) => say(error.message)); };

function onSubmit(form, work) {
  $(form).onsubmit = (event) => {
    event.preventDefault();
    tell(work)();
  };
}

/* ---- the list: only what is pushed changes it ---- */

function item(task) {
  const row = document.createElement('li');
  const done = Object.assign(document.createElement('input'), { type: 'checkbox', checked: task.done });
  const text = Object.assign(document.createElement('span'), { textContent: task.text });
  const remove = Object.assign(document.createElement('button'), { textContent: 'delete' });
  done.setAttribute('aria-label', `done: ${task.text}`);
  done.onchange = tell(() => ask('PUT', `/ts/tasks/${task.id}`, { ...task, done: done.checked }));
  remove.onclick = tell(() => ask('DELETE', `/ts/tasks/${task.id}`));
  row.className = task.done ? 'done' : '';
  row.append(done, text);
  if (task.picture) {
    row.append(Object.assign(document.createElement('img'), { alt: '',
      src: `/ps/pictures/${task.picture}?token=${encodeURIComponent(token)}` }));
  }
  row.append(remove);
  return row;
}

const show = () => $('tasks').replaceChildren(...[...tasks.values()].map(item));

function onMessage({ type, action, task }) {
  if (type !== 'task') return; // records of one's own requests arrive here, too
  if (action === 'deleted') tasks.delete(task.id);
  else tasks.set(task.id, task);
  show();
}

/* ---- the session ---- */

function end(text) {
  token = undefined;
  tasks.clear();
  show();
  $('login').hidden = false;
  $('add').hidden = true;
  say(text);
}

function connect(name) {
  const socket = new Socket('/socket', { params: { token } });
  const channel = socket.channel(`user:${name}`);
  channel.on('message', onMessage);
  // The gateway says why before it ends a session.
  channel.onError((why) => {
    if (!why?.reason) return;
    socket.disconnect();
    end(`The session is over: ${why.reason}.`);
  });
  socket.connect();
  // First listen, then look: nothing is missed between the two.
  channel.join()
    .receive('ok', tell(async () => {
      for (const task of await ask('GET', '/ts/tasks')) tasks.set(task.id, task);
      show();
      say(`You are ${name}.`);
    }))
    .receive('error', (why) => end(`Not allowed: ${why}`));
}

onSubmit('login', async () => {
  const name = $('name').value;
  ({ token } = await ask('POST', '/is/login', { username: name, password: $('password').value }));
  $('login').hidden = true;
  $('add').hidden = false;
  connect(name);
});

onSubmit('add', async () => {
  const [file] = $('picture').files;
  let picture = null;
  if (file) {
    const form = new FormData();
    form.set('qqfile', file);
    picture = (await ask('POST', '/ps/pictures', form)).id;
  }
  await ask('POST', '/ts/tasks', { text: $('text').value, picture });
  $('add').reset();
});

$('logout').onclick = tell(() => ask('POST', '/is/logout'));
