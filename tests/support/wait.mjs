// Waiting for a thing, never for a time: every wait ends with the thing or, at its deadline, with
// an error that says what was missing.

const DEFAULT_MS = 5000;

// Machines differ; RGATE_TEST_PATIENCE stretches every deadline (3 with sanitizers, for example).
const patience = Number(process.env.RGATE_TEST_PATIENCE ?? 1);

/** The promise's result, or an error after ms that names what did not happen. */
export function within(promise, what, ms = DEFAULT_MS) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: not within ${ms * patience} ms`)), ms * patience);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}

/** A promise together with the functions that settle it. */
export function deferred() {
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  return d;
}

/**
 * For what cannot announce itself, a metric or a port for example: asks again and again until the
 * answer is truthy and returns that answer. An error thrown by ask counts as "not yet".
 */
export async function until(ask, what, ms = DEFAULT_MS) {
  const end = Date.now() + ms * patience;
  let last;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${ms * patience} ms`, { cause: last });
    }
    await new Promise((again) => setTimeout(again, 25));
  }
}

/** What ask tells, a number that grows, once it stands still: half a second without a change. */
export async function standstill(ask, what, ms = 15000) {
  let last;
  let equal = 0;
  await until(async () => {
    const now = await ask();
    equal = now === last ? equal + 1 : 0;
    last = now;
    return equal >= 20;
  }, `${what} stands still`, ms);
  return last;
}

/** What arrives one by one and is taken in that order. */
export class Inbox {
  #waiting = [];
  #takers = [];
  #end = null;

  put(item) {
    const taker = this.#takers.shift();
    if (taker) taker.resolve(item);
    else this.#waiting.push(item);
  }

  /** Nothing more will come: takers now and later get this error once the rest is taken. */
  end(error) {
    this.#end = error;
    for (const taker of this.#takers.splice(0)) taker.reject(error);
  }

  get length() {
    return this.#waiting.length;
  }

  /** The next item, whatever it is. */
  next(what = 'an item', ms = DEFAULT_MS) {
    if (this.#waiting.length > 0) return Promise.resolve(this.#waiting.shift());
    if (this.#end) return Promise.reject(new Error(`${what}: ${this.#end.message}`));
    const taker = deferred();
    this.#takers.push(taker);
    return within(taker.promise, what, ms).finally(() => {
      const at = this.#takers.indexOf(taker);
      if (at >= 0) this.#takers.splice(at, 1);
    });
  }

  /** Everything that is there now. */
  drain() {
    return this.#waiting.splice(0);
  }
}
