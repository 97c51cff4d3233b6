// Randomness that can be repeated: RGATE_TEST_SEED is a number that an earlier run has told.
import { randomInt } from 'node:crypto';

export class Random {
  seed;
  #state;

  constructor(seed = Number(process.env.RGATE_TEST_SEED ?? randomInt(2 ** 31))) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** 0 .. n-1 (mulberry32). */
  below(n) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 2 ** 32) * n);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** The words of a table { word: weight }, by weight. */
  weighted(table) {
    let left = this.below(Object.values(table).reduce((sum, weight) => sum + weight, 0));
    for (const [word, weight] of Object.entries(table)) {
      left -= weight;
      if (left < 0) return word;
    }
    throw new Error('no word');
  }
}
