// HTTP/1.1 read as strictly as can be: what is not exactly as RFC 9112 has it is an error, and so is
// everything that two readers could take for two different things. For what a proxy lets through.

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/[!-~\x80-\xff]*|\*|https?:\/\/[!-~]+) HTTP\/1\.([01])$/;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[\t ]*$/;

class Malformed extends Error {}
class Incomplete extends Error {}

/** Takes lines and runs of bytes off a text whose characters are bytes. */
class Cursor {
  at = 0;

  constructor(text) {
    this.text = text;
  }

  get rest() {
    return this.text.slice(this.at);
  }

  line(what) {
    const end = this.text.indexOf('\n', this.at);
    if (end < 0) throw new Incomplete(what);
    const line = this.text.slice(this.at, end + 1);
    if (!/^[^\r\n\0]*\r\n$/.test(line)) {
      throw new Malformed(`${what} has a bare CR or LF, or NUL: ${JSON.stringify(line)}`);
    }
    this.at = end + 1;
    return line.slice(0, -2);
  }

  /** As much as there is of n bytes. */
  some(n) {
    const run = this.text.slice(this.at, this.at + n);
    this.at += run.length;
    return run;
  }
}

function fieldsOf(cursor, what) {
  const fields = [];
  for (let line = cursor.line(what); line !== ''; line = cursor.line(what)) {
    const field = FIELD.exec(line);
    if (!field) throw new Malformed(`${what}: ${JSON.stringify(line)} is no field`);
    fields.push([field[1].toLowerCase(), field[2]]);
  }
  return fields;
}

export const valuesOf = (fields, name) =>
  fields.filter(([n]) => n === name).map(([, value]) => value);

/** 'chunked', a length, or null where the head says neither. */
function framingOf(fields, minor) {
  const lengths = valuesOf(fields, 'content-length');
  const codings = valuesOf(fields, 'transfer-encoding');
  if (lengths.length + codings.length > 1) throw new Malformed('more than one framing');
  if (lengths.length > 0) {
    if (!/^[0-9]{1,19}$/.test(lengths[0])) throw new Malformed(`the length is ${lengths[0]}`);
    return Number(lengths[0]);
  }
  if (codings.length === 0) return null;
  if (minor === 0) throw new Malformed('Transfer-Encoding in HTTP/1.0');
  if (codings[0].toLowerCase() !== 'chunked') throw new Malformed(`the coding is ${codings[0]}`);
  return 'chunked';
}

/** Adds to message.body what there is of it. */
function takeBody(cursor, message) {
  if (message.framing !== 'chunked') {
    message.body += cursor.some(message.framing);
    if (message.body.length < message.framing) throw new Incomplete('body');
    return;
  }
  for (;;) {
    const line = cursor.line('chunk size');
    if (!/^[0-9a-fA-F]{1,16}$/.test(line)) {
      throw new Malformed(`the chunk size is ${JSON.stringify(line)}`);
    }
    const size = parseInt(line, 16);
    if (size === 0) break;
    const run = cursor.some(size);
    message.body += run;
    if (run.length < size) throw new Incomplete('chunk');
    if (cursor.line('end of a chunk') !== '') throw new Malformed('more than a chunk announces');
  }
  message.trailers = fieldsOf(cursor, 'trailers');
}

/** Reads messages as long as there are some: { messages, error, partial }. */
function readAll(text, readOne) {
  const cursor = new Cursor(text);
  const messages = [];
  for (;;) {
    const start = cursor.at;
    if (start === text.length) return { messages, error: null, partial: null, used: start };
    const message = { body: '', trailers: [], head: false };
    try {
      readOne(cursor, message, messages.length);
      messages.push(message);
    } catch (error) {
      if (error instanceof Incomplete) return { messages, error: null, partial: message, used: start };
      if (error instanceof Malformed) {
        return { messages, error: error.message, partial: message, used: start };
      }
      throw error;
    }
  }
}

/**
 * The requests in a text of bytes: { messages: [{ method, target, minor, fields, framing, body,
 * trailers }], error, partial, used }. error says what is wrong behind them; partial is what is
 * there of one that is not complete; used is where that begins.
 */
export function readRequests(text) {
  return readAll(text, (cursor, message) => {
    const line = cursor.line('request line');
    const parts = REQUEST_LINE.exec(line);
    if (!parts) throw new Malformed(`${JSON.stringify(line)} is no request line`);
    Object.assign(message, { method: parts[1], target: parts[2], minor: Number(parts[3]) });
    message.fields = fieldsOf(cursor, 'header');
    message.framing = framingOf(message.fields, message.minor) ?? 0;
    message.head = true;
    const hosts = valuesOf(message.fields, 'host');
    if (hosts.length > 1 || (hosts.length === 0 && message.minor > 0)) {
      throw new Malformed(`${hosts.length} hosts`);
    }
    takeBody(cursor, message);
  });
}

/**
 * The same of answers: { status, minor, fields, framing, body, trailers } each. methods are those
 * of the requests, in order; what is behind the last answer is an error. A body that lasts until
 * the connection ends is complete where hasEnded. Interim answers are left out.
 */
export function readResponses(text, methods, hasEnded) {
  return readAll(text, (cursor, message, n) => {
    if (n === methods.length) {
      throw new Malformed(`more answers than requests: ${JSON.stringify(cursor.rest.slice(0, 100))}`);
    }
    do {
      const line = cursor.line('status line');
      const parts = STATUS_LINE.exec(line);
      if (!parts) throw new Malformed(`${JSON.stringify(line)} is no status line`);
      Object.assign(message, { minor: Number(parts[1]), status: Number(parts[2]) });
      message.fields = fieldsOf(cursor, 'header');
    } while (message.status < 200);
    const framing = framingOf(message.fields, message.minor);
    message.head = true;
    message.framing = framing;
    if (message.status === 204 && framing !== null && framing !== 0) {
      throw new Malformed('204 announces a body');
    }
    if (methods[n] === 'HEAD' || message.status === 204 || message.status === 304) return;
    if (framing !== null) {
      takeBody(cursor, message);
      return;
    }
    message.body = cursor.some(Infinity);
    if (!hasEnded) throw new Incomplete('body');
  });
}
